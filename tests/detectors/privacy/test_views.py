import base64
import html
import json
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor
from detectors.privacy.views import decoded
from tests.detectors.privacy.finding import find_personal_data

VALUES = ("ann.lee@example.com", "4111 1111 1111 1111", "+44 20 7946 0958", "536-90-4399")
DISGUISES: dict[str, Callable[[str], str]] = {
    "percent": lambda value: urllib.parse.quote(value, safe=""),
    "percent twice": lambda value: urllib.parse.quote(urllib.parse.quote(value, safe=""), safe=""),
    "entities": lambda value: "".join(f"&#{ord(c)};" if c in "@1 " else c for c in value),
    "hex entities": lambda value: "".join(f"&#x{ord(c):x};" for c in value),
    "named entities": lambda value: value.replace("@", "&commat;").replace(" ", "&nbsp;"),
    "unicode escapes": lambda value: "".join(f"\\u{ord(c):04x}" if not c.isalpha() else c for c in value),
    "hex escapes": lambda value: "".join(f"\\x{ord(c):02x}" if not c.isalpha() else c for c in value),
    "zero width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "word joiners": "\u2060".join,
    "lost bytes": "\ufffd".join,
    "struck through": "\u0336".join,
    "full width": lambda value: "".join(chr(ord(c) + 0xFEE0) if c != " " else c for c in value),
    "mathematical digits": lambda value: "".join(
        chr(0x1D7CE + int(c)) if c.isdecimal() else c for c in value
    ),
    "quoted-printable": lambda value: value.replace("@", "=40"),
    "tag characters": lambda value: "".join(chr(0xE0000 + ord(c)) for c in value),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", DISGUISES)
@pytest.mark.parametrize("frame", ["{}", "see {} please", "q={}&x=1", "是{}。"])
def test_a_value_in_disguise_is_found_and_covered(value: str, name: str, frame: str) -> None:
    shown = DISGUISES[name](value)
    text = frame.format(shown)
    (finding,) = find_personal_data(text)
    start = text.index(shown)
    assert finding.start <= start
    assert finding.end >= start + len(shown)
    assert finding.end - finding.start <= len(shown) + 1, "and little else"


BESIDE: dict[str, Callable[[str], str]] = {
    "line ends in JSON": lambda value: json.dumps(f"see:\n{value}\n"),
    "tabs in JSON of JSON": lambda value: json.dumps(json.dumps(f"see\t{value}\r\n")),
    "a bytes literal": lambda value: repr(f"\f{value}\b".encode()),
    "brackets of Go": '"\\u003c{}\\u003e"'.format,
    "an encoded line end": "q=%0A{}%0D".format,
    "slashes of PHP": lambda value: json.dumps(f"https://x.org/ {value} ").replace("/", "\\/"),
    "a terminal's colour": "\x1b[1;31m{}\x1b[0m".format,
    "an escaped colour": lambda value: json.dumps(f"\x1b[31m{value}\x1b[0m"),
    "emphasis": "take _{}_, please".format,
    "strong emphasis": "___{}___".format,
    "tags": "<td>{}</td><br>".format,
}


@pytest.mark.parametrize("how", BESIDE)
@pytest.mark.parametrize(
    "value",
    [
        *VALUES,
        "93.184.216.34",
        "2a02:908:2a:1::5f3",
        "DE89370400440532013000",
        "AKIAQ2W3E4R5T6Y7U8I9",
        "0x52908400098527886E0F7030069857D2E4169EE7",
    ],
)
def test_what_marks_a_text_hides_no_value_beside_it(how: str, value: str) -> None:
    text = BESIDE[how](value if value[3:4] != "-" else f"my ssn: {value}").removeprefix("b'")
    (finding,) = find_all(text)
    found = text[finding.start : finding.end]
    assert found.endswith(value)
    assert len(found) <= len(value) + 4
    if text[0] == '"':
        assert value not in json.loads(Redactor(b"0123456789abcdef").redact(text, [finding]))


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(b"please write to ann.lee@example.com today").decode() + " is base64",
        b"please write to ann.lee@example.com today".hex(),
    ],
)
def test_a_payload_that_holds_a_value_is_covered_as_a_whole(text: str) -> None:
    assert "EMAIL" in {finding.kind for finding in find_personal_data(text)}


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_view_shows_every_character_once(text: str) -> None:
    view = decoded(text)
    if view is None:
        return
    assert len(view.text) == len(view.starts) == len(view.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(view.starts, view.ends, strict=True))
    assert list(view.starts) == sorted(view.starts)


@pytest.mark.parametrize("text", ["", "plain", "100 % of a & b = c \\ d", "1 &lt 2", "%zz &#; \\u12 \\x"])
def test_what_is_written_plainly_has_no_other_view(text: str) -> None:
    assert decoded(text) is None


@given(st.text("ab @%&#;\\u0123456789x=\u200b", max_size=80))
def test_nothing_in_disguise_survives_redaction(text: str) -> None:
    redacted = Redactor(b"0123456789abcdef").redact(text, find_all(text))
    assert find_all(redacted) == []


@given(st.sampled_from(VALUES), st.sampled_from(["html", "json", "url"]))
def test_what_a_library_encodes_is_read(value: str, how: str) -> None:
    shown = f"«{value}»"
    encoded = {"html": html.escape(shown), "json": json.dumps(shown), "url": urllib.parse.quote(shown)}
    assert find_personal_data(f"x {encoded[how]} y")


ENCODERS: tuple[Callable[[bytes], str], ...] = (
    lambda data: base64.b64encode(data).decode(),
    lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    lambda data: base64.b64encode(base64.b64encode(data)).decode(),
    lambda data: base64.b32encode(data).decode(),
    lambda data: data.hex(),
    lambda data: data.hex(" "),
    lambda data: " ".join(f"{byte:08b}" for byte in data),
    lambda data: " ".join(map(str, data)),
)


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(
    "value", ["jane.roe@shop-mail.org", "AKIAQ2W3E4R5T6Y7U8I9", "4111 1111 1111 1111", "password: Qr7xdke39Z"]
)
def test_an_encoding_hides_no_value_that_is_no_text(encode: Callable[[bytes], str], value: str) -> None:
    (kind,) = [found.kind for found in find_all(value)]
    payload = encode(value.encode())
    text = f"Please note {payload} and thanks"
    (found,) = find_all(text)
    assert (found.kind, text[found.start : found.end].strip("= ")) == (kind, payload.strip("= "))


def test_escapes_beside_a_value_do_not_widen_it() -> None:
    entry = {
        "password": "Ux[w\u00d8\u00e8\u0099\U00097e13",
        "ssn": "-----BEGIN PRIVATE KEY-----\nabc",
        "phone": 218504,
        "api_key": "ann\njane@example.com\tDE89370400440532013000",
    }
    document = ["password=\\u0041bc2024x", "password=\\u0041bc2024x", entry, "pwd=a\\b1234\nnext"]
    text = f"{json.dumps({'n': document})}\n" * 2
    for line in Redactor(b"0123456789abcdef").redact(text, find_all(text)).splitlines():
        assert json.loads(line)["n"][2]["phone"] == 218504
