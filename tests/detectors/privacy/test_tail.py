import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from detectors.limits import SCAN_LIMIT
from detectors.privacy.finders import find_all
from detectors.privacy.findings import Finding
from detectors.privacy.redaction import Redactor
from detectors.privacy.tail import Tail
from tests.detectors.privacy.corpus import texts, values

REDACTOR = Redactor(b"0123456789abcdef")
SPLIT = int(os.environ.get("WEIR_TEST_SPLIT", "20"))
"""One text in so many, of 500 and all values, is cut at every place: 1 takes some minutes."""
PROSE = (
    "The report shows that sales grew by 12.5% in 2024: mostly in Europe, where 3 new shops opened. Our team "
    "thinks that the trend will go on until 2026, although the market is difficult: prices rose by 4 to 7 %.",
    "Der Bericht zeigt, dass der Umsatz 2024 um 12,5 % gestiegen ist: vor allem in Europa, wo 3 neue Läden "
    "eröffnet wurden. Unser Team meint, dass sich der Trend bis 2026 fortsetzt, wir sprechen um 10:30 Uhr.",
    "Le rapport montre que les ventes ont augmenté de 12,5 % en 2024 : surtout en Europe, où 3 magasins ont "
    "ouvert. Notre équipe pense que la tendance continuera jusqu'en 2026, bien que le marché soit difficile.",
    "Отчёт показывает, что продажи выросли на 12,5 % в 2024 году: в основном в Европе, где открылись 3 новых "
    "магазина. Наша команда считает, что тенденция сохранится до 2026 года, хотя рынок сложный.",
    "报告显示，2024年销售额增长了12.5%：主要在欧洲，那里新开了3家商店。我们的团队认为，尽管市场困难，这一趋势将持续到"
    "2026年。价格上涨了百分之四到七，购买新家具的人减少了。总之，要谨慎，降低成本，六个月后再看计划。",
    "يُظهر التقرير أن المبيعات نمت بنسبة 12.5٪ في عام 2024: معظمها في أوروبا، حيث افتُتحت 3 متاجر جديدة.",
)


IN_TWO_FORMS = (
    "To j-a-n-e-@-e-x-a-m-p-l-e-.-c-o-m or to jane@example.com today, whichever you like best.",
    "Send j a n e @ e x a m p l e . c o m and jane@example.com today",
    "It is j  a  n  e  @  e  x  a  m  p  l  e  .  c  o  m and nothing else",
    "It is j, a, n, e, @, e, x, a, m, p, l, e, ., c, o, m and nothing else",
    "6a616e65406578616d706c652e636f6d ja\u200bne@exa\u00admple.com, jane@example.com and so on",
    "6a616e65406578616d706c652e636f6d j a n e @ e x a m p l e . c o m 1234 5678; jane&#64;example.com, ",
    "amFuZUBleGFtcGxlLmNvbQ== and j.a.n.e.@.e.x.a.m.p.l.e...c.o.m; jane%40example.com\n",
)
"""One value in plain and in disguise: only where the one is redacted, the other is found."""


def redaction(text: str) -> str:
    return REDACTOR.redact(text, find_all(text), "conversation")


def given(pieces: Iterable[str]) -> Iterator[str]:
    tail = Tail(REDACTOR, "conversation")
    for piece in pieces:
        yield tail.feed(piece)
    yield tail.finish()


def cuts(text: str, most: int, chance: random.Random) -> Iterator[str]:
    position = 0
    while position < len(text):
        length = chance.randint(1, most)
        yield text[position : position + length]
        position += length


@pytest.mark.parametrize("part", range(5))
def test_what_is_given_by_characters_and_at_random_is_the_redaction_of_the_whole(part: int) -> None:
    chance = random.Random(part)
    for text in texts(100, seed=part):
        whole = redaction(text)
        for pieces in (list(text), cuts(text, 4, chance), cuts(text, 40, chance)):
            increments = list(given(pieces))
            assert "".join(increments) == whole
            for finding in find_all(text):
                value = text[finding.start : finding.end]
                assert value in whole or not any(value in increment for increment in increments)


@pytest.mark.parametrize("header", ["name,password,city", "| name | phone | city |\n|---|---|---|"])
def test_a_row_far_below_the_names_of_its_columns_is_redacted_while_it_grows(header: str) -> None:
    delimiter, value = (",", "Falcon{}7x") if "," in header else (" | ", "020794609{}")
    rows = [delimiter.join(("", f"ann{n}", value.format(n), "Rome", "")) for n in range(10, 32)]
    rows = [row.strip(delimiter) if delimiter == "," else row.strip() for row in rows]
    text = "\n".join(("Here is the list:", header, *rows, "", "That is all."))
    increments = list(given(text[at : at + 30] for at in range(0, len(text), 30)))
    assert "".join(increments) == redaction(text)
    assert not any(value.format(n) in "".join(increments) for n in range(10, 32))


@pytest.mark.parametrize("part", range(5))
def test_no_value_goes_out_at_any_two_way_split(part: int) -> None:
    for text in (texts(100, seed=part) + values()[part::5])[::SPLIT]:
        whole = redaction(text)
        for place in range(1, len(text)):
            tail = Tail(REDACTOR, "conversation")
            first = tail.feed(text[:place])
            assert whole.startswith(first)
            assert whole.startswith(first + tail.feed(text[place:]))


@pytest.mark.parametrize("text", IN_TWO_FORMS)
def test_no_part_of_a_value_in_disguise_is_left_where_it_is_in_plain_too(text: str) -> None:
    whole = redaction(text)
    for length in (1, 4, 17):
        increments = given(text[place : place + length] for place in range(0, len(text), length))
        assert "".join(increments) == whole
    for place in range(len(text)):
        assert "".join(given((text[:place], text[place:]))) == whole


