"""Whether an answer is supported by its contexts."""
