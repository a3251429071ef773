"""What changes in the policy beside its file."""

from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec

from schemas.events import Long, Name

What = Literal["in_force", "refused", "doubted", "demoted", "restored"]
if TYPE_CHECKING:
    OpenWhat = What
else:
    OpenWhat = Annotated[str, msgspec.Meta(examples=list(get_args(What)))]


class PolicyChange(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A policy came into force or was refused, or a rule changed by what reviewers say, on `llm.policy`."""

    change_id: str
    """The same for the same change, whatever is replayed."""
    what: OpenWhat
    timestamp: Long
    """Milliseconds since 1970 (UTC)."""
    by: Name
    """The role that saw it, `reviews`, or who gave the command."""
    rule: Name = ""
    rule_hash: str = ""
    """Of what decides whether the rule hits: with another one in the policy, a demotion means nothing."""
    policy_name: str = ""
    policy_version: str = ""
    policy_hash: str = ""
    rules: str = ""
    """Of a policy in force: its rules as JSON, each with its `hash`."""
    reason: str = ""
    """For a person."""
    right: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    """Reviewed hits of the rule that were right, of `reviews`."""
    reviews: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    since: Long = 0
    """Reviews from then on counted, milliseconds since 1970 (UTC)."""

    @property
    def key(self) -> bytes:
        """The Kafka key: what is said later under the same key takes the place of what was said before."""
        if self.rule:
            return f"{'doubted' if self.what == 'doubted' else 'rule'}:{self.rule}".encode()
        return b"policy"
