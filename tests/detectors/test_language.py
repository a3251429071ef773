"""The language of a text, and where nobody has measured the heads in it."""

import re
from pathlib import Path

import numpy as np
import pytest

from detectors.batch import Batch
from detectors.language import MEASURED, LanguageDetector
from detectors.models.languages import language
from tests.models import MODELS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is my parcel?", "en"),
        ("Wo ist mein Paket?", "de"),
        ("¿Dónde está mi paquete?", "es"),
        ("Onde está o meu pacote?", "pt"),
        ("我的包裹在哪里", "zh"),
        ("小包はどこですか", "ja"),
        ("소포 어디 있어요?", "ko"),
        ("Пакет потерялся, помогите найти", "ru"),
        ("Hvor er pakken min? Jeg har ventet i en uke på den.", "no"),
        ("החבילה שלי", "he"),
        ("Ngiyabonga kakhulu ngosizo lwakho namuhla", "zu"),
        *(("", ""), ("42", ""), ("ok", ""), ("\x00\x01", ""), ("\ud83d", ""), ("🙂🙂", "")),
    ],
)
def test_the_language_of_a_text(text: str, expected: str) -> None:
    assert language(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Quero cancelar a compra",
        "Dammi una ricetta",
        "Di mana paket saya?",
        "Terima kasih atas bantuannya, paketnya sudah sampai di rumah kemarin sore",
        "Por favor, ¿me puedes decir canto custa?",
    ],
)
def test_a_text_that_may_as_well_be_in_a_measured_language_is_not_marked(text: str) -> None:
    assert language(text) in MEASURED | {""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tinc un problema amb la factura del mes passat", "ca"),
        ("El paquet encara no ha arribat, em podeu ajudar?", "ca"),
        ("Jeg vil gerne annullere min ordre fra i går", "da"),
        ("Missä pakettini on? Olen odottanut viikon", "fi"),
        ("Ble mae fy mharsel? Rydw i wedi bod yn aros wythnos", "cy"),
        ("Къде остана моят пакет? Чакам вече седмица", "bg"),
    ],
)
def test_a_text_that_is_surely_in_another_keeps_its_language(text: str, expected: str) -> None:
    assert language(text) == expected


def test_a_text_in_a_language_without_figures_is_marked() -> None:
    texts = ["Where is my parcel today?", "Ngiyabonga kakhulu ngosizo lwakho namuhla", "42"]
    batch, detector = Batch.of_texts(texts, MODELS), LanguageDetector()
    assert np.array_equal(detector.score(batch), np.array([[0], [1], [np.nan]], np.float32), equal_nan=True)
    assert [[each.label for each in detector.explain(batch, row)] for row in range(3)] == [[], ["zu"], []]


def test_the_measured_languages_are_those_of_the_page() -> None:
    rows = set(re.findall(r"^\| ([a-z]{2}) \|", PAGE, re.MULTILINE))
    assert rows == MEASURED
