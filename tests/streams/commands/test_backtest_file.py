"""The report of a backtest as an HTML file: everything in it is a stranger's text."""

import re
from html.parser import HTMLParser

from streams.desk.backtest_file import STYLE, page
from streams.policy.backtest_report import Change, Report, RuleChange, Sample
from streams.policy.reviews import share

EVIL = "<script>alert(1)</script>\" onload='x' \u202etxt\x1b[31m" + "e\u0301" * 3 + "\u0301" * 50


class Tags(HTMLParser):
    """Collects the elements of a page and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def report() -> Report:
    sample = Sample(
        app=EVIL, event_id=EVIL, timestamp=1, before="allow", after="block", rules_before=[],
        rules_after=["inj"], scores={"injection": 0.9}, text=EVIL,
    )  # fmt: skip
    named = {"source": EVIL, "name": EVIL, "version": EVIL, "hash": "abc"}
    return Report(
        draft=named, baseline=named, events=100, replayed=98, unknown=2, new_blocks=3, first_ms=1,
        last_ms=9 * 86_400_000, actions_before={"allow": 98}, actions_after={"allow": 95},
        changes=[Change(EVIL, "allow", "block", number) for number in range(30)],
        causes=[RuleChange("inj", EVIL, "allow", "block", 3)], samples=[sample], reviewed=10,
        precision_before=share(7, 10), unknown_because={"metadata.team": 2},
    )  # fmt: skip


def test_it_holds_all_rows_and_nothing_that_runs_or_is_fetched() -> None:
    text = page(report(), "3 new blocks: the limit is 1")
    tags = Tags(text)
    assert tags.names <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "pre", "ul", "li", "div", "table",
        "caption", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert not {name for name in tags.attributes if name.startswith("on") or name in ("src", "href", "style")}
    assert "default-src &#x27;none&#x27;" in text
    assert re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1] == STYLE, "or its hash forbids it"  # type: ignore[index]
    assert text.count("<tr>") > 30, "no table is cut"
    for raw in ("<script", "\u202e", "\x1b", "\u0301" * 10):
        assert raw not in text
    for shown in (
        "3 new blocks: the limit is 1",
        "70% (40% to 89%, n=10)",
        "metadata.team was redacted or cut: 2",
    ):
        assert shown in text


def test_nothing_replayed_is_a_page_too() -> None:
    named = dict.fromkeys(("source", "name", "version", "hash"), "x")
    assert "none since" in page(Report(draft=named, baseline=named))
