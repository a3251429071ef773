"""The pages of the desk over a real store: they load, filter, and take a review once."""

import datetime as dt
import html
import json
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

import msgspec
import pytest

from schemas.policy import PolicyChange
from streams.desk import chart
from streams.desk.filters import Filter
from streams.desk.html import el, marked, readable
from streams.desk.layout import MENU
from streams.desk.pages.judging import JUDGEMENTS, RULE_KEYS, judging_form
from streams.desk.parts import filter_form, not_kept
from streams.policy.file import parse
from streams.policy.rule import digest
from streams.store.client import Store
from tests.pages import traffic
from tests.streams.desk.desks import OpenDesk, shown_in, token_of

BLOCKED = "/event?app={app}&id=e-46"


def app_of(store: Store, event_id: str) -> str:
    found = store.query("SELECT app FROM events WHERE event_id = {id:String}", {"id": event_id}).rows
    return str(found[0][0])


async def test_filters_are_addresses_and_pages_go_on(desk: OpenDesk) -> None:
    first = await desk.get("/events?since=7d&app=shop&kind=prompt")
    assert len(re.findall(r'href="/event\?', first)) == 50
    older = re.findall(r'href="([^"]+)" rel="next"', first)[0].replace("&amp;", "&")
    second = await desk.get(older)
    assert not set(re.findall(r"id=(e-\d+)", first)) & set(re.findall(r"id=(e-\d+)", second))
    assert "<bdi>injection-block</bdi>" not in await desk.get("/events?since=7d&action=redact")
    for wrong in (
        "since=x",
        "metric=drop",
        "metric=injection&least=x",
        "before=x",
        "metric=1;",
        "most=x",
        "metric=pii&least=nan",
        "metric=pii&most=-inf",
    ):
        assert "That cannot be done" in await desk.get(f"/events?{wrong}", 400)
    assert "no such event" in await desk.get("/event?app=shop&id=none", 400)
    assert "There is no such page." in await desk.get("/nothing", 404)
    assert "A form is sent to this address" in await desk.get("/judge", 405)


async def test_events_of_one_moment_are_on_one_page_each(desk: OpenDesk, desk_store: Store) -> None:
    now = int(time.time() * 1000)
    sent = [
        traffic.scored(1, now, scores={}, event_id=f"at-once-{number}", app=app, user="burst")
        for app in ("a", "b")
        for number in range(60)
    ]
    desk_store.insert(sent, "at-once")
    seen, path = list[tuple[str, str]](), "/events?since=1h&user=burst"
    for count in (50, 50, 20):
        page = await desk.get(path)
        found = re.findall(r"/event\?app=(\w)&amp;id=(at-once-\d+)", page)
        assert len(found) == count
        seen += found
        path = html.unescape("".join(re.findall(r'href="([^"]+)" rel="next"', page)))
    assert not path, "no page is empty"
    assert sorted(seen) == sorted((each.event.app, each.event.event_id) for each in sent)


async def test_every_number_of_the_overview_leads_to_its_events(desk: OpenDesk) -> None:
    page = await desk.get("/?since=7d&app=shop")
    tiles = re.findall(r'<li><a href="([^"]+)"><span class="name', page)
    assert len(tiles) == page.count('<span class="name') == 9


UNJUDGED = {
    "failed": (("toxicity",), (), {}, "failed: toxicity"),
    "hurried": ((), ("transformer",), {}, "for lack of time left out: the transformer"),
    "unread": ((), (), {"text_unjudged": 1_200.0}, "1,200 characters were looked at by no detector"),
    "language": ((), (), {"language_unjudged": 1.0}, "its language (Khmer) is one that no classifier"),
}


