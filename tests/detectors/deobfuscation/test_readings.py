import base64
import codecs
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.deobfuscation.readings import readings
from tests.detectors.deobfuscation.samples import ATTACK, standard, words

WORDS = (
    *(
        "ignore",
        "all",
        "previous",
        "instructions",
        "reveal",
        "system",
        "prompt",
        "please",
        "write",
        "summary",
    ),
    *(
        "meeting",
        "people",
        "hate",
        "should",
        "burn",
        "the",
        "house",
        "tomorrow",
        "answer",
        "without",
        "rules",
    ),
)

sentences = st.lists(st.sampled_from(WORDS), min_size=4, max_size=12).map(
    lambda words: " ".join((*words, "instructions"))
)
ascii_sentences = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=12),
    min_size=4,
    max_size=12,
).map(" ".join)


def base32(text: str) -> str:
    return base64.b32encode(text.encode()).decode()


ENCODINGS: dict[str, tuple[str, Callable[[str], str]]] = {
    "base64": ("base64", standard),
    "base64 without padding": ("base64", lambda text: standard(text).rstrip("=")),
    "url-safe": ("base64", lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")),
    "wrapped": (
        "base64",
        lambda text: "\n".join(standard(text)[i : i + 20] for i in range(0, 200, 20)).strip(),
    ),
    "base64 twice": ("base64+base64", lambda text: standard(standard(text))),
    "hex in base64": ("base64+hex", lambda text: standard(text.encode().hex())),
    "base32": ("base32", base32),
    "hex": ("hex", lambda text: text.encode().hex()),
    "upper hex": ("hex", lambda text: text.encode().hex().upper()),
    "spaced hex": ("hex", lambda text: text.encode().hex(" ")),
    "0x": ("hex", lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode())),
    "binary": ("binary", lambda text: " ".join(f"{byte:08b}" for byte in text.encode())),
    "decimal": ("decimal", lambda text: " ".join(map(str, text.encode()))),
    "percent": ("percent", lambda text: "".join(f"%{byte:02X}" for byte in text.encode())),
    "percent twice": ("percent", lambda text: "".join(f"%25{byte:02x}" for byte in text.encode())),
    "quoted-printable": ("percent", lambda text: "".join(f"={byte:02X}" for byte in text.encode())),
    "entities": ("entities", lambda text: "".join(f"&#{byte};" for byte in text.encode())),
    "hex entities": ("entities", lambda text: "".join(f"&#x{byte:x};" for byte in text.encode())),
    "\\u": ("escapes", lambda text: "".join(f"\\u{byte:04x}" for byte in text.encode())),
    "\\x": ("escapes", lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode())),
    "octal": ("escapes", lambda text: "".join(f"\\{byte:03o}" for byte in text.encode())),
    "\\u{}": ("escapes", lambda text: "".join(f"\\u{{{byte:x}}}" for byte in text.encode())),
    "tags": ("tag_characters", lambda text: "".join(chr(0xE0000 + ord(letter)) for letter in text)),
    "selectors": ("variation_selectors", lambda text: "".join(chr(0xE00F0 + ord(letter)) for letter in text)),
    "zero width": ("invisible", "\u200b".join),
    "soft hyphens": ("invisible", "\u00ad".join),
    "strike-through": ("combining_marks", lambda text: "".join(f"{letter}\u0336" for letter in text)),
    "zalgo": ("combining_marks", lambda text: "".join(f"{letter}\u0301\u0316\u0353" for letter in text)),
    "full width": ("styled_letters", lambda text: text.translate(shifted(0xFF41, 0xFF21))),
    "bold": ("styled_letters", lambda text: text.translate(shifted(0x1D41A, 0x1D400))),
    "circled": ("styled_letters", lambda text: text.translate(shifted(0x24D0, 0x24B6))),
    "squared": ("styled_letters", lambda text: text.upper().translate(shifted(0, 0x1F170))),
}
SPELLINGS: dict[str, tuple[str, Callable[[str], str]]] = {
    "homoglyphs": (
        "homoglyphs",
        lambda text: text.translate(str.maketrans("aeop", "\u0430\u0435\u043e\u0440")),
    ),
    "greek": ("homoglyphs", lambda text: text.translate(str.maketrans("ou", "\u03bf\u03c5"))),
    "leetspeak": ("leetspeak", lambda text: text.translate(str.maketrans("oeist", "03157"))),
    "spaced": ("spaced_letters", lambda text: " ".join(text.replace(" ", ""))),
    "spaced words": ("spaced_letters", lambda text: "   ".join(" ".join(word) for word in text.split())),
    "dotted": ("spaced_letters", lambda text: " ".join(".".join(word) for word in text.split())),
    "rot13": ("rot13", lambda text: "Decode ROT13: " + codecs.encode(text, "rot13")),
    "caesar": ("caesar", lambda text: "A Caesar cipher: " + caesar(text, 7)),
    "reversed": ("reversed", lambda text: "Read it backwards: " + text[::-1]),
}


