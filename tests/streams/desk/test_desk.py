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
from streams.desk.html import el, marked, readable
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
    for wrong in ("since=x", "metric=drop", "metric=injection&least=x", "before=x", "metric=1;", "most=x"):
        assert "That cannot be done" in await desk.get(f"/events?{wrong}", 400)
    assert "no such event" in await desk.get("/event?app=shop&id=none", 400)
    await desk.get("/nothing", 404)


async def test_every_number_of_the_overview_leads_to_its_events(desk: OpenDesk, desk_store: Store) -> None:
    event = traffic.scored(1, int(time.time() * 1000), scores={}, event_id="partly", app="partly")
    decision = msgspec.structs.replace(event.decision, failed=("toxicity",))
    desk_store.insert([msgspec.structs.replace(event, decision=decision)], "partly")
    page = await desk.get("/?since=1h&app=partly")
    tiles = re.findall(r'<li><a href="([^"]+)"><span class="name', page)
    assert len(tiles) == page.count('<span class="name') == 9
    [partly] = [html.unescape(link) for link in tiles if "judged=partly" in link]
    assert re.findall(r"id=([\w-]+)", await desk.get(partly)) == ["partly"]
    assert "Events: none" in await desk.get(partly.replace("app=partly", "app=shop"))
    await desk.get("/events?judged=fully", 400)


@pytest.mark.parametrize("ago", [0, 1, 3, 30, 48])
def test_few_bars_stand_where_their_time_is(ago: int) -> None:
    now = dt.datetime(2026, 1, 31, 12, 17, tzinfo=dt.UTC)
    step = chart.step_s(24)
    moment = dt.datetime.fromtimestamp((now.timestamp() // step - ago) * step, dt.UTC)
    drawn = chart.bars([{"moment": moment, "action": "allow", "events": 1}], 24, "Events", until=now)
    first = re.findall(r'class="axis"><span>([^<]+)</span>', drawn)[0]
    x = float(re.findall(r'<rect x="([\d.]+)"', drawn)[0])
    slots = max(chart.MIN_SLOTS, ago + 1)
    assert x == pytest.approx(chart.WIDTH * (1 - (ago + 1) / slots), abs=0.1), "now is at the right"
    assert first == f"{moment - dt.timedelta(seconds=(slots - 1 - ago) * step):%d %b %H:%M}"


async def test_any_metric_filters_between_two_values(desk: OpenDesk) -> None:
    high = await desk.get("/events?since=7d&metric=injection&least=0.95&most=0.98")
    assert set(re.findall(r"<td>(0\.\d+)</td>", high)) == {"0.97"}
    assert "Events: none" in await desk.get("/events?since=7d&metric=injection&least=0.98")


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
    users = re.findall(r'<tr><td><a href="([^"]+)"', page)
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
    assert page.count("<td>shadow, by reviews</td>") == 1
    restored = msgspec.structs.replace(
        demoted, change_id="restored", what="restored", timestamp=1_790_000_000_001
    )
    desk_store.insert([restored], "restored")
    async with OpenDesk(desk_store, policy=path) as desk:
        assert "shadow, by reviews" not in await desk.get("/policy")


async def test_what_a_policy_changed_is_a_link(desk: OpenDesk) -> None:
    page = await desk.get("/policy")
    links = re.findall(r'href="(/compare\?[^"]+)">What it changed', page)
    assert "What became of them" in await desk.get(html.unescape(links[0]))
    assert page.count("in force: default 2") == 1, "who starts and says it again changed nothing"


async def test_the_hits_of_one_rule_are_reviewed(desk: OpenDesk, desk_store: Store) -> None:
    overview = await desk.get("/?since=7d")
    path = re.findall(r'<a href="(/review\?rule=harm-escalate)">not reviewed', overview)[0]
    page = await desk.get(path)
    shown = shown_in(page)
    found = desk_store.query("SELECT rules FROM events WHERE event_id = {id:String}", {"id": shown}).rows
    assert "harm-escalate" in found[0][0]
    assert '<option value="harm-escalate" selected="">' in page, "the rule is judged, not the decision"
    form = dict(re.findall(r'name="(app|event_id|token|rule)" value="([\w-]+)"', page))
    async with desk.http.post(
        "/review", data=form | {"judgement": "correct"}, allow_redirects=False
    ) as answer:
        assert answer.headers["Location"] == f"{path}&saved=correct", "on with the same rule"


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
    row = re.findall(r"<tr><td><a[^>]*>injection-block</a></td>(.*?)</tr>", page)[0]
    assert "4 of 6, 67%" in row
    assert "not reviewed" in re.findall(r"<tr><td><a[^>]*>pii-redact</a></td>(.*?)</tr>", page)[0]
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
