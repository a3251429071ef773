"""The policy: rules, conditions, and the file they come from."""
