"""The detectors by name: built in, and those that other packages bring through an entry point."""

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from types import MappingProxyType
from typing import Any, Final

from detectors.base import Detector, counted
from detectors.errors import DetectorError
from detectors.models.weights import Models
from schemas.events import Decision, Event, ScoredEvent

ENTRY_POINTS: Final = "weir.detectors"
"""The entry point group of third-party detectors: `name = "package.module:Class"`."""

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "toxicity": "detectors.toxicity:ToxicityDetector",
        "injection": "detectors.injection:InjectionDetector",
        "harm": "detectors.harm:HarmDetector",
        "bias": "detectors.bias:BiasDetector",
        "groups": "detectors.groups:GroupsDetector",
        "pii": "detectors.pii:PiiDetector",
        "secrets": "detectors.secrets:SecretsDetector",
        "references": "detectors.references:ReferenceDetector",
        "refusal": "detectors.refusal:RefusalDetector",
        "groundedness": "detectors.groundedness:GroundednessDetector",
        "text": "detectors.text:TextDetector",
        "language": "detectors.language:LanguageDetector",
        "terms": "detectors.terms:TermsDetector",
        "detoxify": "detectors.detoxify:DetoxifyDetector",
    }
)
DEFAULT: Final = tuple(name for name in BUILT_IN if name not in ("terms", "detoxify"))
"""What runs when nothing is asked for; terms need sets, detoxify an extra, others their name."""

RESERVED: Final = frozenset(
    field for message in (Event, ScoredEvent, Decision) for field in message.__struct_fields__
)
"""Names of columns that an event has already, so that no metric may take them."""

_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"references": ("distance_", "similarity_"), "detoxify": ("detoxify_",)}
)
"""How the metrics begin that a detector names only when it is made."""
_METRIC = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NO_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})


def available() -> dict[str, str]:
    """Return every detector that can be asked for, name to "module:Class", built-in ones first."""
    found = dict(BUILT_IN)
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        if found.setdefault(entry.name, entry.value) != entry.value:
            raise DetectorError(
                f"the entry point {entry.name!r} ({entry.value}) takes the name of {found[entry.name]}: "
                "uninstall its package or have it renamed"
            )
    return found


def build(
    models: Models,
    names: Sequence[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] = _NO_OPTIONS,
) -> list[Detector]:
    """Return the detectors asked for, in order; all of `DEFAULT` when `names` is None.

    A constructor that has a parameter `models` is given the models. `options` are its other keyword
    arguments, by detector name. Raises
    `DetectorError` when a detector is unknown, named twice, cannot start, or when metric names clash.
    """
    wanted = DEFAULT if names is None else tuple(names)
    targets = available()
    if unknown := [name for name in dict.fromkeys(wanted) if name not in targets]:
        raise DetectorError(_unknown(unknown, targets))
    if repeated := _repeated(wanted):
        raise DetectorError(f"the detector {repeated[0]!r} is named twice: name it once")
    for name in options:
        if name not in wanted:
            raise DetectorError(f"options for {name!r}, which does not run: add the detector or remove them")
    detectors = [_create(name, targets[name], models, options.get(name, {})) for name in wanted]
    validate(detectors)
    return detectors


def validate(detectors: Sequence[Detector]) -> None:
    """Raise `DetectorError` unless all metric names can be columns of one table."""
    owners: dict[str, str] = {}
    for detector in detectors:
        for metric in (*detector.metrics, *counted(detector)):
            where = f"the metric {metric!r} of the detector {detector.name!r}"
            if not _METRIC.fullmatch(metric):
                raise DetectorError(f"{where} must match [a-z][a-z0-9_]{{0,62}}: rename it")
            if metric in RESERVED:
                raise DetectorError(f"{where} is the name of an event's field: rename it")
            if metric in owners:
                raise DetectorError(f"{where} is already a metric of {owners[metric]!r}: rename one of them")
            owners[metric] = detector.name


def fingerprint(detectors: Sequence[Detector], models: Models) -> str:
    """Return 12 hex digits that change with what may change a score.

    These are the names, versions, metrics and order of the detectors, and the weights of the models.
    """
    lines = "\n".join(f"{d.name} {d.version} {','.join(d.metrics)}" for d in detectors)
    return hashlib.sha256(models.digest + lines.encode()).hexdigest()[:12]


def _create(name: str, target: str, models: Models, options: Mapping[str, Any]) -> Detector:
    module, _, attribute = target.partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise DetectorError(f"the detector {name!r} cannot be loaded from {target}: {error}") from error
    parameters = signature(factory).parameters
    given = {"models": models} if "models" in parameters else {}
    try:
        signature(factory).bind(**given, **options)
    except TypeError as error:
        allowed = ", ".join(name for name in parameters if name not in given) or "none"
        raise DetectorError(f"options of the detector {name!r}: {error}; it takes: {allowed}") from error
    try:
        detector = factory(**given, **options)
    except DetectorError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DetectorError(
            f"the detector {name!r} cannot start: {type(error).__name__}: {reason}"
        ) from error
    if not isinstance(detector, Detector):
        raise DetectorError(f"{target} is not a detector: it needs name, version, metrics, score and explain")
    if detector.name != name:
        raise DetectorError(f"{target} calls itself {detector.name!r}: register it under that name")
    return detector


def giver(metric: str) -> str:
    """Return the built-in detector that gives `metric` when it runs; empty where none does."""
    for name, beginnings in _FAMILIES.items():
        if metric.startswith(beginnings):
            return name
    for name in DEFAULT:
        module, _, attribute = BUILT_IN[name].partition(":")
        detector = getattr(import_module(module), attribute)
        if metric in (*getattr(detector, "metrics", ()), *counted(detector)):
            return name
    return ""


def _unknown(names: Sequence[str], targets: Mapping[str, str]) -> str:
    close = {name: difflib.get_close_matches(name, targets, n=1) for name in names}
    asked = ", ".join(
        repr(name) + (f" (did you mean {near[0]!r}?)" if near else "") for name, near in close.items()
    )
    hint = (
        f". One of another package is registered there as an entry point of the group {ENTRY_POINTS}, and "
        "the package is installed into the same environment as weir"
    )
    # Who mistyped a name looks for that name, not for a package.
    return (
        f"there is no detector {asked}; there are {', '.join(targets)}{'' if all(close.values()) else hint}"
    )


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for position, name in enumerate(names) if name in names[:position]]
