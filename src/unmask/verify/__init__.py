"""Is an answer right? Readers of free answers and judges of programs."""
