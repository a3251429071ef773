"""Passwords with signs in them that commonly end a value, and what stands behind a password and is none."""

import random
import string

import pytest

from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor
from tests.detectors.privacy.finding import find_credentials

REDACTOR = Redactor(b"0123456789abcdef")
FRAMES = (
    "password: {}",
    "Password is {}",
    "DB_PASSWORD={}",
    "my password is {} ok?",
    "Das Passwort lautet {} und nichts sonst",
)
INSIDE = (",", ";", "'", '"', "`", ",;", '")', "<", "{")


def redacted(text: str) -> str:
    return REDACTOR.redact(text, find_all(text), "")


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("sign", INSIDE)
def test_a_sign_inside_does_not_end_a_password(frame: str, sign: str) -> None:
    for value in (f"Tr0ub{sign}4dor3x", f"hunter2{sign}Winter24", f"Qr7!d{sign}ke#39"):
        assert redacted(frame.format(value)).count("[") == 1, value
        assert not {"Tr0ub", "dor3x", "inter", "ke#39"} & _words(redacted(frame.format(value)))


@pytest.mark.parametrize("frame", [*FRAMES, '{{"password": "{}"}}'])
@pytest.mark.parametrize("sign", ["(", "<", "{", "[", ",", ";"])
def test_a_sign_before_does_not_make_a_placeholder(frame: str, sign: str) -> None:
    assert "Wa-%Im6C" not in redacted(frame.format(f"{sign}Wa-%Im6CvZH.)+7"))


@pytest.mark.parametrize("frame", FRAMES)
def test_of_random_passwords_next_to_none_stays(frame: str) -> None:
    chance = random.Random(5)
    alphabet = string.ascii_letters + string.digits + string.punctuation
    left = 0
    for _ in range(150):
        value = "".join(chance.choices(alphabet, k=16))
        shown = redacted(frame.format(value))
        left += any(value[place : place + 5] in shown for place in range(12))
    assert left <= 10  # of 150; 80 where a comma or a quote ends a value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password: hunter2x, then press enter", "password: [], then press enter"),
        ("password: hunter2x; then log in", "password: []; then log in"),
        ('use "password: hunter2x", please', 'use "password: []", please'),
        ("He said 'my password: hunter2x'.", "He said 'my password: []'."),
        ("don't tell: password is hunter2x's", "don't tell: password is []"),
        ("(password: hunter2x, or so)", "(password: [], or so)"),
        ("Password=hunter2x;Server=db1;Port=99", "Password=[];Server=db1;Port=99"),
        ("{user:ann1,password:hunter2x,host:db1}", "{user:ann1,password:[],host:db1}"),
        ('{"text":"password: hunter2x","id":"a1b2"}', '{"text":"password: []","id":"a1b2"}'),
        ("mot de passe : « azerty2024 »", "mot de passe : « [] »"),
        ("mot de passe : «azerty2024».", "mot de passe : «[]»."),
        ("Das Passwort ist „Geheim2024“, ja", "Das Passwort ist „[]“, ja"),
        ("密码：neko2024x，请登录", "密码：[]，请登录"),
        ("password: 'hunter2x', user: 'ann'", "password: '[]', user: 'ann'"),
    ],
)
def test_what_follows_a_password_stays(text: str, shown: str) -> None:
    for finding in reversed(find_all(text)):
        text = f"{text[: finding.start]}[]{text[finding.end :]}"
    assert text == shown


@pytest.mark.parametrize(
    "text",
    [
        'passwd_b64 = b64encode(passwd.encode("ascii")).decode("ascii")',
        "passwords: foo,bar,baz",
        "password: <your password 1>",
        "password: <YOUR_PASSWORD_1>",
        "password: {user.password1}",
        "pw={self.password1!s:>20}",
        "password: [enter-password-1]",
        "password:string,email:string,created:datetime1",
        'password: {"type":"string","minLength":8}',
        'password: "",user1,user2',
        "password = hash(pw1,10)",
        "pass: 12,3s",
    ],
)
def test_names_and_code_with_commas_are_no_passwords(text: str) -> None:
    assert find_all(text) == []


SAID = [
    ("Password → {}", "Tr0ub4dor3x"),
    ("Das Passwort ist jetzt {}", "Tr0ub4dor3x"),
    ("my password is now {}", "hunter2x"),
    ("the password is still {}, I think", "hunter2x"),
    ("password was changed to {}", "Tr0ub4dor3x"),
    ("password has been reset to {}", "hunter2x"),
    ('<input type="password" value="{}">', "Tr0ub4dor3x"),
    ('<input type="password" name="p" id="q" value="{}">', "Tr0ub4dor3x"),
    ('{{"type":"password","value":"{}"}}', "Tr0ub4dor3x"),
    ('{{"key":"password","value":"{}"}}', "Tr0ub4dor3x"),
    ("STRIPE_KEY={}", "8f14e45fceea167a5a36dedd4bea2543"),
    ("WEATHER_KEY = '{}'", "8f14e45fceea167a5a36dedd4bea2543"),
    ('{{"stripe_key": "{}"}}', "8f14e45fceea167a5a36dedd4bea2543"),
    ("https://api.example.com/v1?key={}&x=1", "8f14e45fceea167a5a36dedd4bea2543"),
    ("my PIN number is {}", "4821"),
    ("PIN number: {}", "4821"),
    ("pin code: {}", "4821"),
    ("your PIN code is {}", "4821"),
    ("mon code PIN est le {}", "4821"),
    ("mi PIN es el {}", "4821"),
    ("ATM pin={}", "4821"),
    ("pin={}", "4821"),
    ("user=ann&pin={}&x=1", "4821"),
]


@pytest.mark.parametrize(("form", "value"), SAID)
def test_values_are_found_however_they_are_said(form: str, value: str) -> None:
    text = form.format(value)
    assert [text[f.start : f.end] for f in find_credentials(text)] == [value]


@pytest.mark.parametrize(
    "text",
    [
        "Password is now required",
        "The password was changed to the new one",
        "password is still 12 characters long",
        '{"type":"password","value":"Password"}',
        '<input type="password" value="{{ value1 }}">',
        "cache_key=8f14e45fceea167a5a36dedd4bea2543",
        '"public_key": "8f14e45fceea167a5a36dedd4bea2543"',
        "PIN code: 110001",
        "pin = 4821",
        "setup(pin=4821)",
        "setup(1, pin=4821)",
        "pin number: 12",
        "PIN code 4821 of 9000",
    ],
)
def test_what_is_said_of_passwords_and_keys_is_none(text: str) -> None:
    assert find_all(text) == []


def _words(text: str) -> set[str]:
    """Return all parts of five characters."""
    return {text[place : place + 5] for place in range(len(text) - 4)}
