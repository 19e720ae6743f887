"""Many people at once: one thread that owns the model."""
