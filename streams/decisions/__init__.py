"""From events to decisions: score, decide, redact, alert."""
