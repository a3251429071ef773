"""Payment cards and their codes, told from all other numbers of as many digits."""

import random
from collections.abc import Callable

import pytest
from stdnum import luhn

from detectors.privacy.finders import find_all
from detectors.privacy.findings import Finding
from detectors.privacy.redaction import Redactor
from detectors.privacy.tail import Tail
from tests.detectors.privacy.finding import find_personal_data as find

# By issuer: a prefix and a length that it gives out.
ISSUED = (
    ("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15), ("300", 14),
    ("305", 14), ("36", 14), ("38", 14), ("6011", 16), ("644", 16), ("65", 16), ("3528", 16), ("3589", 16),
    ("62", 16),
)  # fmt: skip
SELDOM = (
    ("4", 13), ("4", 19), ("5018", 12), ("6304", 19), ("2200", 16), ("508", 16), ("60", 16), ("9792", 16),
    ("5061", 19), ("62", 19), ("1800", 15),
)  # fmt: skip


def card(prefix: str, length: int, chance: random.Random) -> str:
    body = prefix + "".join(chance.choice("0123456789") for _ in range(length - len(prefix) - 1))
    return body + luhn.calc_check_digit(body)


def number(length: int, chance: random.Random) -> str:
    return chance.choice("123456789") + "".join(chance.choice("0123456789") for _ in range(length - 1))


def cards(text: str) -> list[str]:
    return [text[each.start : each.end] for each in find(text) if each.kind == "CREDIT_CARD"]


@pytest.mark.parametrize(("prefix", "length"), ISSUED)
@pytest.mark.parametrize(
    "frame",
    ["{}", "pay with {} please", "my card is {}", "Kreditkarte: {}", "卡号{}谢谢", '{{"card": "{}"}}'],
)
def test_a_card_is_found_with_and_without_a_word(prefix: str, length: int, frame: str) -> None:
    value = card(prefix, length, random.Random(length))
    assert cards(frame.format(value)) == [value]


@pytest.mark.parametrize(("prefix", "length"), SELDOM)
@pytest.mark.parametrize(
    "frame", ["card number {}", "credit card: {}", "оплата картой {}", "カード番号は{}です"]
)
def test_a_card_of_a_wide_range_needs_a_word(prefix: str, length: int, frame: str) -> None:
    value = card(prefix, length, random.Random(length))
    assert cards(frame.format(value)) == [value]


NAMED: tuple[str, ...] = (
    "order {}", "id {}", "order no. {}", "transaction {} failed", "tracking number {}", "the row {} of it",
    '{{"order_id": {}}}', "request={}", "user id {}", "customer number: {}", "snowflake {}", "#{}", "ts={}",
    "IMEI {}", "Bestellnummer {}", "Sendungsnummer: {}", "numéro de suivi {}", "pedido {}", "订单号：{}",
    "注文番号は{}", "заказ № {}",
)  # fmt: skip


@pytest.mark.parametrize("frame", NAMED)
def test_what_has_another_name_is_no_card(frame: str) -> None:
    chance = random.Random(7)
    values = [card("4", 16, chance) for _ in range(20)]
    assert [value for value in values if cards(frame.format(value))] == []


@pytest.mark.parametrize(
    "column",
    [
        lambda values: "\n".join(values),
        lambda values: ", ".join(values),
        lambda values: "\n".join(f"{place};{value};done" for place, value in enumerate(values)),
        lambda values: str(values),
    ],
)
@pytest.mark.parametrize("length", [14, 15, 16, 19])
def test_a_column_of_numbers_holds_no_card(column: Callable[[list[str]], str], length: int) -> None:
    chance = random.Random(length)
    found = [cards(column([number(length, chance) for _ in range(12)])) for _ in range(40)]
    assert sum(map(len, found)) <= 3  # of 480, of which some fourteen pass all checks


def test_a_column_of_cards_is_one() -> None:
    chance = random.Random(3)
    values = [card("4", 16, chance) for _ in range(12)]
    assert cards("\n".join(values)) == values


def test_a_number_alone_is_hardly_ever_a_card() -> None:
    chance = random.Random(5)
    shares = {
        n: sum(bool(cards(number(n, chance))) for _ in range(1_000)) / 1_000 for n in (13, 15, 16, 18, 19)
    }
    assert shares[13] == 0
    assert shares[16] < 0.04  # one of ten has the check digit, one of four the prefix
    assert max(shares[15], shares[18], shares[19]) < 0.01


CODES = [
    ("CARD SECURITY CODE {}", "123"),
    ("security code: {}", "123"),
    ("Security Code (CVV): {}", "123"),
    ("card verification value {}", "123"),
    ("CVC-Code: {}", "456"),
    ("cvv code {}", "123"),
    ("cvv number is {}", "123"),
    ("the CVC is {}.", "9876"),
    ('{{"cvv": "{}"}}', "123"),
    ('{{"cardCvc": {}}}', "456"),
    ("card_security_code={}", "123"),
    ("cvv2={}&x=1", "123"),
    ("exp 12/27 cvv {}", "123"),
    ("código de segurança {}", "123"),
    ("code de sécurité : {}", "123"),
    ("Kartenprüfnummer {}", "123"),
    ("cryptogramme visuel : {}", "123"),
    ("код безопасности: {}", "123"),
    ("安全码是{}", "123"),
    ("セキュリティコード: {}", "123"),
    ("보안코드는 {}", "123"),
]


@pytest.mark.parametrize(("frame", "value"), CODES)
@pytest.mark.parametrize("change", [str, str.upper])
def test_a_word_announces_the_code_of_a_card(frame: str, value: str, change: Callable[[str], str]) -> None:
    text = change(frame.format(value))
    assert find(text) == [Finding("CARD_CODE", text.index(value), text.index(value) + len(value))]


@pytest.mark.parametrize(("frame", "value"), CODES)
def test_a_code_does_not_go_out_before_its_card_is_known(frame: str, value: str) -> None:
    text = f"Sure. {frame.format(value)} and that was all there is to say about the matter of today."
    tail = Tail(Redactor(b"0123456789abcdef"))
    given = "".join([*map(tail.feed, text), tail.finish()])
    assert value not in given
    assert not tail.diverged


@pytest.mark.parametrize(
    "text",
    [
        "security code 12",
        "cvv is required",
        "the csc 2024-05 paper",
        "cvc 123456",
        "security code 45.5 %",
        "cv 123",
    ],
)
def test_other_numbers_behind_such_words_are_none(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111 12/27 123",
        "4111111111111111|12|2027|123",
        "4111 1111 1111 1111, 04/2028, 123",
        "amex 3782 822463 10005 exp 11/28 cid 1234",
        "tarjeta 4111 1111 1111 1111 caducidad 12/27 cvv 123",
    ],
)
def test_the_code_behind_the_date_of_a_card_is_one(text: str) -> None:
    assert {each.kind for each in find_all(text)} == {"CREDIT_CARD", "CARD_CODE"}


@pytest.mark.parametrize(
    "text", ["el cvv de mi tarjeta es 972", "the cvv of my card is 972", "CVC meiner Karte: 972"]
)
def test_a_code_is_that_of_a_card_of_somebody(text: str) -> None:
    assert [text[each.start : each.end] for each in find_all(text)] == ["972"]


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1111 02/24 500 euros", "4111 1111 1111 1111 12/27 1234567", "on 12/27 123"]
)
def test_an_amount_behind_a_date_is_no_code(text: str) -> None:
    assert "CARD_CODE" not in {each.kind for each in find_all(text)}


def test_from_one_position_to_another_is_no_card() -> None:
    assert find_all("chr17:41196312-41277500") == []
