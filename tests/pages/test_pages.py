"""The pages in a real browser, as wide as a desk's screen and as narrow as a phone's."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.pages.conftest import SIZES, Served, Tab
from tests.pages.hostile import HOSTILE

PAGES = (
    "/?since=7d", "/events?since=7d", "/review", "/compare", "/compare?by=period&since=24h", "/drift",
    "/drift?id=dr-1", "/usage?by=tenant&metric=refusal", "/policy", "/event?app=shop&id=e-46",
)  # fmt: skip
REVIEWS = 10


def faults(tab: Tab) -> list[str]:
    """Return what axe-core finds that is serious."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    # As if typed into the console of the browser: to the page itself it may not be added.
    tab.page.evaluate(Path(axe.__file__).with_name("axe.min.js").read_text())
    found: dict[str, Any] = tab.page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_and_has_no_serious_fault(tab: Tab, path: str) -> None:
    tab.open(path)
    assert tab.page.title().endswith(" · weir")
    for size in SIZES.values():
        tab.page.set_viewport_size(size["viewport"])
        tab.page.emulate_media(color_scheme=size["color_scheme"])
        assert not tab.wider_than_the_screen, size
        assert tab.scrolled_sideways == [], size
        assert faults(tab) == [], size


@pytest.mark.parametrize("tab", ["phone"], indirect=True)
def test_hostile_text_breaks_no_layout_and_runs_nothing(tab: Tab) -> None:
    paths = [f"/event?app=hostile&id=h{number}" for number in range(len(HOSTILE))]
    for path in ["/?since=1h", "/events?app=hostile", "/drift?since=1h", "/usage?by=model&since=1h", *paths]:
        tab.open(path)
        assert not tab.wider_than_the_screen, path
        assert tab.scrolled_sideways == [], path
        assert tab.page.locator("header nav a").first.is_visible()
        assert tab.page.locator("img, iframe").count() == 0
    assert tab.wrong == []


def test_an_event_is_found_opened_and_explained(tab: Tab) -> None:
    tab.open("/?since=7d")
    tab.page.get_by_role("link", name="injection-block", exact=True).first.click()
    assert "rule=injection-block" in tab.page.url
    tab.page.locator("td a[href^='/event?app=']:not([href*=hostile])").first.click()
    assert "injection-block (injection 0.97)" in tab.page.locator(".why").inner_text()
    assert tab.page.locator("pre.text mark").first.inner_text() == "Ignore all previous instructions"
    tab.page.locator("a.sql").first.click()
    assert tab.page.locator("#sql").get_attribute("open") is not None


FIRST_EVENT = "td a[href^='/event?app=']:not([href*=hostile])"
QUESTIONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "why was this blocked",
        ("a:has-text('Blocked')", FIRST_EVENT),
        "Why block: injection-block (injection 0.97)",
    ),
    ("which app costs most", ("header a:has-text('Usage')",), "Gap to the others bank"),
    ("did v8 refuse more than v7", ("header a:has-text('Compare')",), " points [+"),
    ("was injection-block right", (), "4 of 6, 67%"),
    (
        "what would my new rule do",
        ("header a:has-text('Policy')", "a:has-text('Try a draft')"),
        "see what it would have",
    ),
    ("who attacks us", ("a:has-text('all users')",), "Blocked most: user "),
    ("is anything broken", (), "guard: not reached: nothing answers at 127.0.0.1:1"),
    ("what changed since yesterday", ("a:has-text('What changed')",), "Latency: what got slower, first"),
    (
        "where does this text occur again",
        ("a:has-text('Blocked')", FIRST_EVENT, "a:has-text('All events with this text')"),
        "text hash ",
    ),
    (
        "how do I undo a demotion",
        ("header a:has-text('Policy')",),
        "weir policy restore repetition-flag puts it back",
    ),
)
"""Each with what is clicked for it, from the overview on, and what answers it."""


def test_what_a_newcomer_asks_is_some_clicks_away(tab: Tab) -> None:
    for question, clicks, answer in QUESTIONS:
        tab.open("/?since=7d")
        for click in clicks:
            tab.page.locator(click).first.click()
        assert answer in " ".join(tab.page.locator("main").inner_text().split()), question


