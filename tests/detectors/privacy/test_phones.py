"""Phone numbers as people write them beside words of their own, and numbers that are none."""

import pytest

from tests.detectors.privacy.finding import find_personal_data

PHONES = [
    ("{}", "(415)555-2671"),
    ("call {}", "415-5552671"),
    ("text me {}", "07911123456"),
    ("reach me at {}", "07911123456"),
    ("Ph: {}", "4155552671"),
    ("Ph. no. {}", "4155552671"),
    ("mob: {}", "9876543210"),
    ("contact no {}", "9876543210"),
    ("contact number: {}", "9876543210"),
    ("{}", "(0171) 1234567"),
    ("{} ist meine Handynummer", "01711234567"),
    ("{} is my number", "07911123456"),
    ("{} est mon numéro", "0612345678"),
    ("my number is {}", "07911123456"),
    ("mon numéro: {}", "0612345678"),
    ("mi número es {}", "612345678"),
    ("내 번호는 {}", "010-1234-5678"),
    ("мой номер {}", "8 916 123-45-67"),
    ("Meine neue Nummer: {}", "01711234567"),
]


@pytest.mark.parametrize(("form", "number"), PHONES)
def test_a_number_of_mine_is_a_phone(form: str, number: str) -> None:
    text = form.format(number)
    assert [(f.kind, text[f.start : f.end]) for f in find_personal_data(text)] == [("PHONE", number)]


@pytest.mark.parametrize(
    "text",
    [
        "07911123456",
        "415-5552671",
        "order 415-5552671",
        "pH: 1234567",
        "pH 7.4 1234567",
        "my number of items is 12345678",
        "my order number is 07911123456",
        "mon numéro de commande 0612345678",
        "мой номер заказа 8 916 123-45-67",
        "contact number of users: 12345678",
        "01711234567 ist die Nummer der Bestellung",
        "07911123456 is my favourite seed",
        "f(0171) 1234567",
        "contact me about ticket 20241129000123",
        "text me the id 1234567890123",
    ],
)
def test_what_else_is_numbered_is_none(text: str) -> None:
    assert find_personal_data(text) == []
