"""The policy: rules, conditions, and the file they come from."""

from pathlib import Path

DEFAULT_POLICY = Path(__file__).parent / "default.yaml"
"""The policy that ships."""
