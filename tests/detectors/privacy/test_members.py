"""Values and look-alikes as they stand in chats, tables, links, code and JSON, in several languages."""

import json

import pytest

from detectors.privacy.finders import find_all
from detectors.privacy.redaction import Redactor

REDACTOR = Redactor(b"0123456789abcdef")

FOUND = [
    # letters or an extension glued to a phone
    ("Tel:+493012345678x12", "+493012345678x12"),
    ("Tel:+4930123456home", "+4930123456"),
    ("M:+447700900123x", "+447700900123"),
    ("tel.+493012345678(home)", "+493012345678"),
    ("(415) 555-0132x5", "(415) 555-0132x5"),
    ("415-555-0132ext5", "415-555-0132ext5"),
    ("415-555-0132home", "415-555-0132"),
    ("phone +44 20 7946 0958, extension 4", "+44 20 7946 0958, extension 4"),
    ("+1-415-555-0132#5", "+1-415-555-0132#5"),
    ("Tél. : 01 42 68 53 00", "01 42 68 53 00"),
    ("เบอร์0812345678ครับ", "0812345678"),
    # a Canadian number that was never issued; others with their word before them
    ("SIN 046 454 286", "046 454 286"),
    ('{"sin":"046-454-286"}', "046-454-286"),
    ("numéro d'assurance sociale 046 454 286", "046 454 286"),
    ("NAS : 046454286", "046454286"),
    ("Medicare 2123 45670 1", "2123 45670 1"),
    ("RUN: 12345678-5", "12345678-5"),
    # after the address a bracket
    ("ann@example.com(work)", "ann@example.com"),
    # passwords: options of tools, quotes, other languages
    ("mysql -uroot -p'S3cretPw1' db", "S3cretPw1"),
    ("az login -u a@b.com -p S3cretPw1", "S3cretPw1"),
    ("openssl enc -k S3cretPw1 -in a", "S3cretPw1"),
    ("rclone --sftp-pass S3cretPw1", "S3cretPw1"),
    ("az sql server create --admin-password S3cretPw1", "S3cretPw1"),
    ("aws rds create --master-user-password=S3cretPw1", "S3cretPw1"),
    ("mongodump -u a -p S3cretPw1", "S3cretPw1"),
    ("пароль от почты: kot2024", "kot2024"),
    ("Zugangscode: 4711-xyz", "4711-xyz"),
    ("password: (9kD!x)", "(9kD!x)"),
    # tokens that are ids elsewhere, signatures, fragments of links
    ("//registry.example/:_authToken=b98ec224-cdb2-4340-b7bd-9617fc719d1d",
     "b98ec224-cdb2-4340-b7bd-9617fc719d1d"),
    ("https://x.example/cb#access_token=abcd1234efgh5678&t=1", "abcd1234efgh5678"),
    # JSON in JSON, and in it again
    (r'{\"password\": \"Qr7xdke39\"}', "Qr7xdke39"),
    (r'{\\\"api_key\\\":\\\"a1b2c3d4e5f6g7h8\\\"}', "a1b2c3d4e5f6g7h8"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FOUND)
def test_a_value_is_found_as_it_stands(text: str, value: str) -> None:
    assert value in [text[each.start : each.end] for each in find_all(text)]


@pytest.mark.parametrize(
    "text",
    [
        "x = +1234567890abc12", "size=+1000000km", "sin(046454286)", "sin 30 degrees", "run 12345678-5 times",
        "case 17.15.20.13", "see RFC 2616 4.2.1.1", "page 16.19.6.10", "y = q@k.to(device)",
        "p = .4111111111111111", "[.4111111111111111,.5309136012499991]", "password: $env:PW",
        "Password: (leave empty)", 'page_token = "CiAKGjBpNDd2Nmp2Zml"',
        '{"nextPageToken": "CiAKGjBpNDd2Nmp2Zml9"}',
        "token: b98ec224-cdb2-4340-b7bd-9617fc719d1d", "https://user:pass@example.com",
        "postgres://user:password@localhost/db", "tool --no-password file1", "tool --reset-password admin2",
        "git log -p file1.py", "openssl x509 -in a1.pem", "part 415-555-0132a1", "model 30-1234567x9",
        "Le mot de passe doit contenir 8 caractères",
        r'{\"password\": \"\", \"n\": 1}', "3 calls of +100 each",
    ],
)  # fmt: skip
def test_what_resembles_a_value_is_left_alone(text: str) -> None:
    assert find_all(text) == []


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("value", ["Qr7xdke39", 'Qr7"x\\dke39', "Qr7xdke39\n"])
def test_json_within_json_stays_json(depth: int, value: str) -> None:
    text = json.dumps({"password": value, "api_key": "a1b2c3d4e5f6g7h8", "n": [1, "x"], "passwords": [value]})
    for _ in range(depth):
        text = json.dumps({"arguments": text})
    redacted = REDACTOR.redact(text, find_all(text))
    for _ in range(depth):
        redacted = json.loads(redacted)["arguments"]
    assert json.loads(redacted)["n"] == [1, "x"]
    assert "dke39" not in redacted
    assert "a1b2c3d4" not in redacted
