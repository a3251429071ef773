import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from schemas import export
from schemas.codec import Reason, Rejected, decode, encode
from schemas.events import Event, Feedback
from schemas.topics import MESSAGES
from tests.malformed import KINDS, Maker
from tests.schemas.strategies import EVENTS, FEEDBACK

VALIDATORS = {name: jsonschema.Draft202012Validator(export.json_schema(name)) for name in MESSAGES}
IN_SCHEMA = (
    Reason.NOT_AN_OBJECT,
    Reason.MISSING_FIELD,
    Reason.WRONG_TYPE,
    Reason.INVALID_VALUE,
    Reason.INVALID_LENGTH,
)
"""The reasons that a JSON Schema can know; the others are about bytes, syntax and clocks."""
TYPE_ERRORS = {name: make for name, make, reason in KINDS if reason in IN_SCHEMA}
NOT_IN_JSON = {"infinite cost", "endless integer"}


def test_the_committed_files_are_up_to_date() -> None:
    assert [path.name for path in export.stale()] == [], "run `python -m schemas.export`"
    assert len(export.rendered()) == len(MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_each_schema_is_valid_draft_2020_12(name: str) -> None:
    schema = export.json_schema(name)
    assert schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    jsonschema.Draft202012Validator.check_schema(schema)


@given(event=EVENTS)
def test_the_schema_accepts_what_the_decoder_accepts(event: Event) -> None:
    payload = encode(event)
    assert decode(Event, payload) == event
    VALIDATORS["event"].validate(json.loads(payload))


@given(feedback=FEEDBACK)
def test_the_schema_of_feedback_accepts_what_the_decoder_accepts(feedback: Feedback) -> None:
    VALIDATORS["feedback"].validate(json.loads(encode(feedback)))


@pytest.mark.parametrize(
    "make", [m for n, m in TYPE_ERRORS.items() if n not in NOT_IN_JSON], ids=lambda _: ""
)
def test_the_schema_refuses_what_the_decoder_refuses(make: Maker) -> None:
    payload = make(random.Random(1))
    with pytest.raises(Rejected):
        decode(Event, payload)
    assert payload is not None
    assert not VALIDATORS["event"].is_valid(json.loads(payload))


def test_descriptions_come_from_the_docstrings() -> None:
    event = export.json_schema("event")["$defs"]["Event"]
    assert event["description"].startswith("One prompt or one completion")
    assert "\n  " not in event["description"]
    assert event["properties"]["cost"]["description"] == "US dollars."
    assert "description" not in event["properties"]["text"]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(export, "DIRECTORY", tmp_path / "json")
    return tmp_path / "json"


def test_check_names_what_is_stale_and_write_mends_it(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export.main(["--check"]) == 1
    assert not directory.exists()
    assert len(capsys.readouterr().err.splitlines()) == len(MESSAGES)

    assert export.main([]) == 0
    assert export.main(["--check"]) == 0
    (directory / "event.json").write_text("{}")
    (directory / "gone.json").write_text("{}")
    assert export.main(["--check"]) == 1
    err = capsys.readouterr().err
    assert "event.json is stale: run `python -m schemas.export`" in err
    assert "gone.json" in err

    assert export.main([]) == 0
    assert export.main(["--check"]) == 0
    assert not (directory / "gone.json").exists()


def test_files_are_readable_json(directory: Path) -> None:
    export.write()
    written: dict[str, Any] = {path.stem: json.loads(path.read_text()) for path in directory.iterdir()}
    assert written == {name: json.loads(json.dumps(export.json_schema(name))) for name in MESSAGES}
