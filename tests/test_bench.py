"""The pure parts of the benchmark: what is published, and how results become a page."""

import datetime as dt
import json
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import report
from bench.__main__ import PAGE, arguments
from bench.measure import per_thousand, samples
from bench.texts import MEDIAN_WORDS, MOST_WORDS, make_events, messages, read_texts, texts
from schemas import codec
from schemas.events import Event

METRICS = """# HELP weir_stage_seconds Seconds of one stage of a batch
weir_stage_seconds_sum{stage="score"} 1.5
weir_stage_seconds_sum{stage="encode"} 0.5
weir_stage_seconds_count{stage="score"} 7.0
weir_messages_total 3000.0
"""


def test_texts_are_the_same_each_time_and_of_ordinary_lengths() -> None:
    found = list(islice(texts(), 2_000))
    assert found == list(islice(texts(), 2_000))
    lengths = sorted(len(text.split()) for text in found)
    assert MEDIAN_WORDS * 0.7 < lengths[1_000] < MEDIAN_WORDS * 1.6
    assert lengths[-1] > 10 * MEDIAN_WORDS
    assert lengths[-1] < MOST_WORDS + 40


def test_events_have_ids_of_their_own_and_pass_the_codec() -> None:
    events = make_events(50, "x")
    decoded = [codec.decode(Event, value) for _, value in messages(events)]
    assert decoded == events
    assert len({event.event_id for event in events}) == 50
    assert {event.kind for event in events} == {"prompt", "completion"}


def test_texts_of_a_file_are_repeated(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join(json.dumps({"text": text}) for text in ("one", "two")) + "\n\n")
    assert [event.text for event in make_events(5, "x", read_texts(file))] == [
        "one",
        "two",
        "one",
        "two",
        "one",
    ]


@pytest.mark.parametrize(
    ("content", "message"), [('{"txt": 1}', "line 1"), ("", "no texts"), ("[1]", "line 1")]
)
def test_a_file_without_texts_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_texts(file)


def test_samples_are_read_by_label() -> None:
    assert samples(METRICS, "weir_stage_seconds_sum") == {"score": 1.5, "encode": 0.5}
    assert samples(METRICS, "weir_messages_total") == {"": 3000.0}
    assert samples(METRICS, "weir_stage_seconds") == {}


def test_costs_are_of_the_growth_between_two_readings() -> None:
    after = METRICS.replace("} 1.5", "} 4.5")
    assert per_thousand("weir_stage_seconds_sum", METRICS, after, 2_000) == {"score": 1500.0}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], share: float) -> None:
    found = report.percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def results() -> list[report.Results]:
    first = report.Results(
        "embedded broker", {"pass": [900.0, 1_100.0, 1_000.0], "guard": [250.0]}, [1.0, 3.0]
    )
    first.detectors, first.stages = {"pii": 2.0, "text": 5.0}, {"score": 40.0}
    return [first, report.Results("Apache Kafka", {"pass": [2_000.0], "guard": [500.0]}, [2.0])]


def test_the_page_has_medians_and_shares() -> None:
    setup = report.Setup(20_000, 51.4, 3, 200.0, 20.0, "a machine", dt.date(2027, 1, 31))
    text = report.markdown(setup, results())
    assert (
        "2027-01-31: a machine. 20,000 events per run, 51 words each in the mean; medians of 3 runs." in text
    )
    assert "| pass | 1,000 | 1.000 | 2,000 | 1.000 |" in text
    assert "| guard | 250 | 0.250 | 500 | 0.250 |" in text
    assert "| embedded broker | 1.0 | 3.0 | 3.0 | 2 |" in text
    assert text.index("| text | 5.0 |") < text.index("| pii | 2.0 |")
    tables = [block.splitlines() for block in text.split("\n\n")[1:]]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)


def test_results_replace_what_was_between_the_markers() -> None:
    page = "before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n"
    once = report.insert(page, "new")
    assert "old" not in once
    assert once.startswith("before\n")
    assert once.endswith("\nafter\n")
    assert report.insert(once, "new") == once
    with pytest.raises(ValueError, match="needs the lines"):
        report.insert("no markers", "new")


def test_the_page_in_the_repository_can_be_written() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "## How it is measured" in report.insert(report.insert(page, "x"), "y", "floods")


@pytest.mark.parametrize("argv", [["--quick", "--write"], ["--events", "0"], ["--rate", "-1"]])
def test_arguments_that_make_no_sense_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(argv)


def test_quick_is_short() -> None:
    options = arguments(["--quick"])
    assert options.events < 5_000
    assert options.embedded