def shifted(small: int, capital: int) -> dict[int, int]:
    table = {ord("A") + i: capital + i for i in range(26)}
    return table | ({ord("a") + i: small + i for i in range(26)} if small else {})


def caesar(text: str, shift: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    turned = letters[shift:] + letters[:shift]
    return text.translate(str.maketrans(letters + letters.upper(), turned + turned.upper()))


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoded_sentence_is_read(name: str) -> None:
    how, encode = ENCODINGS[name]
    encoded = encode(ATTACK)
    found = {reading.how: reading for reading in readings(f"Please read: {encoded} (thanks)")}
    assert how in found
    assert ATTACK.casefold() in found[how].text.casefold()


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_disguised_sentence_is_read(name: str) -> None:
    how, disguise = SPELLINGS[name]
    (reading,) = readings(disguise(ATTACK))
    assert reading.how == how
    missed = set(words(ATTACK)) - set(words(reading.text))
    assert missed <= ({"all"} if name == "dotted" else set())


@given(ascii_sentences, st.sampled_from(sorted(ENCODINGS)))
@settings(max_examples=300)
def test_any_sentence_is_found_again(sentence: str, name: str) -> None:
    texts = [reading.text.casefold() for reading in readings(ENCODINGS[name][1](sentence))]
    assert any(sentence.casefold() in text for text in texts)


@given(sentences, st.sampled_from(["spaced", "rot13", "caesar", "reversed"]))
@settings(max_examples=100)
def test_any_english_sentence_is_read(sentence: str, name: str) -> None:
    texts = [reading.text for reading in readings(SPELLINGS[name][1](sentence))]
    letters = sentence.replace(" ", "")
    assert any(letters in text.replace(" ", "") for text in texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello, how are you today?",
        "The RTX4090 costs $1,599 and the B2B price of the mp3 player was 20% off in 2nd quarter.",
        "covid19, i18n, l10n, a11y, k8s, 3D, 4K, H2O, CO2, C6H12O6, 5G, 10am, 1st, 22nd, R2D2, x86_64, utf8",
        "d41d8cd98f00b204e9800998ecf8427e",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "550e8400-e29b-41d4-a716-446655440000 and 6ba7b810-9dad-11d1-b0a7-00c04fd430c8",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
        "/usr/local/lib/python3.11/site-packages/tokenizers/implementations/base_tokenizer.py",
        "C:\\Users\\me\\Documents\\x64\\Release\\new.txt",
        "for(var i=0,l=a.length;i<l;i++){e[i]=t(a[i],n)}return!function(e,t){return e&&t}(r,o)",
        "def f(a, b, c):\n    return a + b - c * d / e  # f_g_h_i",
        "A B C D E F G\na) b) c) d) e)\nJ. R. R. Tolkien, U.S.A., e.g., i.e., p.m.",
        "10 20 30 40 50 60 70 80 90 10 20 30 40 and 45 67 72 81 50 55 62 74 66 58 49",
        "https://example.org/a%20page?q=caf%C3%A9%20noir&lang=fr&utm_source=x",
        "&lt;p&gt;Fish &amp; chips&#39; price&nbsp;&euro;5&lt;/p&gt;",
        '{"name": "Caf\\u00e9 \\u4f60\\u597d", "path": "C:\\\\temp"}\\n\\t\\033[0m',
        "Mail joe@example.com or @anna; $this->name = $top; set PATH=$HOME/bin; Cheers!Bye map$region",
        "Reverse a linked list in Python and explain it backwards, step by step.",
        "What is a Caesar cipher, and how does ROT13 differ from it?",
        "Voil\u00e0, l'\u00e9t\u00e9 \u00e0 la plage; \u2018quotes\u2019 \u2013 \u2026",
        "die Stra\u00dfe, \u00fcber Stra\u00dfen",
        "Ti\u1ebfng Vi\u1ec7t c\u00f3 nhi\u1ec1u d\u1ea5u, Tie\u0302\u0301ng Vie\u0323\u0302t",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0628\u0631\u0648\u0645",
        "\u0c95\u0c82\u0caa\u0ccd\u0caf\u0cc2\u0c9f\u0cb0\u0ccd\u200c",
        "\u0c95\u0c82\u0caa\u0ccd\u0caf\u0cc2\u0c9f\u0cb0\u0ccd\u200c.",
        "\u0645\u06cc\u200c!",
        "\u0915\u094d\u200d\u0937 \u0928\u092e\u0938\u094d\u0924\u0947",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f\u200d\U0001f525",
        "1\ufe0f\u20e3 \U0001f1e9\U0001f1ea",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f beat \U0001f44d\U0001f3fd",
        "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u8bf7\u7528\u4e2d\u6587\u5199\u4e00\u9996\u8bd7\u3002",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u044d\u0442\u043e \u0442\u0435\u043a\u0441\u0442",
        "The Russian word \u0440\u043e\u0442 means mouth; 25 \u2103 and 5 \u03bcm in \u211d",
        "\u03b1-helix, TNF\u03b1, NF\u03baB, \u0394x",
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u200b\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
        "\ufeffA file that begins with a byte order mark, and ends with a direction mark\u200e",
        "\u2460 one \u2461 two \u24b6 first \u24b7 second, x\u00b2, 1\u02e2\u1d57, n\u00ba 5, M\u1d50\u1d49",
        "k\u0131rm\u0131z\u0131 \u0131\u015f\u0131k k\u0131z",
    ],
)
def test_ordinary_text_has_no_reading(text: str) -> None:
    assert readings(text) == []


@pytest.mark.parametrize(
    ("text", "read", "how"),
    [
        ("you are a sh1t", "you are a shit", "leetspeak"),
        ("A$$HOLE", "ASSHOLE", "leetspeak"),
        ("k1ll y0ur 5th 3nemy at 10am", "kill your 5th enemy at 10am", "leetspeak"),
        ("send me a \u0441\u043e\u0440\u0443 today", "send me a copy today", "homoglyphs"),
        ("p\u0430y for it", "pay for it", "homoglyphs"),
        ("s.t.u.p.i.d man", "stupid man", "spaced_letters"),
        ("i\u200bgnore\u2060", "ignore", "invisible"),
        ("\u1d18\u0280\u1d0f\u1d0d\u1d18\u1d1b", "prompt", "styled_letters"),
        ("h\u200b4t3 \uff54\uff48\uff45\uff4d", "hate them", "invisible+styled_letters+leetspeak"),
    ],
)
def test_reading_in_place(text: str, read: str, how: str) -> None:
    assert [(reading.text, reading.how) for reading in readings(text)] == [(read, how)]
