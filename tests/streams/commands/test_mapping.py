import contextlib
import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event
from schemas.rejection import Rejected
from streams.errors import UserError
from streams.ingest.field_map import CONVERTERS, FieldMap, pairs


def applied(row: dict[str, Any], *metadata: str, **columns: str) -> dict[str, Any]:
    return FieldMap(columns, {}, metadata).apply(row)


def test_a_column_named_like_a_field_needs_no_mapping_and_others_are_left_out() -> None:
    assert applied({"text": "hello", "model": "m", "label": "1"}) == {"text": "hello", "model": "m"}


def test_a_mapped_column_wins_over_one_of_the_fields_name_and_a_constant_over_both() -> None:
    row = {"kind": "jailbreak", "type": "prompt"}
    assert applied(row, kind="type") == {"kind": "prompt"}
    assert FieldMap({}, {"kind": "completion"}).apply(row) == {"kind": "completion"}


def test_a_column_may_feed_two_fields() -> None:
    assert applied({"id": "7"}, event_id="id", request_id="id") == {"event_id": "7", "request_id": "7"}


def test_a_path_leads_into_nested_objects_unless_a_column_has_that_very_name() -> None:
    row: dict[str, Any] = {"request": {"body": {"prompt": "deep"}}, "a.b": "flat", "a": {"b": "deep"}}
    assert applied(row, text="request.body.prompt", user="a.b") == {"text": "deep", "user": "flat"}
    assert applied({"request": "none"}, text="request.body") == {}


def test_metadata_is_text_under_its_columns_name_and_constants_are_not_shared() -> None:
    fields = FieldMap({"metadata.team": "t"}, {"metadata.run": "1"}, ("n", "o"))
    assert fields.apply({"t": "a", "n": 2, "o": {"x": [1]}})["metadata"] == {
        "run": "1", "team": "a", "n": "2", "o": '{"x":[1]}',
    }  # fmt: skip
    assert fields.apply({})["metadata"] == {"run": "1"}


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("event_id", 7, "7"),
        ("user", True, "true"),
        ("prompt_tokens", "12", 12),
        ("prompt_tokens", "12.0", 12),
        ("prompt_tokens", 12.0, 12),
        ("prompt_tokens", "many", "many"),
        ("cost", "0.5", 0.5),
        ("timestamp", "1700000000000", 1700000000000),
        ("timestamp", " 2026-01-02T03:04:05Z ", "2026-01-02T03:04:05Z"),
        ("timestamp", dt.datetime(2026, 1, 2), dt.datetime(2026, 1, 2)),
        ("contexts", '["a", "b"]', ["a", "b"]),
        ("contexts", "one passage", ["one passage"]),
        ("contexts", "[broken", ["[broken"]),
        ("metadata", '{"a": 1, "b": null}', {"a": "1"}),
        ("tool_calls", '[{"name": "f"}]', [{"name": "f"}]),
    ],
)
def test_values_become_the_fields_type_where_they_can(field: str, given: Any, expected: Any) -> None:
    assert applied({"column": given}, **{field: "column"}) == {field: expected}


@pytest.mark.parametrize("empty", ["", None, float("nan")])
def test_an_empty_cell_leaves_the_field_out(empty: object) -> None:
    assert applied({"model": empty, "cost": empty}) == {}


def test_an_empty_text_is_a_text() -> None:
    assert applied({"text": ""}) == {"text": ""}


def test_every_field_that_is_no_text_has_a_converter() -> None:
    texts = {
        field.name for field in msgspec.structs.fields(Event)
        if isinstance(field.default, str) or field.required
    }  # fmt: skip
    assert set(CONVERTERS) == set(Event.__struct_fields__) - texts


@pytest.mark.parametrize("value", ["812,5", "-0,5", " 1.234,5 ", "1,234.5", "1,000", "3 200,5"])
@pytest.mark.parametrize("field", ["latency_ms", "cost", "prompt_tokens"])
def test_a_number_with_a_comma_is_refused_with_a_word_on_it(field: str, value: str) -> None:
    with pytest.raises(Rejected, match=rf"`\$\.{field}`: a number with a comma: write 812\.5 for 812,5"):
        FieldMap({}, {}).apply({field: value})


def test_a_constant_with_a_comma_is_refused_too() -> None:
    with pytest.raises(UserError, match="--set cost=0,5: a number with a comma"):
        FieldMap({}, {"cost": "0,5"})


def test_columns_that_no_row_has_are_remembered() -> None:
    fields = FieldMap({"text": "prompt", "user": "who"}, {}, ("team",))
    fields.apply({"prompt": "x"})
    assert fields.unseen == {"who", "team"}


@pytest.mark.parametrize(
    ("columns", "constants", "message"),
    [
        ({"txt": "a"}, {}, "no field 'txt' (did you mean 'text'?)"),
        ({}, {"metadata.": "a"}, "no field 'metadata.'"),
        ({"app": "a"}, {"app": "b"}, "app has both --map and --set"),
    ],
)
def test_fields_are_checked(columns: dict[str, str], constants: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        FieldMap(columns, constants)
    assert message in str(caught.value)


def test_columns_are_checked_where_they_are_known() -> None:
    fields = FieldMap({"text": "promt"}, {}, ("meta.team",))
    with pytest.raises(UserError) as caught:
        fields.check_columns(["prompt", "meta"])
    assert str(caught.value) == (
        "there is no column 'promt' (did you mean 'prompt'?); the file has 'prompt', 'meta'"
    )


@pytest.mark.parametrize("text", ["text", "=x", "text="])
def test_pairs_have_two_sides(text: str) -> None:
    with pytest.raises(UserError, match="--map takes FIELD=COLUMN"):
        pairs([text], "--map")


def test_pairs_are_given_once_and_a_value_may_hold_anything() -> None:
    assert pairs(["app=", "user=a=b"], "--set") == {"app": "", "user": "a=b"}
    with pytest.raises(UserError, match="twice"):
        pairs(["app=a", "app=b"], "--set")


@given(
    st.dictionaries(
        st.sampled_from(Event.__struct_fields__), st.from_type(type(None)) | st.text() | st.floats()
    )
)
def test_whatever_a_row_holds_it_is_mapped_or_left_out_or_refused(row: dict[str, Any]) -> None:
    with contextlib.suppress(Rejected):
        assert applied(row).keys() <= row.keys()
