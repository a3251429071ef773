"""What of a text is kept: the storage policy, applied before anything leaves the guard."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from detectors.privacy.findings import Finding
from detectors.privacy.redaction import Redactor, find_all
from schemas.events import Event, Evidence, Storage, ToolCall

EVIDENCE_LENGTH = 200
"""Characters of a piece of evidence, at most: a phrase or a sentence may be a whole page."""
Findings = Sequence[Finding] | None
"""None: it is not known what a text holds, because a finder failed."""


class Keeper:
    """Reduces texts as the storage policy says. Where a finder fails, the text is withheld, not kept.

    Args:
        storage: what the operator wants to keep.
        key: of placeholders and hashes, at least 16 bytes.

    """

    def __init__(self, storage: Storage, key: bytes) -> None:
        self._storage = storage
        self._redactor = Redactor(key)
        self._key = key[:64]

    def find(self, text: str) -> Findings:
        """Return the personal data and credentials in a text."""
        try:
            return find_all(text)
        except Exception:  # whatever a finder stumbles over: the text must not stop the stream
            return None

    def redacted(self, text: str, findings: Findings, salt: str) -> str:
        """Return a text without its findings; only its length, where they are not known."""
        if findings is None:
            return f"[WITHHELD {len(text)} characters]"
        return self._redactor.redact(text, findings, salt)

    def storage(self, findings: Findings) -> Storage:
        """Return what is kept of a text: what cannot be redacted is not kept."""
        return "hash" if self._storage == "redacted" and findings is None else self._storage

    def kept(self, event: Event, findings: Findings, kinds: set[str]) -> Event:
        """Return the event with its texts reduced; the prompt of a completion is an event of its own.

        What was found in the other texts is added to `kinds`.
        """
        if event.prompt:
            event = msgspec.structs.replace(event, prompt="")
        storage = self.storage(findings)
        if storage == "full":
            return event
        salt = event.conversation_id
        metadata = {name: self._clean(value, salt, kinds) for name, value in event.metadata.items()}
        if storage != "redacted":
            calls = tuple(ToolCall(name=call.name) for call in event.tool_calls)
            return msgspec.structs.replace(
                event, text="", system_prompt="", contexts=(), tool_calls=calls, metadata=metadata
            )
        # The text without findings too: of one beyond the scan limit the rest is cut.
        changes: dict[str, Any] = {"text": self.redacted(event.text, findings, salt)}
        if metadata:
            changes["metadata"] = metadata
        if event.system_prompt:
            changes["system_prompt"] = self._clean(event.system_prompt, salt, kinds)
        if event.contexts:
            changes["contexts"] = tuple(self._clean(text, salt, kinds) for text in event.contexts)
        if event.tool_calls:
            changes["tool_calls"] = tuple(
                ToolCall(name=call.name, arguments=self._clean(call.arguments, salt, kinds))
                for call in event.tool_calls
            )
        return msgspec.structs.replace(event, **changes)

    def evidence(self, item: Evidence, findings: Findings) -> Evidence:
        """Return evidence without words that are not kept; a reference's text is not the event's."""
        if len(item.text) > EVIDENCE_LENGTH:
            item = msgspec.structs.replace(item, text=item.text[: EVIDENCE_LENGTH - 1] + "…")
        storage = self.storage(findings)
        if storage == "full" or not item.text or item.start < 0:
            return item
        overlaps = any(item.start < found.end and found.start < item.end for found in findings or ())
        return msgspec.structs.replace(item, text="") if storage != "redacted" or overlaps else item

    def hash(self, text: str) -> str:
        """Return the keyed BLAKE2b of a text, empty where nothing is to be kept."""
        if self._storage == "none":
            return ""
        return hashlib.blake2b(text.encode(), digest_size=16, key=self._key).hexdigest()

    def _clean(self, text: str, salt: str, kinds: set[str]) -> str:
        findings = self.find(text)
        kinds.update(finding.kind for finding in findings or ())
        return self.redacted(text, findings, salt)
