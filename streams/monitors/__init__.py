"""What is watched over time, and its state."""
