import pytest

from detectors import registry
from streams.detecting import chosen, unknown_watched
from streams.settings import Settings, SettingsError


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
