"""From an empty canvas to a finished one."""
