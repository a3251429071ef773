"""What a process does: guard, watch, archive."""
