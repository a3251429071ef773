"""What a process does: guard, watch, archive."""

from typing import Final

ROLES: Final = ("guard", "watch", "archive")
"""By name: of the command, the consumer group, the module here and the setting of the HTTP port."""
