"""What each page asks the store."""
