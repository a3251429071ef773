"""What is told of a text beside its scores: whom it names, and what it is about."""

from collections.abc import Callable
from typing import Any, NamedTuple

from detectors.batch import Batch
from detectors.models import sketches
from detectors.runner import Runner


class Traits(NamedTuple):
    """Of one text."""

    named_groups: tuple[str, ...] = ()
    nearest_reference: str = ""
    sketch: bytes = b""


class Teller:
    """Tells the traits of texts whose features are there: of those that failed there are none.

    A detector with a method `named` or `nearest_topics` is asked: it takes a batch of N texts and returns the
    groups that each names, or the reference that is nearest to each.
    """

    def __init__(self, runner: Runner) -> None:
        self._models = runner.models
        self._sketches = runner.models.part(sketches.load)
        self._named: Callable[[Batch], list[tuple[str, ...]]] | None = _method(runner, "named")
        self._nearest: Callable[[Batch], list[str]] | None = _method(runner, "nearest_topics")

    def of(self, batch: Batch) -> list[Traits]:
        """Return the traits of each of N texts of a batch that was scored."""
        named: list[tuple[str, ...]] = [()] * len(batch)
        made, nearest = [b""] * len(batch), [""] * len(batch)
        if batch.has("tokens") and self._named is not None:
            named = self._named(batch)
        if batch.has("embeddings"):
            if self._sketches is not None:
                made = self._sketches.of(batch.embeddings)
            if self._nearest is not None:
                nearest = self._nearest(batch)
        return list(map(Traits, named, nearest, made))

    def sketch(self, traits: Traits, text: str, kept: str) -> bytes:
        """Return the sketch of what is kept of a text: it is to tell no more than that."""
        if not traits.sketch or kept == text:
            return traits.sketch
        if not kept or self._sketches is None:
            return b""
        return self._sketches.of(self._models.embeddings.embed(self._models.encoder.encode([kept])))[0]


def _method(runner: Runner, name: str) -> Any:
    return next((getattr(each, name) for each in runner.detectors if hasattr(each, name)), None)
