"""What of a text is kept: the storage policy, applied before anything leaves the guard."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from detectors.limits import SCAN_LIMIT
from detectors.privacy.finders import FINDERS, Findings, find_all
from detectors.privacy.findings import Finding
from detectors.privacy.redaction import Redactor
from detectors.privacy.tail import Tail
from detectors.privacy.views import Find
from schemas.events import Event, Evidence, Storage, ToolCall

EVIDENCE_LENGTH = 200
"""Characters of a piece of evidence, at most: a phrase or a sentence may be a whole page."""
UNKNOWN_REACH = 256
"""Characters of a growing text that wait in any case, where there are finders besides the built-in ones: of
those it is not known how a value begins."""
HASHED = 20_000
"""Characters from the beginning and from the end of a text beyond the scan limit that its hash is of."""
Known = Sequence[Finding] | None
"""What was found in a text; None where it is not known, because a finder failed."""


class Keeper:
    """Reduces texts as the storage policy says. Where a finder fails, the text is withheld, not kept.

    Args:
        storage: what the operator wants to keep.
        key: of placeholders and hashes, at least 16 bytes.
        finders: what nothing of may be left in a redacted text.

    """

    def __init__(self, storage: Storage, key: bytes, finders: Sequence[Find] = FINDERS) -> None:
        self._storage = storage
        self._redactor = Redactor(key, finders)
        self._finders = finders
        self._key = key[:64]

    def redacted(self, text: str, findings: Findings, salt: str) -> str:
        """Return a text without what was found in it; only its length, where that is not known."""
        return self._replaced(text, findings.of(text), salt)

    def _replaced(self, text: str, known: Known, salt: str) -> str:
        withheld = f"[WITHHELD {len(text)} characters]"
        if known is None:
            return withheld
        try:
            return self._redactor.redact(text, known, salt)
        except Exception:  # whatever a finder stumbles over in what is left: it must not stop the stream
            return withheld

    def tail(self, salt: str) -> Tail:
        """Return what redacts a text while it grows, by the same finders and to the same end."""
        reach = UNKNOWN_REACH if set(self._finders) - set(FINDERS) else 0
        return Tail(self._redactor, salt, self._find, reach)

    def storage(self, known: Known) -> Storage:
        """Return what is kept of a text: what cannot be redacted is not kept."""
        return "hash" if self._storage == "redacted" and known is None else self._storage

    def kept(self, event: Event, findings: Findings, text: str | None = None) -> Event:
        """Return the event with its texts reduced; the prompt of a completion is an event of its own.

        `text` is its redacted text, where that is there already.
        """
        if event.prompt:
            event = msgspec.structs.replace(event, prompt="")
        storage = self.storage(findings.of(event.text))
        if storage == "full":
            return event
        salt = event.conversation_id
        metadata = {
            self.redacted(name, findings, salt): self._replaced(value, findings.of_entry(name, value), salt)
            for name, value in event.metadata.items()
        }
        if storage != "redacted":
            return event.without_texts(metadata)
        # The text without findings too: of one beyond the scan limit the rest is cut.
        if text is None:
            text = self.redacted(event.text, findings, salt)
        changes: dict[str, Any] = {"text": text}
        if metadata:
            changes["metadata"] = metadata
        if event.system_prompt:
            changes["system_prompt"] = self.redacted(event.system_prompt, findings, salt)
        if event.contexts:
            changes["contexts"] = tuple(self.redacted(text, findings, salt) for text in event.contexts)
        if event.tool_calls:
            changes["tool_calls"] = tuple(
                ToolCall(name=call.name, arguments=self.redacted(call.arguments, findings, salt))
                for call in event.tool_calls
            )
        return msgspec.structs.replace(event, **changes)

    def evidence(self, item: Evidence, known: Known) -> Evidence:
        """Return evidence without words that are not kept; a reference's text is not the event's."""
        if len(item.text) > EVIDENCE_LENGTH:
            item = msgspec.structs.replace(item, text=item.text[: EVIDENCE_LENGTH - 1] + "…")
        storage = self.storage(known)
        if storage == "full" or not item.text or item.start < 0:
            return item
        overlaps = any(item.start < found.end and found.start < item.end for found in known or ())
        return msgspec.structs.replace(item, text="") if storage != "redacted" or overlaps else item

    def hash(self, text: str) -> str:
        """Return the keyed BLAKE2b of a text, empty where nothing is to be kept.

        Of a text beyond the scan limit it is that of its beginning, its end and its length: a megabyte takes
        a millisecond to hash, a fifth of all that is done for it while the guard is flooded.
        """
        if self._storage == "none":
            return ""
        if len(text) > SCAN_LIMIT:
            text = f"{text[:HASHED]}\0{text[-HASHED:]}\0{len(text)}"
        return hashlib.blake2b(text.encode(), digest_size=16, key=self._key).hexdigest()

    def _find(self, text: str) -> Known:
        try:
            return find_all(text, self._finders)
        except Exception:  # whatever a finder stumbles over: the rest of the text is withheld
            return None
