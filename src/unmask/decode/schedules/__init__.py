"""Where may we write? One file per schedule."""
