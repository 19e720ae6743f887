"""What a student is asked for: one objective per file. Each has a `make(temperature)`."""
