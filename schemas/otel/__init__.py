"""Spans and log records of OpenTelemetry, in the notations that exporters write, read as events."""