def test_a_finder_that_fails_over_what_is_redacted_lets_nothing_more_out() -> None:
    def failing(text: str) -> Sequence[Finding] | None:
        return None if "[EMAIL_" in text else find_all(text)

    tail = Tail(REDACTOR, "conversation", failing)
    assert tail.feed("Write to jane@example.com and then wait for an answer of hers. ") == ""


@pytest.mark.parametrize("text", PROSE)
def test_ordinary_prose_waits_for_less_than_a_line(text: str) -> None:
    tail = Tail(REDACTOR)
    held = []
    for character in " ".join([text] * 5):
        tail.feed(character)
        held.append(len(character.encode()) * tail.held)
    assert statistics.median(held) <= 40
    assert max(held) <= 120


def test_a_long_answer_costs_a_small_multiple_of_one_search() -> None:
    text = " ".join([PROSE[0]] * 75)[:16_000]
    pieces = [text[place : place + 4] for place in range(0, len(text), 4)]
    find_all(text)
    once = min(_seconds(lambda: find_all(text)) for _ in range(5))
    streamed = min(_seconds(lambda: list(given(pieces))) for _ in range(3))
    assert streamed < 200 * once  # about 40; a search of the whole for every token would be 2,000


@pytest.mark.parametrize(
    "text",
    [
        "4111 " * 8_000,
        "A" * 40_000,
        "password: hunter2!\n" * 500,
        "-----BEGIN RSA PRIVATE KEY-----\n" + "ABCDEFGHabcdefgh\n" * 2_000,
        " " * 40_000,
        "\u200b" * 20_000,
        '"password": "' + "x y " * 8_000,
    ],
    ids=["digits", "one word", "passwords", "key", "blanks", "nothing to see", "quote"],
)
def test_no_text_makes_the_tail_slow(text: str) -> None:
    began = time.process_time()
    pieces = [text[place : place + 8] for place in range(0, len(text), 8)]
    assert "".join(given(pieces)) == redaction(text)
    assert time.process_time() - began < 10


def test_a_value_far_behind_its_name_waits_for_it() -> None:
    cookies = "; ".join(f"c{number}=plainvalue{number}" for number in range(300))
    text = f"GET / HTTP/1.1\nCookie: {cookies}; session=a8Fk2Lq9Zx7Wm3Np\nHost: example.org\n\nThat was it."
    assert "a8Fk2Lq9Zx7Wm3Np" not in redaction(text)
    increments = list(given(list(text)))
    assert "".join(increments) == redaction(text)


def test_an_address_of_a_page_holds_up_nothing() -> None:
    tail = Tail(REDACTOR)
    text = "It is at https://example.org/a/page and the rest of this sentence is about the weather only."
    held = [(tail.feed(character), tail.held)[1] for character in text]
    assert max(held) < 60


def test_what_was_not_searched_never_goes_out() -> None:
    text = "calm words in a row " * (SCAN_LIMIT // 20) + "then jane@example.com and more of it " * 100
    increments = list(given(cuts(text, 10_000, random.Random(1))))
    assert "".join(increments) == redaction(text)
    assert "jane" not in "".join(increments)
    assert increments[-1].endswith("characters]")


def test_placeholders_are_the_same_in_every_increment_and_for_every_replica() -> None:
    text = "Write to jane.doe@example.com now, and once more to jane.doe@example.com after lunch, please."
    one, other = "".join(given(list(text))), "".join(given([text]))
    assert one == other
    assert one.count(redaction("jane.doe@example.com")) == 2


def test_a_finder_that_fails_lets_nothing_more_out() -> None:
    def failing(text: str) -> Sequence[Finding] | None:
        return None if "boom" in text else find_all(text)

    tail = Tail(REDACTOR, "conversation", failing)
    assert tail.feed("These words are harmless to all, and there are many of them. ")
    assert tail.feed("Now boom 4111 1111 1111 1111 goes the finder, and nobody knows what is there. ") == ""
    assert tail.feed("More of it follows, and more, and more, and none of it may go out. ") == ""
    assert tail.finish().startswith("[WITHHELD ")


def test_a_finder_that_is_not_known_is_given_room() -> None:
    def names(text: str) -> list[Finding]:
        place = text.find("Jane of the Hill")
        return [Finding("NAME", place, place + 16)] if place >= 0 else []

    tail = Tail(REDACTOR, "conversation", names, reach=40)
    text = "We have seen Jane of the Hill today, and she was well, as far as one could tell without a look."
    increments = [*map(tail.feed, text), tail.finish()]
    assert "Jane" not in "".join(increments)
    assert len("".join(increments[:-1])) > 30


def _seconds(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


@pytest.mark.parametrize(
    "text",
    [
        'new NetworkCredential("ann", "trampolin") and so on',
        'mysqli_connect("localhost", "root", "trampolin") and so on',
        'DriverManager.getConnection(url(), "root", "trampolin") and so on',
        '{"csv": "password,name\\nTr4mpolin7,ann\\nTr5mpolin7,bob\\n", "n": 3} and so on',
        'data = """password,name\nTr4mpolin7,ann\nTr5mpolin7,bob\n""" and so on',
    ],
)
def test_what_a_program_logs_in_with_is_redacted_while_it_grows(text: str) -> None:
    assert "mpolin" not in redaction(text)
    assert "".join(given(text)) == redaction(text)


def test_what_tells_a_version_from_an_address_is_waited_for() -> None:
    text = "They are passwords = ['first1x', '{}'], and the heading of it is 1.4.2.7 Bug fixes, which I skip."
    assert "".join(given(text)) == redaction(text)
    assert "1.4.2.7 Bug fixes" in redaction(text)