async def test_not_fully_judged_means_the_same_everywhere(desk: OpenDesk, desk_store: Store) -> None:
    now = int(time.time() * 1000)
    judged = {"text_unjudged": 0.0, "language_unjudged": 0.0}
    rows = [traffic.scored(1, now, scores=judged, event_id="whole", app="partly")]
    for name, (failed, degraded, scores, _) in UNJUDGED.items():
        event = traffic.scored(1, now, scores=judged | scores, event_id=name, app="partly", language="km")
        decision = msgspec.structs.replace(event.decision, failed=failed, degraded=degraded)
        rows.append(msgspec.structs.replace(event, decision=decision))
    desk_store.insert(rows, "partly")
    page = await desk.get("/?since=1h&app=partly")
    [(link, count)] = re.findall(r'<a href="([^"]+)"><span class="name">Not fully judged</span>(\d+)', page)
    assert int(count) == len(UNJUDGED)
    listed = await desk.get(html.unescape(link))
    assert set(re.findall(r"id=([\w-]+)", listed)) == set(UNJUDGED)
    for name, (*_, said) in UNJUDGED.items():
        only = await desk.get(f"/events?since=1h&app=partly&judged={name}")
        assert re.findall(r"/event\?app=partly&amp;id=([\w-]+)", only) == [name]
        assert f"Not fully judged: <bdi>{said}" in await desk.get(f"/event?app=partly&id={name}")
    assert "Not fully judged" not in await desk.get("/event?app=partly&id=whole")
    await desk.get("/events?judged=fully", 400)


