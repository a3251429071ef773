"""The detectors as the settings want them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectors import registry
from detectors.runner import Runner
from streams.settings import Settings, SettingsError


def make_runner(settings: Settings) -> Runner:
    """Load the detectors; raise `SettingsError` or `DetectorError` with a user-readable message."""
    detectors = registry.build(settings.detectors or None, _options(settings))
    return Runner(detectors, settings.detector_budget_ms / 1000)


def owners(runner: Runner) -> dict[str, str]:
    """Return the detector of every metric."""
    return {metric: runner.owner(metric) for metric in runner.metrics}


def _options(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    options: dict[str, Mapping[str, Any]] = {}
    if settings.references:
        options["references"] = {
            "files": dict(_reference(name, text) for name, text in settings.references.items())
        }
    if "detoxify" in settings.detectors:
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
