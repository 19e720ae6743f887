"""Between people and ids."""
