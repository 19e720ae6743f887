"""What do we feed and read back? One file per policy."""
