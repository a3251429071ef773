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
    ("Tfno.: {}", "91 303 90 26"),
    ("Tlf: {}", "630 582 157"),
    ("tlfno {}", "914679496"),
    ("llámame al {} por la tarde", "655123456"),
    ("Rufnummer {}", "0221 4567890"),
    ("Erreichbar unter {}", "030 / 9018 2045"),
    ("Sie erreichen mich unter {}", "0176-23456789"),
    ("rufen Sie mich bitte an unter {}", "0176-23456789"),
    ("appelez-moi au {}", "06 12 34 56 78"),
    ("joignable au {} après 18 h", "07 81 23 45 67"),
    ("chiamami al {}", "333 1234567"),
    ("ligue para {}", "912 345 678"),
    ("bel me op {}", "06-12345678"),
    ("telefoonnummer: {}", "020 123 4567"),
    ("zadzwoń pod {}", "601-234-567"),
    ("numer telefonu: {}", "22 123 45 67"),
    ("cep telefonum {}", "0532 123 45 67"),
    ("telefon numaram {}", "0 532 123 45 67"),
    ("звоните {}", "8 (912) 345-67-89"),
    ("मेरा मोबाइल नंबर {} है", "9876543210"),
    ("微信同号{}", "13812345678"),
    ("hubungi {}", "0812-3456-7890"),
    ("fijo: {}", "91 493 82 57"),
    ("contáctame en {}", "617 974 054"),
    ("Fon: {}", "030 901820-0"),
]


@pytest.mark.parametrize(("form", "number"), PHONES)
def test_a_number_of_mine_is_a_phone(form: str, number: str) -> None:
    text = form.format(number)
    assert [(f.kind, text[f.start : f.end]) for f in find_personal_data(text)] == [("PHONE", number)]


@pytest.mark.parametrize(
    "text",
    [
        "teléfonos: 915824237 / 684895449",
        "Tel. 915824237/684895449",
        "móvil 655123456 o 684895449",
        "Tel. 0612345678 ou 0712345678",
    ],
)
def test_of_two_numbers_side_by_side_both_are_phones(text: str) -> None:
    assert len(find_personal_data(text)) == 2


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
        "CEP 01310-100",
        "+6431543E-97\n-5444097E-21",
        "[.0000.0000.0000.0000] # DATA LINK ESCAPE",
        "phone: 000 000 0000",
        "llama 3 70b 1234567 tokens",
        "la ligue 1234567 supporters",
        "die Seite ist unter 1234567 erreichbar",
        "der Server ist erreichbar unter 10.20.30.40",
        "importe fijo 912345678",
        "call me about order 07911123456",
        "appelez pour la commande 0612345678",
        "bel me over bestelling 0612345678",
        "chiamami per l'ordine 3401234567",
        "llámame, pedido 00123456789",
        "Durchwahl steht auf Rechnung 0012345678",
        "precio fijo: 123 456 789",
        "rufen Sie die Funktion 1234567 Mal auf",
        "bel etage 12345678",
        "2024 / 2025 915824237 / 12",
    ],
)
def test_what_else_is_numbered_is_none(text: str) -> None:
    assert find_personal_data(text) == []
