"""docs/events.md names every field, topic, reason and mapped attribute."""

import re
from pathlib import Path

import msgspec
import pytest

from schemas import topics
from schemas.codec import MAX_BYTES, Decoder, Reason
from schemas.events import Evidence, RuleHit, ToolCall
from schemas.otel.attributes import ATTRIBUTES
from schemas.topics import MESSAGES

TEXT = (Path(__file__).parents[2] / "docs" / "events.md").read_text("utf-8")
NESTED: tuple[type[msgspec.Struct], ...] = (ToolCall, RuleHit, Evidence)
STRUCTS: tuple[type[msgspec.Struct], ...] = (*MESSAGES.values(), *NESTED)


def section(title: str) -> str:
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/events.md lacks the section {title!r}"
    return found[2]


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each table row by the name in its first cell."""
    cells = [
        [c.strip() for c in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {first.strip("`"): rest for first, *rest in cells}


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_every_field_with_its_default(kind: type[msgspec.Struct]) -> None:
    documented = rows(section(kind.__name__))
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    assert list(documented) == list(fields)
    for name, (_, default, meaning) in documented.items():
        assert (default == "**required**") is fields[name].required, name
        if not fields[name].required:
            factory = fields[name].default_factory
            value = fields[name].default if factory is msgspec.NODEFAULT else factory()
            assert msgspec.json.decode(default.strip("`")) == msgspec.to_builtins(
                list(value) if isinstance(value, tuple) else value
            ), name
        assert meaning, name


def test_every_topic() -> None:
    assert tuple(rows(section("Topics and keys"))) == topics.ALL


def test_every_reason_and_no_other() -> None:
    assert list(rows(section("Reasons of dead letters"))) == list(Reason)


def test_every_reason_is_documented_in_the_code() -> None:
    source = (Path(__file__).parents[2] / "schemas" / "rejection.py").read_text("utf-8")
    for reason in Reason:
        assert re.search(rf'{reason.name} = "{reason}"\n    """', source), reason


def test_every_attribute_in_its_order() -> None:
    mapped = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|", section("From OpenTelemetry"), re.MULTILINE)
    documented = [
        (name, field, on) for field, on, names in mapped for name in re.findall(r"`([^`]+)`", names)
    ]
    assert sorted(documented) == sorted(
        (name, target.field, target.on) for name, target in ATTRIBUTES.items()
    )
    for field, on in {(target.field, target.on) for target in ATTRIBUTES.values()}:
        order = [name for name, target in ATTRIBUTES.items() if (target.field, target.on) == (field, on)]
        assert [name for name, *where in documented if where == [field, on]] == order


def test_the_stated_limits_are_the_defaults() -> None:
    rules = section("Rules for every message")
    decoder = Decoder()
    assert f"{MAX_BYTES:,} bytes" in rules
    assert ("ten years back" in rules) is (decoder.max_past_ms == 3653 * 24 * 3600 * 1000)
    assert ("one hour ahead" in rules) is (decoder.max_future_ms == 3600 * 1000)


@pytest.mark.parametrize(
    "example", re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL), ids=["smallest", "full"]
)
def test_the_examples_are_events(example: str) -> None:
    event, _ = Decoder().decode_event(example.encode(), 1_800_000_000_000, 1_800_000_000_000)
    assert set(msgspec.json.decode(example)) <= set(event.__struct_fields__)
