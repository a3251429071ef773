"""What the embedded servers may use: open files, addresses."""

import resource
from typing import Final

from schemas import topics
from streams.local.process import LocalServiceError

BESIDE: Final = 150
"""What a server may have open beside one file per partition: connections, and parts of tables."""
ADDRESSES: Final = 3 << 30
"""Bytes that the store has to have: it begins with two thirds of them, most of which are never touched."""


def require_addresses() -> None:
    """Raise `LocalServiceError` where the system allows a process too little for the embedded store."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most != resource.RLIM_INFINITY and most < ADDRESSES:
        raise LocalServiceError(
            f"a process may use {most >> 20:,} MiB of addresses here, the embedded store needs "
            f"{ADDRESSES >> 20:,}: raise the limit (`ulimit -v {ADDRESSES >> 10}`, or unlimited), "
            "or use a store of yours with --no-store"
        )


def require_files(partitions: int) -> None:
    """Raise `LocalServiceError` where the system allows a process too few open files.

    Args:
        partitions: of each topic.

    """
    # A child of ours raises what is allowed as far as this; only the system raises this.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = len(topics.ALL) * partitions + BESIDE
    if most != resource.RLIM_INFINITY and most < needed:
        raise LocalServiceError(
            f"a process may have {most:,} files open here, the embedded broker and store need {needed:,}: "
            f"raise the hard limit (`ulimit -Hn {needed}` as root, `nofile` in /etc/security/limits.conf, "
            f"`--ulimit nofile={needed}` of a container), or use servers of yours with --no-broker --no-store"
        )
