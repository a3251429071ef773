"""What attackers write, in every field, is shown as text."""

import html
import re
from html.parser import HTMLParser

import pytest

from streams.desk.forms import is_kept, values_of
from streams.desk.pages.policy import backtest_form
from tests.pages.hostile import APP, HOSTILE, SHORT
from tests.streams.desk.desks import OpenDesk

PAGES = (
    "/?since=1h", "/?since=all", "/events?app=hostile", "/events?metric=injection&least=0.8",
    "/review", "/drift?since=1h", "/compare?by=model&since=1h",
    "/usage?by=user&since=1h", "/usage?by=model&since=1h",
    *(f"/event?app=hostile&id=h{number}" for number in range(len(HOSTILE))),
    *(f"/drift?id=hr{number}" for number in range(0, len(HOSTILE), 4)),
)  # fmt: skip


class Read(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.scripts: list[str] = []
        self.fields: dict[str, str] = {}
        self.options: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        given = dict(attrs)
        if tag == "input":
            self.fields[given.get("name") or ""] = given.get("value") or ""
        if tag == "option":
            self.options.add(given.get("value") or "")
        if tag == "script":
            self.scripts.append(dict(attrs).get("src") or "")


@pytest.mark.parametrize("path", PAGES)
async def test_what_an_attacker_writes_is_shown_as_text(desk: OpenDesk, path: str) -> None:
    page = await desk.get(path)
    read = Read(page)
    assert read.scripts == ["/static/desk.js"]
    assert not read.tags & {"img", "iframe", "object", "embed", "style", "base"}
    assert not {name for name, _ in read.attributes if name.startswith("on")}
    assert {value[:1] for name, value in read.attributes if name in ("href", "action", "src")} <= {
        "/",
        "#",
        "d",
    }
    assert not set(page) & set("\x1b\u202e\u2066\0\ufeff")
    assert len(page) < 500_000
    assert not re.search("[\u0301\u0e47]{5}", page)


@pytest.mark.parametrize("body", [b"token=%ff&text=%c3", b"token=\xff\xfe", b"a=1&" * 900, b"\0", b"=&=&;%"])
async def test_a_form_that_is_none_is_refused(desk: OpenDesk, body: bytes) -> None:
    for path in ("/review", "/judge", "/alert", "/policy/try", "/policy/backtest"):
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
            async with desk.http.post(path, data=body, headers={"Content-Type": kind}) as response:
                assert response.status in (400, 403), await response.text()
    assert desk.producer.sent == []


async def test_what_an_attacker_asks_for_is_shown_as_text_or_refused(desk: OpenDesk) -> None:
    for text in HOSTILE:
        given = {"app": text[:300], "user": text[:300], "rule": text[:300]}
        page = await desk.get("/events", params=given)
        assert "<script>alert" not in page
        assert not set(page) & set("\x1b\u202e\0")
    for path in ("/compare", "/usage"):
        await desk.get(path, 400, params={"by": "app) FROM system.tables --"})
    await desk.get("/compare", params={"by": "model", "old": "' OR 1=1 --", "new": "\\'"})


@pytest.mark.parametrize(
    "value",
    [
        "x\u202eevil",
        "x\x1b[1mevil",
        "x\nevil",
        "x\r\0\x85evil",
        "x\ufeff" + "\u0301" * 9,
        "x⟨202E⟩",
        "a 'b\"&<",
    ],
)
async def test_a_form_gives_back_what_was_asked_for(desk: OpenDesk, value: str) -> None:
    """Whatever its characters, in every field for a line of text, and on the page that it leads to."""
    for path, names in (
        ("/events", ("user", "app", "rule", "text", "tenant")),
        ("/compare", ("app", "old", "new")),
        ("/usage", ("app", "text")),
    ):
        given = dict.fromkeys(names, value)
        page = await desk.get(path, params=given)
        fields = Read(page).fields
        for name, field in fields.items():
            assert name == "also" or not set(field) & set("\n\r\0\x1b\x85"), "no browser gives it back"
        assert {name: each for name, each in values_of(fields).items() if name in given} == given
        assert not set(page) & set("\x1b\u202e\0")


async def test_what_a_form_offers_finds_events(desk: OpenDesk) -> None:
    users = {text[:SHORT] for text in HOSTILE if is_kept(text[:SHORT])}
    assert users <= Read(await desk.get("/events?app=hostile&since=all")).options
    for user in users:
        assert f">{APP}</bdi>" in await desk.get("/events", params={"user": user, "since": "all"})


def test_a_draft_is_given_back_whole() -> None:
    draft = "\n# \u202e <b>&amp;\n" + "# a comment\n" * 3_000
    area = backtest_form("token", draft).partition('required="">')[2].partition("</textarea>")[0]
    assert html.unescape(area) == "\n" + draft
    assert "\u202e" not in area
