"""A field is only ever added, with a default: yesterday's reader and today's understand each other."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

from schemas.codec import decode, encode
from schemas.events import Event
from schemas.topics import MESSAGES
from tests.schemas.strategies import EVENTS

GOLDEN = Path(__file__).parent / "golden" / "fields.json"


def described(schema: dict[str, Any]) -> str:
    """Return the type in a JSON Schema in a few words, limits left out: they may be widened."""
    if "anyOf" in schema:
        return " | ".join(map(described, schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    inner = schema.get("items") or schema.get("additionalProperties")
    return f"{schema['type']} of {described(inner)}" if inner else str(schema["type"])


def listing() -> dict[str, dict[str, str]]:
    """Return of every message every field as "required TYPE" or "optional TYPE"."""
    fields: dict[str, dict[str, str]] = {}
    for kind in MESSAGES.values():
        for name, definition in msgspec.json.schema(kind)["$defs"].items():
            required = definition.get("required", [])
            fields[name] = {
                field: f"{'required' if field in required else 'optional'} {described(schema)}"
                for field, schema in definition["properties"].items()
            }
    return fields


def breaches(golden: dict[str, dict[str, str]], current: dict[str, dict[str, str]]) -> list[str]:
    """Return what breaks a reader or a writer of the golden listing."""
    broken = []
    for message, fields in golden.items():
        now = current.get(message, {})
        broken += [f"{message}.{field} is gone" for field in fields if field not in now]
        broken += [
            f"{message}.{field} was {fields[field]}, is {now[field]}"
            for field in now
            if field in fields and fields[field] != now[field]
        ]
        broken += [
            f"{message}.{field} is new and required"
            for field, what in now.items()
            if field not in fields and what.startswith("required")
        ]
    return broken


def test_no_field_is_removed_renamed_retyped_or_made_required() -> None:
    assert breaches(json.loads(GOLDEN.read_text()), listing()) == []


def test_the_golden_listing_knows_every_field() -> None:
    hint = f"a field was added: add it to {GOLDEN.name} in the same commit"
    assert json.loads(GOLDEN.read_text()) == listing(), hint


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({"a": "required string"}, "M.b is gone"),
        ({"a": "required string", "c": "optional integer"}, "M.b is gone"),
        ({"a": "required string", "b": "required integer"}, "M.b was optional integer, is required integer"),
        ({"a": "required string", "b": "optional string"}, "M.b was optional integer, is optional string"),
        ({"a": "optional string", "b": "optional integer"}, "M.a was required string, is optional string"),
        ({"a": "required string", "b": "optional integer", "c": "required null"}, "M.c is new and required"),
    ],
)
def test_the_rule_finds_each_breach(change: dict[str, str], breach: str) -> None:
    golden = {"M": {"a": "required string", "b": "optional integer"}}
    assert breaches(golden, {"M": change}) == [breach]


def test_the_rule_allows_a_new_optional_field_and_sees_a_lost_message() -> None:
    golden = {"M": {"a": "required string"}}
    assert breaches(golden, {"M": {"a": "required string", "b": "optional null"}, "N": {}}) == []
    assert breaches(golden, {}) == ["M.a is gone"]


class YesterdaysEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Lacks the newest fields of today's."""

    event_id: str
    app: str
    kind: str
    text: str
    model: str = ""
    prompt_tokens: int | None = None


class TomorrowsEvent(Event, frozen=True, omit_defaults=True, kw_only=True):
    """Has fields that today's lacks."""

    language: str = ""
    attachments: tuple[dict[str, Any], ...] = ()


@given(event=EVENTS)
def test_yesterdays_reader_takes_todays_event(event: Event) -> None:
    read = msgspec.json.decode(encode(event), type=YesterdaysEvent)
    for field in YesterdaysEvent.__struct_fields__:
        assert getattr(read, field) == getattr(event, field)


@given(event=EVENTS)
def test_todays_reader_takes_yesterdays_event(event: Event) -> None:
    old = YesterdaysEvent(**{f: getattr(event, f) for f in YesterdaysEvent.__struct_fields__})
    read = decode(Event, encode(old))
    for field in msgspec.structs.fields(Event):
        expected = getattr(old, field.name) if hasattr(old, field.name) else field.default
        if expected is not msgspec.NODEFAULT:
            assert getattr(read, field.name) == expected


@given(event=EVENTS)
def test_todays_reader_takes_tomorrows_event(event: Event) -> None:
    new = TomorrowsEvent(
        **{f: getattr(event, f) for f in Event.__struct_fields__},
        language="fi",
        attachments=({"name": "a.png", "pages": [1, 2]},),
    )
    assert decode(Event, encode(new)) == event


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES)
def test_no_message_forbids_unknown_fields(kind: type[msgspec.Struct]) -> None:
    assert not kind.__struct_config__.forbid_unknown_fields
