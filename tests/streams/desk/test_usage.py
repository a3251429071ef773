"""Whom to look at: who was blocked, how often, and by which rule."""

import html
import re
import time
from pathlib import Path

import pytest

from streams.store.client import Store
from tests.pages import traffic
from tests.streams.desk.desks import OpenDesk

POLICY = """
version: "1"
name: abuse
rules:
  - id: abusive-user
    when: [user_injections_1h >= 5]
    action: block
"""
ABUSIVE = traffic.rule_hit("abusive-user", "block", "user_injections_1h", 5.0)
INJECTION = traffic.rule_hit("injection-block", "block", "injection", 0.97)
BLOCKS = {"": 9, "mallory": 6, "eve": 2}
"""How many events of each user are blocked: those of nobody are the most."""


@pytest.fixture(scope="module")
def abuse(desk_store: Store) -> Store:
    """An app with users who are blocked, one of them mostly for what he has done before."""
    now, rows = int(time.time() * 1000), []
    for user, blocks in BLOCKS.items():
        for number in range(blocks + 4):
            hits = (ABUSIVE, INJECTION)[: 1 if number < 4 and user == "mallory" else 2]
            rows.append(
                traffic.scored(
                    number, now, hits=hits if number < blocks else (), scores={}, app="abuse", user=user,
                    event_id=f"abuse-{user}-{number}",
                )
            )  # fmt: skip
    desk_store.insert(rows, "abuse")
    return desk_store


async def test_whom_to_look_at_is_said_in_one_look(abuse: Store, tmp_path: Path) -> None:
    (path := tmp_path / "policy.yaml").write_text(POLICY)
    async with OpenDesk(abuse, policy=path) as desk:
        page = await desk.get("/usage?by=user&app=abuse")
        rows = re.findall(r"<tr><td[^>]*>(.*?)</tr>", page)
        named = [re.sub("<[^>]+>", "", row.split("</td>")[0]) for row in rows]
        assert named[:3] == ["mallory", "eve", "(no user given)"], "nobody's are no user to look at"
        first = re.findall(r'<p class="why">(.*?)</p>', page)[0]
        said = re.sub("<[^>]+>", "", first)
        assert "Blocked most: user mallory, 6 of 10 events: 35% of all 17" in said
        assert "by abusive-user 6, injection-block 2" in said
        assert "user_injections_1h &gt;= 5" in page, "the limit"
        links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', first)]
        assert [(await desk.get(link)).count('class="action block">block') for link in links] == [6, 6, 2]
        rule = html.unescape(re.findall(r'href="(/usage\?[^"]*rule=abusive-user[^"]*)"', page)[0])
        assert "user mallory, 6 of" in re.sub("<[^>]+>", "", await desk.get(rule))


async def test_who_gives_no_name_is_no_user_and_no_cost_orders_nothing(abuse: Store) -> None:
    async with OpenDesk(abuse) as desk:
        page = await desk.get("/usage?app=abuse")
    assert re.findall('data-name="Users"[^>]*>([^<]*)<', page) == ["2"], "mallory and eve"
    assert "By app, most events first, since none says what it cost" in page


async def test_the_overview_names_who_was_blocked_most(abuse: Store) -> None:
    async with OpenDesk(abuse) as desk:
        page = await desk.get("/?since=1h&app=abuse")
        table = re.findall(r"Users who were blocked most.*?</table>", page)[0]
        assert re.findall(r"user=(\w+)&amp;action=block\"", table) == ["mallory", "eve"]
        assert "6 (35.3%)" in table
        assert "without a user&#x27;s name: 9 (52.9%)" in page
        assert "Users who were blocked most" not in await desk.get("/?since=1h&app=nobody")


async def test_a_list_that_is_cut_says_so(desk: OpenDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.desk.questions.usage.MOST", 3)
    page = await desk.get("/usage?by=user&since=7d&order=events&app=shop")
    assert "By user, most events first: 3 of 40" in page
    assert len(re.findall("<tr><td", page.partition("</table>")[0])) == 3
