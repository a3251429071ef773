"""What a text hides from a tokenizer, and how it is read."""
