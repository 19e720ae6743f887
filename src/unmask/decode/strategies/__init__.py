"""What do we believe? One file per rule."""
