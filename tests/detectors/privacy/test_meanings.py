"""Words and numbers that mean something else than a secret, a card or a phone: papers, proverbs, decimals."""

import random

import pytest
from stdnum import luhn

from detectors.privacy.finders import find_all


def _found(text: str) -> list[str]:
    return [text[each.start : each.end] for each in find_all(text)]


@pytest.mark.parametrize(
    "text",
    [
        "boarding pass: LH1234-12A",
        "Boarding-Pass: LH1234-12A",
        "ski pass: 6-Tage-2024",
        "season pass = A12-B34-C56",
        "second pass: 1234567 edges",
        "tests: 123456 pass: 123455 fail: 1",
        "PASS: 123456, FAILED: 2",
        "La clé du succès : pratique2024",
        "La clé de la réussite : pratique2024",
        "La clave del éxito: trabajo-duro-24-7",
        "A chave do sucesso: trabalho-duro-24-7",
        "la chiave della felicità: amore-e-pane-2024",
        "Parole du jour : vive2024",
        "Parole d'honneur : vive2024",
        "the secret of success: practice2024",
        "top secret: Area51-files",
        "trade secret: formula-X7-2024",
        '{"password": "Password must be at least 8 characters."}',
        '{"password": "Must be at least 8 characters"}',
        '"password": "Das Passwort muss mindestens 8 Zeichen haben."',
        '"password": "Le mot de passe doit contenir au moins 8 caractères"',
        '"password": "La contraseña debe tener al menos 8 caracteres"',
        '"password": "Пароль должен содержать не менее 8 символов"',
        '"password": "密码至少8位"',
        "token: 'Token is invalid, or expired 2 days ago.'",
        "security code 404: not found",
        "security code 403 Forbidden",
    ],
)
def test_another_meaning_is_no_secret(text: str) -> None:
    assert _found(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("wifi pass: LH1234-12A", "LH1234-12A"),
        ("guest pass: LH1234-12A", "LH1234-12A"),
        ("pass: 123455", "123455"),
        ("La clave del wifi: trabajo-duro-24-7", "trabajo-duro-24-7"),
        ("Mot de passe du jour : vive2024", "vive2024"),
        ("parole: vive2024", "vive2024"),
        ("client secret: Area51-files", "Area51-files"),
        ('"password": "correct horse battery staple 9"', "correct horse battery staple 9"),
        ('"password": "must be 8 Qr7!dke#39"', "must be 8 Qr7!dke#39"),
        ("security code 404", "404"),
        ("security code: 123, exp 12/29", "123"),
        ("CVV 404: thanks", "404"),
    ],
)
def test_a_secret_beside_such_words_is_one(text: str, value: str) -> None:
    assert _found(text) == [value]


def _card(draw: random.Random) -> str:
    digits = draw.choice(("4", "51", "6011", "62", "37"))
    digits += "".join(draw.choice("0123456789") for _ in range((14 if digits == "37" else 15) - len(digits)))
    return digits + luhn.calc_check_digit(digits)


@pytest.mark.parametrize(
    "form", ["{}", "x = {}", "-{}", "+{}", "[{}, {}]", "{} {}", "({}; {})", "{}\n{}", "${}"]
)
def test_a_decimal_is_no_card(form: str) -> None:
    draw = random.Random(form)
    for _ in range(60):
        card, point = _card(draw), draw.randint(1, 14)
        decimal = f"{card[:point]}.{card[point:]}"
        assert _found(form.format(decimal, decimal)) == [], decimal


def test_a_version_is_no_card_and_one_with_points_throughout_is() -> None:
    assert _found("v4539.1488.0343.6467") == _found("version 4539.1488.0343.6467") == []
    assert _found("4539.1488 0343.6467") == []
    assert _found("it is 4539.1488.0343.6467.") == ["4539.1488.0343.6467"]


@pytest.mark.parametrize("number", ["4539 1488 0343 6467", "4539-1488-0343-6467", "3782 822463 10005"])
@pytest.mark.parametrize(
    "word", ["order no. ", "Order #", "Parcel ", "id ", "ID: ", "tracking ", "Invoice number: ", "заказ № "]
)
def test_groups_of_an_order_a_parcel_or_an_id_are_no_card(word: str, number: str) -> None:
    assert _found(word + number) == []
    assert _found(f"order 12, card {number}") == [number]
    assert _found(f"I paid: {number}") == [number]


@pytest.mark.parametrize(
    "text",
    [
        "Das Handy kostet 129 900 000 Rupien",
        "Das Handy: 129 900 000 Rupien",
        "Le portable coûte 12 34 56 78 90 points",
        "the mobile costs 12 34 56 78 90",
        "SKU 800-555-0199-A",
        "SKU: 800-555-0199",
        "ref 800-555-0199-A",
        "Part no. 212-555-7890 rev B",
        "Ticket #212-555-7890",
        "order number 212-555-7890",
    ],
)
def test_a_price_or_an_article_is_no_phone(text: str) -> None:
    assert _found(text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Handy: 129 900 000", "129 900 000"),
        ("Mon portable est le 06 12 34 56 78", "06 12 34 56 78"),
        ("Bill: 212-555-7890", "212-555-7890"),
        ("Parts 212-555-7890", "212-555-7890"),
        ("To order: 800-555-0199", "800-555-0199"),
        ("call 800-555-0199-ask for Ann", "800-555-0199"),
    ],
)
def test_a_phone_beside_such_words_is_one(text: str, number: str) -> None:
    assert _found(text) == [number]
