"""What must not be kept as it stands: personal data and credentials, found, named and replaced."""