@pytest.mark.parametrize("ago", [0, 1, 3, 30, 47])
def test_the_axis_is_all_of_the_time_and_bars_stand_where_theirs_is(ago: int) -> None:
    end = dt.datetime(2026, 1, 31, 12, 17, tzinfo=dt.UTC)
    begin = end - dt.timedelta(hours=24)
    step = chart.step_s(end - begin)
    moment = dt.datetime.fromtimestamp((end.timestamp() // step - ago) * step, dt.UTC)
    drawn = chart.bars([{"moment": moment, "action": "allow", "events": 1}], begin, end, "Events")
    first, middle, last = re.findall(r"<span>([^<]+)</span>", drawn.partition('class="axis"')[2])[:3]
    assert (first, middle, last) == ("30 Jan 12:00", "31 Jan 00:08", "31 Jan 12:17")
    x = float(re.findall(r'<rect x="([\d.]+)"', drawn)[0])
    assert x == pytest.approx(chart.WIDTH * (1 - (ago + 1) / 49), abs=0.1), "now is at the right"
    assert (f"None of these before {moment:%d %b %H:%M}" in drawn) == (ago < 47)


async def test_one_window_is_carried_along(desk: OpenDesk) -> None:
    paths = ("/", "/events", "/compare", "/drift", "/usage", "/review", "/policy")
    for path in paths:
        plain = await desk.get(path)
        assert menu_of(plain) == [*paths[:2], "/review", "/compare", "/drift", "/usage", "/policy"]
        if path not in ("/review", "/policy"):
            assert '<a href="' + path + "?since=24h" in plain.replace("&amp;by=", "?"), path
            times = plain.partition('aria-label="Time"')[2].partition("</nav>")[0]
            assert re.findall(r'aria-current="true">(\w+)', times) == ["24h"], (
                "the same where nothing is said"
            )
        for window in ("since=7d", "from=2026-01-01&until=2026-01-02+12%3A00"):
            links = menu_of(await desk.get(f"{path}?{window}"))
            assert [html.unescape(link).partition("?")[2] for link in links] == [window] * len(paths), path
    for wrong in ("from=x", "from=2026-01-02&until=2026-01-01"):
        await desk.get(f"/events?{wrong}", 400)


async def test_yesterday_is_a_day(desk: OpenDesk, desk_store: Store) -> None:
    page = await desk.get("/?since=7d&app=shop")
    link = html.unescape(re.findall(r'href="([^"]+)"[^>]*>yesterday', page)[0])
    begin, end = (dt.date.fromisoformat(day) for day in re.findall(r"(?:from|until)=([\d-]+)", link))
    assert end - begin == dt.timedelta(days=1)
    [(events,)] = desk_store.query(
        f"SELECT count() FROM events WHERE app = 'shop' AND toDate(timestamp, 'UTC') = '{begin}'"
    ).rows
    shown = await desk.get(link)
    assert f'<span class="name">Events</span>{events:,}</a>' in shown
    assert 'aria-current="true">yesterday' in shown


def menu_of(page: str) -> list[str]:
    """Return where the menu of a page leads."""
    return re.findall(r'href="([^"]+)"', page.partition('aria-label="Pages"')[2].partition("</nav>")[0])


async def test_any_metric_filters_between_two_values(desk: OpenDesk) -> None:
    high = await desk.get("/events?since=7d&metric=injection&least=0.95&most=0.98")
    assert set(re.findall(r"<td[^>]*>(0\.\d+)</td>", high)) == {"0.97"}
    assert "No event in" in await desk.get("/events?since=7d&metric=injection&least=0.98")


async def test_a_language_is_asked_for_by_its_name(desk: OpenDesk) -> None:
    by_name = await desk.get("/events?since=7d&action=redact&language=spanish")
    texts = re.findall(r'<bdi class="long">([^<]+)</bdi>', by_name)
    assert len(texts) >= 20
    assert all(text.startswith("Escríbame") for text in texts)
    assert "with <bdi>language Spanish, action redact</bdi>" in by_name
    assert '<option value="es" label="Spanish">' in by_name, "offered while one types"
    assert texts == re.findall(
        r'<bdi class="long">([^<]+)</bdi>', await desk.get("/events?since=7d&action=redact&language=es")
    )


async def test_what_is_filtered_is_counted_by_what_it_has_in_common(desk: OpenDesk) -> None:
    listed = await desk.get("/events?since=7d&rule=injection-block&text=coupon")
    path = html.unescape(re.findall(r'href="(/usage\?[^"]*by=user[^"]*)"', listed)[0])
    page = await desk.get(path)
    assert "with <bdi>rule injection-block, the text &#x27;coupon&#x27;</bdi>" in page
    users = re.findall(r'<tr><td[^>]*><a href="([^"]+)"', page)
    assert all("rule=injection-block" in link for link in users), "each leads to its events"
    assert {"rule", "text"} <= set(re.findall(r'type="hidden" name="(\w+)"', page)), "another choice keeps it"
    assert "Count all of these" not in await desk.get("/events?metric=injection&least=0.9&since=7d")


async def test_an_event_of_an_older_policy_says_what_its_rules_asked(
    desk: OpenDesk, desk_store: Store
) -> None:
    rules = [{"id": "injection-block", "when": ["injection >= 0.42"], "unless": ['app == "game"']}]
    change = PolicyChange(
        change_id="older", what="in_force", timestamp=1, by="guard", policy_hash="older",
        rules=json.dumps(rules),
    )  # fmt: skip
    block = traffic.rule_hit("injection-block", "block", "injection", 0.5)
    event = traffic.scored(1, 1_000, hits=(block,), scores={"injection": 0.5}, event_id="older", app="old")
    decision = msgspec.structs.replace(event.decision, policy_hash="older", policy_version="0")
    desk_store.insert([change], "older-change")
    desk_store.insert([msgspec.structs.replace(event, decision=decision)], "older-event")
    page = await desk.get("/event?app=old&id=older")
    assert "<code>injection &gt;= 0.42, unless app == &quot;game&quot;</code>" in page


async def test_the_policy_page_says_which_rules_reviews_demoted(desk_store: Store, tmp_path: Path) -> None:
    text = 'version: "1"\nname: small\nrules:\n  - {id: rude, when: [toxicity >= 0.7], action: flag}\n'
    (path := tmp_path / "policy.yaml").write_text(text)
    (rule,) = parse(text, {"toxicity": ""}).rules
    demoted = PolicyChange(
        change_id="demoted", what="demoted", timestamp=1_790_000_000_000, by="reviews", rule=rule.id,
        rule_hash=digest(rule), reason="2 of 12 were right",
    )  # fmt: skip
    desk_store.insert([demoted], "demoted")
    async with OpenDesk(desk_store, policy=path) as desk:
        page = await desk.get("/policy")
    assert page.count("2 of 12 were right") == 2, "above the rules, and in the history"
    assert "<code>weir policy restore rude</code>" in page
    assert 'id="rule-rude"' in page, "where the alert of it leads"
    assert page.count(">shadow, by reviews</td>") == 1
    restored = msgspec.structs.replace(
        demoted, change_id="restored", what="restored", timestamp=1_790_000_000_001
    )
    desk_store.insert([restored], "restored")
    async with OpenDesk(desk_store, policy=path) as desk:
        assert "shadow, by reviews" not in await desk.get("/policy")


def test_the_key_of_a_rule_is_the_same_for_each_event() -> None:
    order = [f"rule-{number}" for number in range(40)]

    def keys(*rules: str) -> dict[str, str]:
        form = judging_form({"app": "a", "event_id": "e", "rules": list(rules)}, "t", "/review", order)
        return dict(re.findall(r'value="([^"]+)" data-key="(.)"', form)[:-4])

    assert keys("rule-3", "rule-1") == keys("rule-1", "rule-3")
    assert keys("rule-3")["rule-3"] == keys("rule-1", "rule-3", "older")["rule-3"] == "4"
    assert "older" not in keys("older"), "a rule that the policy no longer has"
    taken = [*keys(*order).values(), *(key for _, key, _ in JUDGEMENTS), "n"]
    assert len(set(taken)) == len(taken) == len(RULE_KEYS) + 5


@pytest.mark.parametrize(
    ("storage", "failed", "said"),
    [
        ("oversize", [], "too large for its topic"),
        ("hash", ["pii"], "it could not be redacted, since pii failed"),
        ("hash", ["toxicity"], "storage hash"),
        ("none", [], "storage none"),
    ],
)
def test_a_text_that_is_not_kept_says_why(storage: str, failed: list[str], said: str) -> None:
    assert not_kept({"storage": storage, "failed": failed}) == said


def test_a_metric_without_a_bound_is_anything_above_nothing_whatever_its_unit() -> None:
    columns = frozenset({"pii", "toxicity"})
    counted = Filter.of({"metric": "pii", "since": "7d"}, columns)
    assert counted.where()[0].endswith("pii > 0")
    assert counted.told()[-1] == "pii above 0"
    assert "least" not in counted.given()
    assert "0.5" not in filter_form(counted, {})


@pytest.mark.parametrize(
    ("bounds", "condition", "told"),
    [
        ({"least": "2"}, "pii >= {least:Float64}", "pii from 2"),
        ({"most": "0"}, "pii <= {most:Float64}", "pii to 0"),
        ({"least": "0", "most": "3"}, "pii >= {least:Float64} AND pii <= {most:Float64}", "pii from 0 to 3"),
        ({"least": "1234567"}, "pii >= {least:Float64}", "pii from 1234567"),
        ({"most": "0.12345678"}, "pii <= {most:Float64}", "pii to 0.12345678"),
    ],
)
def test_a_metric_has_the_bounds_that_are_given(bounds: dict[str, str], condition: str, told: str) -> None:
    given = Filter.of({"metric": "pii", **bounds}, frozenset({"pii"}))
    sql, values = given.where()
    assert sql.split(" AND ", 1)[1] == condition
    assert {name: values[name] for name in bounds} == {name: float(bound) for name, bound in bounds.items()}
    assert given.told()[-1] == told
    assert Filter.of(given.given(), frozenset({"pii"})).where() == given.where()


async def test_the_age_of_one_event_is_no_choice_of_time(desk: OpenDesk, desk_store: Store) -> None:
    (event,) = traffic.events(1)
    old = msgspec.structs.replace(
        event,
        event=msgspec.structs.replace(event.event, app="aged", event_id="aged"),
        decision=msgspec.structs.replace(event.decision, app="aged", event_id="aged", decision_id="aged"),
        timestamp=event.timestamp - 5 * 86_400_000,
    )
    desk_store.insert([old], "aged")
    page = await desk.get("/event?app=aged&id=aged")
    menu = page.partition('aria-label="Pages"')[2].partition("</nav>")[0]
    assert re.findall(r'href="([^"]+)"', menu) == [path for path, _ in MENU]


async def test_what_a_policy_changed_is_a_link(desk: OpenDesk) -> None:
    page = await desk.get("/policy")
    links = re.findall(r'href="(/compare\?[^"]+)">What it changed', page)
    assert "What became of them" in await desk.get(html.unescape(links[0]))
    assert page.count("in force: default 2") == 1, "who starts and says it again changed nothing"


async def test_the_hits_of_one_rule_are_reviewed(desk: OpenDesk, desk_store: Store) -> None:
    overview = await desk.get("/?since=7d")
    path = re.findall(r'<a href="(/review\?since=7d&amp;rule=harm-escalate)">not reviewed', overview)[0]
    path = html.unescape(path)
    page = await desk.get(path)
    shown = shown_in(page)
    found = desk_store.query("SELECT rules FROM events WHERE event_id = {id:String}", {"id": shown}).rows
    assert "harm-escalate" in found[0][0]
    chosen = re.findall(r'name="metric" value="([^"]*)"[^>]* checked=""', page)
    assert chosen == ["harm-escalate"], "the rule is judged, not the decision"
    assert "counts for each of its rules" not in page, "there is one"
    later = html.unescape(re.findall(r'href="([^"]+)" data-key="n"', page)[0])
    assert later == f"{path}&skip=1", "the other pages show the same time"
    form = dict(re.findall(r'name="(app|event_id|token|rule|since)" value="([\w-]+)"', page))
    await desk.post("/review", form | {"judgement": "correct", "since": "9h"}, 400)
    assert not desk.producer.sent, "what is refused is not published"
    async with desk.http.post(
        "/review", data=form | {"judgement": "correct"}, allow_redirects=False
    ) as answer:
        assert answer.headers["Location"] == f"{path}&saved=correct", "on with the same rule"


async def test_where_several_rules_hit_one_can_be_wrong_alone(desk: OpenDesk, desk_store: Store) -> None:
    hits = [traffic.rule_hit(rule, "flag", "refusal", 0.9) for rule in ("first-rule", "second-rule")]
    event = traffic.scored(1, int(time.time() * 1000), hits=(*hits,), scores={}, event_id="both", app="both")
    desk_store.insert([event], "both")
    page = await desk.get("/event?app=both&id=both")
    assert "What is said of the decision counts for each of its rules" in page
    choices = re.findall(r'type="radio" name="metric" value="([^"]*)"(?: data-key="(.)")?', page)
    assert choices == [("", "0"), ("first-rule", ""), ("second-rule", "")], "no rules of the policy"
    form = {"app": "both", "event_id": "both", "token": token_of(page), "judgement": "false_positive"}
    await desk.post("/judge", form | {"metric": choices[2][0]})
    desk_store.insert(desk.producer.sent, "both-said")
    rules = (await desk.get("/?since=1h&app=both")).partition("Rules that hit, and what")[2]
    cell = r"</td><td[^>]*>"
    said = dict(re.findall(rf">(\w+-rule)</bdi></a>{cell}enforce{cell}1{cell}(.*?)</td>", rules))
    assert said["second-rule"].startswith("0 of 1")
    assert "not reviewed" in said["first-rule"], "nothing was said of it"


@pytest.mark.parametrize("rule", ["a\nb", "a\rb", "a\r\nb", "a\x1b\u202eb", "100%0A", "über <b>"])
async def test_a_rule_is_judged_whatever_its_name(desk: OpenDesk, desk_store: Store, rule: str) -> None:
    name = rule.encode().hex()
    event = traffic.scored(
        1, int(time.time() * 1000), hits=(traffic.rule_hit(rule, "flag", "refusal", 0.9),), scores={},
        event_id=name, app="names",
    )  # fmt: skip
    desk_store.insert([event], name)
    page = await desk.get(f"/event?app=names&id={name}")
    value = html.unescape(re.findall(r'name="metric" value="([^"]+)"', page)[0])
    # What a browser makes of line ends when it sends a form.
    sent = re.sub("\r\n|\r|\n", "\r\n", value)
    form = {"app": "names", "event_id": name, "token": token_of(page), "judgement": "correct", "metric": sent}
    await desk.post("/judge", form)
    assert [each.metric for each in desk.producer.sent] == [rule]


async def test_an_event_says_why_and_where(desk: OpenDesk, desk_store: Store) -> None:
    page = await desk.get(BLOCKED.format(app=app_of(desk_store, "e-46")))
    assert "Why block: <bdi>injection-block (injection 0.97)</bdi>" in page
    head = re.findall(r'<p><span class="action block">.*?</p>', page)[0]
    for link in re.findall(r'href="([^"]+(?:user|conversation_id)=[^"]+)"', head):
        assert "id=e-46" in await desk.get(html.unescape(link)), "whose it is leads to it, too"
    assert ", user <a" in head
    assert ", conversation <a" in head
    assert re.search(
        r'<mark title="injection, encoder \(\+4\.20\)">Ignore all previous instructions</mark>', page
    )
    assert "<code>kind == prompt and injection &gt;= 0.9</code>" in page, "what the rule asks"
    assert "the same text" in page, "another attack of these words"
    again = html.unescape(re.findall(r'href="([^"]+)">All events with this text', page)[0])
    found = await desk.get(again)
    assert len(re.findall(r'href="/event\?', found)) > 20, "also of another app"
    assert set(re.findall(r'<bdi class="long">([^<]+)', found)) == {traffic.ATTACK}
    assert "The conversation" in page


async def test_who_answered_an_escalation_is_told(desk: OpenDesk, desk_store: Store) -> None:
    [(app, waiting), (other, answered)] = desk_store.query(
        "SELECT app, event_id FROM events WHERE action = 'escalate' ORDER BY event_id LIMIT 2"
    ).rows
    columns = "decision_id, app, event_id, action, decided_by, decided_at, revision"
    values = f"'d', '{other}', '{answered}', 'allow', 'reviewer', now64(3), 1"
    desk_store.client.command(f"INSERT INTO resolutions_log ({columns}) VALUES ({values})")
    assert "It waits for an answer" in await desk.get(f"/event?app={app}&id={waiting}")
    assert "A reviewer answered: " in await desk.get(f"/event?app={other}&id={answered}")


async def test_words_and_ids_are_found(desk: OpenDesk) -> None:
    found = await desk.get("/events?since=7d&text=COUPON")
    assert set(re.findall(r'class="action (\w+)"', found)) == {"block"}
    assert found.count("coupon") >= 20
    assert len(re.findall(r'href="/event\?', await desk.get("/events?since=7d&event_id=e-46"))) == 1
    assert len(re.findall(r'href="/event\?', await desk.get("/events?since=7d&request_id=r-23"))) == 2


async def test_what_reviewers_say_of_a_rule_is_counted(desk: OpenDesk) -> None:
    page = await desk.get("/?since=7d")
    rows = re.findall(r"<tr><td[^>]*><a[^>]*><bdi>([\w-]+)</bdi></a></td>(.*?)</tr>", page)
    of_rule = dict(reversed(rows))
    assert "4 of 6, 67%" in of_rule["injection-block"]
    assert "not reviewed" in of_rule["pii-redact"]
    assert "Missed, of the allowed events" in await desk.get("/review")


async def test_what_was_redacted_is_marked(desk: OpenDesk) -> None:
    listed = await desk.get("/events?since=7d&action=redact")
    path = re.findall(r'href="(/event\?[^"]+)"', listed)[0].replace("&amp;", "&")
    assert '<mark title="redacted: EMAIL">[EMAIL_3fa2c1]</mark>' in await desk.get(path)


async def test_the_sql_behind_a_page_answers_as_it_stands(desk: OpenDesk, desk_store: Store) -> None:
    page = await desk.get("/?since=7d&app=shop")
    links = set(re.findall(r'href="#(sql-\d+)"', page))
    statements = re.findall(r'<li id="(sql-\d+)"><pre[^>]*>([^<]+)</pre>', page)
    assert links == {name for name, _ in statements}
    for _, sql in statements:
        desk_store.query(
            sql.replace("&#x27;", "'").replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", '"')
        )


async def test_a_review_is_one_feedback_and_the_next_event_is_another(
    desk: OpenDesk, desk_store: Store
) -> None:
    page = await desk.get("/review")
    shown = shown_in(page)
    form = {"app": app_of(desk_store, shown), "event_id": shown, "token": token_of(page)}
    for _ in range(2):
        await desk.post("/review", form | {"judgement": "false_positive", "comment": "a joke"})
    first, second = desk.producer.sent
    assert first.feedback_id == second.feedback_id, "a second click is the same review"
    assert (first.event_id, first.judgement, first.metric, first.comment) == (
        shown,
        "false_positive",
        "",
        "a joke",
    )
    next_one = await desk.get("/review?saved=false_positive")
    assert shown_in(next_one) != shown
    assert 'role="status">Saved: Wrong: harmless.' in next_one
    assert "Saved" not in await desk.get("/review?saved=%3Cb%3E")


async def test_a_comment_is_kept_as_any_text_is(desk: OpenDesk, desk_store: Store) -> None:
    token = token_of(await desk.get("/review"))
    form = {"app": app_of(desk_store, "e-46"), "event_id": "e-46", "token": token, "judgement": "unsure"}
    await desk.post("/judge", form | {"comment": "ask jane.doe@example.com", "metric": "injection-block"})
    [feedback] = desk.producer.sent
    assert feedback.comment.startswith("ask [EMAIL_")


async def test_a_review_needs_our_form_and_a_judgement_that_there_is(
    desk: OpenDesk, desk_store: Store
) -> None:
    token = token_of(await desk.get("/review"))
    form = {"app": app_of(desk_store, "e-46"), "event_id": "e-46", "token": token, "judgement": "correct"}
    await desk.post("/review", form | {"token": "0" * 64}, 403)
    await desk.post("/review", form | {"token": ""}, 403)
    await desk.post("/review", form | {"judgement": "perhaps"}, 400)
    await desk.post("/review", form | {"event_id": "none"}, 400)
    await desk.post("/review", form | {"metric": "other-rule"}, 400)
    for path in ("/policy/try", "/policy/backtest"):
        await desk.post(path, {"text": "x", "draft": "x"}, 403)
    assert desk.producer.sent == []


async def test_a_store_that_is_away_is_said(unused_tcp_port: int) -> None:
    async with OpenDesk(Store(f"http://127.0.0.1:{unused_tcp_port}")) as desk:
        assert "The store does not answer" in await desk.get("/", 503)


async def test_an_empty_store_has_all_pages(clickhouse: str) -> None:
    store = Store(clickhouse, database=f"test_{uuid.uuid4().hex}")
    store.migrate(traffic.METRICS)
    try:
        async with OpenDesk(store) as desk:
            for path in (
                "/",
                "/events",
                "/review",
                "/compare",
                "/compare?by=period",
                "/drift",
                "/usage",
                "/policy",
            ):
                await desk.get(path)
    finally:
        store.client.command(f"DROP DATABASE {store.database}")
        store.close()


def test_the_desk_loads_no_models_before_somebody_asks() -> None:
    heavy = "{'onnxruntime', 'pycld2', 'phonenumbers'} & set(sys.modules)"
    code = f"import sys, streams.desk.server; sys.exit(str({heavy} or '') or 0)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_html_is_escaped_wherever_it_stands() -> None:
    made = el("a", {"href": '"><b>', "title": None}, "<i>", ["&", el("b", None, 1_000)])
    assert made == '<a href="&quot;&gt;&lt;b&gt;">&lt;i&gt;&amp;<b>1,000</b></a>'
    assert el("b", None, 7.88e-5, " ", 0.2, " ", 123.4) == "<b>0.0000788 0.2 123</b>"
    assert readable("a\u202eb\x07" + "c" * 10, 5) == "a⟨202E⟩b⟨0007⟩c … (9 more characters)"


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([(0, 2, "x")], "<mark>ab</mark>cd&lt;"),
        ([(1, 2, "x"), (1, 4, "y")], "a<mark>bcd</mark>&lt;"),
        ([(0, 3, "x"), (2, 5, "y")], "<mark>abc</mark>d&lt;"),
        ([(4, 5, "x")], "abcd<mark>&lt;</mark>"),
        ([(3, 3, "x")], "abcd&lt;"),
    ],
)
def test_pieces_that_overlap_are_marked_once(pieces: list[tuple[int, int, str]], shown: str) -> None:
    assert re.sub(r' title="."', "", el("p", None, marked("abcd<", pieces))) == f"<p>{shown}</p>"
