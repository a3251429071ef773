"""The detectors as the settings want them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectors import registry
from detectors.models import SHIPPED
from detectors.models.transformer import cores
from detectors.models.weights import Models
from detectors.references.sets import ReferenceSetError
from detectors.runner import Runner
from detectors.terms import TermSetError
from streams.decisions import term_files
from streams.decisions.settings import DecisionSettings
from streams.errors import SettingsError

MOST_THREADS = 4
"""By default: one guard is one consumer beside others, not the owner of a large machine."""


def make_runner(settings: DecisionSettings) -> Runner:
    """Load the detectors; raise `SettingsError` or `DetectorError` with a user-readable message."""
    # Weir scales by processes; threads of the tokenizer on top of them fight for the same cores.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    models = Models(SHIPPED, settings.threads or min(MOST_THREADS, cores()))
    try:
        detectors = registry.build(models, chosen(settings), _options(settings))
    except ReferenceSetError as error:
        raise SettingsError(f"WEIR_REFERENCES, WEIR_REFERENCE_NEIGHBOURS: {error}") from None
    except TermSetError as error:
        raise SettingsError(f"WEIR_TERMS: {error}") from None
    return Runner(detectors, models, settings.detector_budget_ms / 1000)


def chosen(settings: DecisionSettings) -> tuple[str, ...]:
    """Return the names of the detectors to run: those of the setting, or the default ones and more."""
    names = _named(settings.detectors)
    return (*names, "terms") if settings.terms and "terms" not in names else names


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    added = tuple(name.removeprefix("+") for name in names if name.startswith("+"))
    if len(added) == len(names):
        return registry.DEFAULT + added
    if added:
        raise SettingsError("WEIR_DETECTORS: put + before every name (to add them), or before none")
    return names


def owners(runner: Runner) -> dict[str, str]:
    """Return the detector of every metric that a policy can name."""
    return {metric: runner.owner(metric) for metric in (*runner.metrics, *runner.counted)}


def _options(settings: DecisionSettings) -> Mapping[str, Mapping[str, Any]]:
    options: dict[str, Mapping[str, Any]] = {}
    if settings.references or settings.reference_neighbours > 1:
        options["references"] = {
            "files": dict(_reference(name, text) for name, text in settings.references.items()),
            "k": settings.reference_neighbours,
        }
    if settings.terms:
        options["terms"] = {"sets": term_files.load(settings.terms)}
    if "detoxify" in chosen(settings):
        model, _, folder = settings.detoxify.partition(":")
        options["detoxify"] = (
            {"checkpoint": Path(model), "config": Path(folder)} if folder else {"model": model}
        )
    return options


def _reference(name: str, text: str) -> tuple[str, tuple[str, Path]]:
    kind, _, path = text.partition(":")
    if kind not in ("topic", "attack") or not path:
        raise SettingsError(f"WEIR_REFERENCES: {name}: write topic:FILE or attack:FILE")
    return name, (kind, Path(path))