def test_ten_events_are_reviewed_by_keyboard(tab: Tab, served: Served) -> None:
    before = len(served.desk.producer.sent)
    tab.open("/review")
    seen = set()
    for number in range(REVIEWS):
        seen.add(tab.page.locator("input[name=event_id]").get_attribute("value"))
        if number == REVIEWS - 1:
            ruled = tab.page.locator("input[name=metric]").nth(1)
            rule, key = ruled.get_attribute("value"), ruled.get_attribute("data-key")
            tab.page.locator("input[data-key='0']").click()
            if key:
                tab.page.keyboard.press(key)
            else:  # a rule that the policy no longer has
                ruled.click()
        with tab.page.expect_navigation(url=re.compile("/review.*saved=")):
            tab.page.keyboard.press("awmu"[number % 4])
    assert len(seen) == REVIEWS
    sent = served.desk.producer.sent[before:]
    assert {each.event_id for each in sent} == seen
    assert [each.judgement for each in sent[:4]] == ["correct", "false_positive", "false_negative", "unsure"]
    assert [each.metric for each in sent] == [""] * (REVIEWS - 1) + [rule], "the last one of a rule alone"


def test_a_filter_is_typed_and_stands_in_the_address(tab: Tab) -> None:
    tab.open("/events?since=7d")
    tab.page.get_by_label("Metric").select_option("refusal")
    tab.page.get_by_label("At least").fill("0.8")
    tab.page.get_by_role("button", name="Show").click()
    assert "metric=refusal" in tab.page.url
    assert "least=0.8" in tab.page.url
    assert tab.page.locator("table tbody tr").count() == 50


def test_a_draft_is_tried_on_what_was(tab: Tab) -> None:
    tab.open("/policy")
    area = tab.page.locator("textarea[name=draft]")
    area.fill(area.input_value().replace("refusal >= 0.5", "refusal >= 0.95"))
    tab.page.get_by_role("button", name="Backtest").click()
    tab.page.get_by_role("heading", name="A draft, tried").wait_for(timeout=200_000)
    changes = tab.page.get_by_role("region", name="What changes in the policy").inner_text()
    assert "refusal >= 0.95" in changes
    assert "refusal-flag" in tab.page.get_by_role("region", name="Rules;").inner_text()
    again = tab.page.locator("textarea[name=draft]").input_value()
    assert "refusal >= 0.95" in again
    assert "\u27e8" not in again, "a browser's line ends are no controls: the draft can be tried again"
    tab.page.set_viewport_size(SIZES["phone"]["viewport"])
    assert not tab.wider_than_the_screen
    assert tab.scrolled_sideways == []


def test_the_overview_is_alive(tab: Tab) -> None:
    tab.open("/?since=7d")
    tab.page.evaluate("document.querySelector('#live').dataset.old = 'yes'")
    tab.page.wait_for_selector("#live:not([data-old])")
    assert tab.page.locator("#live .tiles li").count() == 9


@pytest.mark.parametrize("wide", [390, 1100, 1366])
def test_large_numbers_stay_in_their_tiles(tab: Tab, wide: int) -> None:
    tab.page.set_viewport_size({"width": wide, "height": 900})
    tab.open("/?since=7d")
    tab.page.evaluate(
        "document.querySelectorAll('.tiles a').forEach(a => a.lastChild.data = '1,234,567 (12.3%)')"
    )
    cut = "[...document.querySelectorAll('.tiles li')].filter(li => li.scrollWidth > li.clientWidth).length"
    assert tab.page.evaluate(cut) == 0


@pytest.mark.parametrize("tab", ["phone"], indirect=True)
def test_what_is_a_card_on_a_phone_names_its_columns(tab: Tab) -> None:
    tab.open("/drift?app=shop")
    shown = "[...document.querySelectorAll('tbody tr:first-child td')].map("
    shown += "td => getComputedStyle(td, '::before').content)"
    names = tab.page.evaluate(shown)
    assert {'"Since "', '"Times "'} <= set(names)


def test_an_alert_is_acknowledged(tab: Tab, served: Served) -> None:
    tab.open("/drift?app=shop")
    tab.page.get_by_role("button", name="Acknowledge").click()
    assert "on its way" in tab.page.get_by_role("status").inner_text()
    assert served.desk.producer.actions[-1].action == "acknowledge"
