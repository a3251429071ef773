"""What becomes of alerts: their life cycle, and who is told."""
