"""The models that detectors share, their weights and their cards."""
