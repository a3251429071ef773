"""The pages, a module each: what was found, as HTML."""
