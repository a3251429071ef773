"""One command of `weir` per module."""
