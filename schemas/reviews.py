"""Who reviews what."""

import msgspec

from schemas.events import Id, Long, Name


class Claim(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A reviewer takes an event for review, or is done with it, on `llm.claims`.

    All have one key, and so an order: of two claims to one event the first holds until it ends.
    """

    claim_id: Id
    decision_id: Id
    reviewer: Name
    timestamp: Long
    """Milliseconds since 1970 (UTC)."""
    until: Long
    """When it ends, milliseconds since 1970 (UTC)."""
    done: bool = False
    """The review is published: until its row is in the store nobody is shown the event."""
