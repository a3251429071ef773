from pathlib import Path

import pytest

from detectors import registry
from streams.decisions.scoring import chosen, make_runner
from streams.errors import SettingsError
from streams.monitors.settings import unknown_watched
from streams.settings import Settings


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]


def test_a_watched_name_that_nothing_gives_is_named_with_the_nearest_one() -> None:
    (problem,) = unknown_watched(settings(watch_metrics="toxcity,latency_ms"), ["toxicity"])
    assert "'toxcity' (did you mean 'toxicity'?)" in problem


def test_the_default_watch_list_may_name_metrics_of_detectors_that_are_not_loaded() -> None:
    assert unknown_watched(settings(), ["toxicity"]) == []


def test_plus_adds_to_the_default_detectors() -> None:
    assert chosen(settings()) == registry.DEFAULT
    assert chosen(settings(detectors="+detoxify")) == (*registry.DEFAULT, "detoxify")
    assert chosen(settings(detectors="pii,text")) == ("pii", "text")
    with pytest.raises(SettingsError, match="before every name"):
        chosen(settings(detectors="pii,+text"))


def test_the_neighbour_that_counts_is_that_of_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "soups.txt"
    path.write_text("hot soup\ncold soup\nsoup with lentils\n", encoding="utf-8")
    versions = [
        make_runner(settings(detectors="references", references={"soup": f"topic:{path}"}, **more)).detectors[
            0
        ]
        for more in ({}, {"reference_neighbours": 3})
    ]
    assert [detector.version.split("-")[1] for detector in versions] == ["k1", "k3"]
    assert "distance_soup" in versions[1].metrics
    with pytest.raises(SettingsError, match=r"WEIR_REFERENCE.*: 3 different references, fewer than k = 4"):
        make_runner(settings(references={"soup": f"topic:{path}"}, reference_neighbours=4))
