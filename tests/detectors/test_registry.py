import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from detectors import registry
from detectors.base import FloatMatrix
from detectors.batch import Batch
from detectors.errors import DetectorError
from detectors.models.weights import Models
from schemas.events import Evidence
from tests.models import MODELS


class Plain:
    name = "plain"
    version = "1"
    metrics: tuple[str, ...] = ("plain",)

    def __init__(self, level: float = 0.5) -> None:
        self.level = level

    def score(self, batch: Batch) -> FloatMatrix:
        return np.full((len(batch), len(self.metrics)), self.level, dtype=np.float32)

    def explain(self, batch: Batch, row: int) -> list[Evidence]:
        return []


class Misnamed(Plain):
    name = "other"


class Broken(Plain):
    def __init__(self) -> None:
        raise OSError("the model file is damaged")


class Unready(Plain):
    def __init__(self) -> None:
        raise DetectorError("say this")


class NotADetector:
    name = "plain"


def named(*metrics: str, name: str = "plain") -> Plain:
    detector = Plain()
    detector.name, detector.metrics = name, metrics
    return detector


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Entry points, name to value, that a test may add to; `plugin:` is a module with the classes above."""
    module = ModuleType("plugin")
    vars(module).update({c.__name__: c for c in (Plain, Misnamed, Broken, Unready, NotADetector)})
    monkeypatch.setitem(sys.modules, "plugin", module)
    found: dict[str, str] = {}

    def entry_points(group: str) -> list[EntryPoint]:
        assert group == "weir.detectors"
        return [EntryPoint(name, value, group) for name, value in found.items()]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return found


def test_what_needs_an_extra_or_a_setting_is_built_in_and_does_not_run_unasked() -> None:
    assert set(registry.BUILT_IN) - set(registry.DEFAULT) == {"detoxify", "terms"}
    assert {registry.BUILT_IN[name].split(":")[0] for name in registry.DEFAULT} == {
        f"detectors.{name}" for name in registry.DEFAULT
    }


def test_builds_what_is_asked_in_order() -> None:
    assert [detector.name for detector in registry.build(MODELS, ["secrets", "pii"])] == ["secrets", "pii"]
    assert registry.build(MODELS, []) == []


def test_an_entry_point_adds_a_detector(plugins: dict[str, str]) -> None:
    plugins["plain"] = "plugin:Plain"
    assert list(registry.available()) == [*registry.BUILT_IN, "plain"]
    (detector,) = registry.build(MODELS, ["plain"], {"plain": {"level": 0.25}})
    assert detector.score(Batch.of_texts(["a"], MODELS)).tolist() == [[0.25]]


def test_an_entry_point_may_not_replace_a_built_in_detector(plugins: dict[str, str]) -> None:
    plugins["pii"] = "plugin:Plain"
    with pytest.raises(DetectorError, match=r"'pii' \(plugin:Plain\) takes the name of detectors\.pii"):
        registry.available()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("plugin:Missing", "cannot be loaded from plugin:Missing"),
        ("no_such_module:Plain", "No module named 'no_such_module'"),
        ("plugin:Misnamed", "calls itself 'other'"),
        ("plugin:Broken", "cannot start: OSError: the model file is damaged"),
        ("plugin:Unready", "^say this$"),
        ("plugin:NotADetector", "is not a detector: it needs name, version"),
    ],
)
def test_a_bad_plugin_is_named(plugins: dict[str, str], target: str, message: str) -> None:
    plugins["plain"] = target
    with pytest.raises(DetectorError, match=message):
        registry.build(MODELS, ["plain"])


def test_an_unknown_name_gets_a_suggestion_and_the_list() -> None:
    with pytest.raises(
        DetectorError, match=r"no detector 'toxcity' \(did you mean 'toxicity'\?\); there are tox"
    ) as mistyped:
        registry.build(MODELS, ["toxcity"])
    with pytest.raises(DetectorError, match="no detector 'zzz'; there are") as missing:
        registry.build(MODELS, ["zzz"])
    hint = (
        "an entry point of the group weir.detectors, and the package is installed into the same environment"
    )
    assert (hint in str(mistyped.value), hint in str(missing.value)) == (False, True)


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(DetectorError, match="'pii' is named twice"):
        registry.build(MODELS, ["pii", "pii"])


def test_options_are_checked(plugins: dict[str, str]) -> None:
    plugins["plain"] = "plugin:Plain"
    with pytest.raises(DetectorError, match=r"options of the detector 'plain': .*'colour'; it takes: level"):
        registry.build(MODELS, ["plain"], {"plain": {"colour": "red"}})
    with pytest.raises(DetectorError, match="options for 'pii', which does not run"):
        registry.build(MODELS, ["plain"], {"pii": {}})


@pytest.mark.parametrize("metric", ["Upper", "1st", "with space", "", "a" * 64, "dash-ed", "drop;table", "é"])
def test_a_metric_must_be_able_to_be_a_column(metric: str) -> None:
    with pytest.raises(DetectorError, match="must match"):
        registry.validate([named(metric)])


@pytest.mark.parametrize("metric", ["text", "model", "event_id", "pii_types", "verdict", "failed", "scores"])
def test_a_metric_must_not_be_a_field_of_an_event(metric: str) -> None:
    with pytest.raises(
        DetectorError, match=f"'{metric}' of the detector 'plain' is the name of an event's field"
    ):
        registry.validate([named(metric)])


def test_a_metric_has_one_owner() -> None:
    with pytest.raises(DetectorError, match="'b' of the detector 'second' is already a metric of 'first'"):
        registry.validate([named("a", "b", name="first"), named("b", name="second")])
    with pytest.raises(DetectorError, match="already a metric of 'plain'"):
        registry.validate([named("a", "a")])


def test_the_fingerprint_tells_versions_apart() -> None:
    one, two, newer = named("a", name="one"), named("b", name="two"), named("a", name="one")
    newer.version = "2"
    prints = [
        registry.fingerprint(d, MODELS)
        for d in ([], [one], [two], [one, two], [two, one], [newer], [named("c", name="one")])
    ]
    assert len(set(prints)) == len(prints)
    assert registry.fingerprint([one, two], MODELS) == registry.fingerprint(
        [named("a", name="one"), two], MODELS
    )
    assert all(len(p) == 12 for p in prints)


def test_the_fingerprint_tells_weights_apart(tmp_path: Path) -> None:
    prints = []
    for content in (b"1", b"2"):
        (tmp_path / "heads.npz").write_bytes(content)
        (tmp_path / "card.md").write_bytes(b"any")
        prints.append(registry.fingerprint([named("a")], Models(tmp_path)))
    (tmp_path / "card.md").unlink()
    assert registry.fingerprint([named("a")], Models(tmp_path)) == prints[1] != prints[0]
