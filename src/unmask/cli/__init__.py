"""At the terminal."""
