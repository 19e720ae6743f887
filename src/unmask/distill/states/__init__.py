"""How a text is noised: one state per file, named after it. Each has a `make(compat)`."""
