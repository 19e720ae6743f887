"""From a teacher to a faster student."""
