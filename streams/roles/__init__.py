"""What a process does: guard, watch, archive, gate, desk, notify."""

from typing import Final

ROLES: Final = ("guard", "watch", "archive")
"""Those that read Kafka, by name: of the command, the consumer group, the module here and the setting of the
HTTP port."""
PROCESSES: Final = (*ROLES, "gate", "desk", "notify")
"""All that `weir up` starts."""
