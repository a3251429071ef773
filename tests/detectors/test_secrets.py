import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.batch import Batch
from detectors.privacy.findings import EVIDENCE_LIMIT, SCAN_LIMIT
from detectors.secrets import SecretsDetector, find

BODY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"  # of no issuer: random in form alone
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END RSA PRIVATE KEY-----"


def values(text: str) -> list[tuple[str, str]]:
    return [(finding.kind, text[finding.start : finding.end]) for finding in find(text)]


# Joined here, so that no scanner takes this file for a leak.
FORMS = [
    ("AWS_KEY", "AKIA" + "IOSFODNN7ABCDEFG"),
    ("GITHUB_TOKEN", "ghp_" + BODY[:36]),
    ("GITHUB_TOKEN", "github_pat_" + BODY),
    ("GITLAB_TOKEN", "glpat-" + BODY[:20]),
    ("SLACK_TOKEN", "xoxb-" + "123456789012-" + BODY[:24]),
    ("STRIPE_KEY", "sk_live_" + BODY[:24]),
    ("STRIPE_KEY", "rk_test_" + BODY[:24]),
    ("ANTHROPIC_KEY", "sk-ant-" + "api03-" + BODY),
    ("OPENAI_KEY", "sk-" + BODY),
    ("OPENAI_KEY", "sk-proj-" + BODY + "_" + BODY),
    ("GOOGLE_KEY", "AIza" + BODY[:35]),
    ("HUGGINGFACE_TOKEN", "hf_" + BODY[:34]),
    ("NPM_TOKEN", "npm_" + BODY[:36]),
    ("PYPI_TOKEN", "pypi-" + BODY + BODY),
    ("SENDGRID_KEY", "SG." + BODY[:22] + "." + BODY),
    ("JWT", "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0." + BODY),
    ("PRIVATE_KEY", KEY),
    ("PRIVATE_KEY", KEY.replace("RSA ", "")),
    ("PRIVATE_KEY", KEY.replace("RSA ", "OPENSSH ")),
]


@pytest.mark.parametrize("between", [" / ", ": ", ",", "\n"])
def test_the_secret_beside_an_aws_key_is_found(between: str) -> None:
    key, secret = FORMS[0][1], "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
    assert values(f"{key}{between}{secret} fails") == [("AWS_KEY", key), ("AWS_SECRET", secret)]
    assert values(f"{key}{between}{secret}tail") == [("AWS_KEY", key)], "of another length"


@pytest.mark.parametrize(("kind", "value"), FORMS)
@pytest.mark.parametrize("frame", ["{}", "use {} here", '"{}",', "é {}\n"])
def test_finds_keys_of_known_form(kind: str, value: str, frame: str) -> None:
    assert values(frame.format(value)) == [(kind, value)]


@pytest.mark.parametrize(
    ("frame", "value", "kind"),
    [
        ("password = {}", "hunter2x", "PASSWORD"),
        ('"password": "{}",', "hunter2x", "PASSWORD"),
        ("PASSWORD='{}'", "S3cr&t word", "PASSWORD"),
        ("my password is {}, keep it", "hunter2x", "PASSWORD"),
        ("pwd: {}", "123456", "PASSWORD"),
        ("db_password_prod := {}", "pa55w0rd!", "PASSWORD"),
        ("API_KEY={}", BODY[:20], "SECRET"),
        ("api key: {}", BODY[:20], "SECRET"),
        ("client_secret => '{}'", BODY[:20], "SECRET"),
        ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzzz", "SECRET"),
        ("Authorization: Bearer {}", BODY, "BEARER_TOKEN"),
        ("authorization: basic {}", "dXNlcjpwYXNzd29yZDE=", "BEARER_TOKEN"),
        ("postgres://{}@db.example.com/app", "user:pa55", "CONNECTION_STRING"),
        ("redis://{}@localhost:6379", ":s3cret", "CONNECTION_STRING"),
        ("https://hooks.slack.com/services/{}", "T0000000/B0000000/" + BODY[:24], "SLACK_WEBHOOK"),
    ],
)
def test_finds_the_value_and_not_its_name(frame: str, value: str, kind: str) -> None:
    assert values(frame.format(value)) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "How do I choose a strong password?",
        "The password is required.",
        "password: string",
        "password = ${DB_PASSWORD}",
        "password: <your password here1>",
        "password=process.env.DB_PASS1",
        "token = os.environ['TOKEN_1']",
        "api_key: xxxxxxxxxxxxxxxx1",
        "api_key = YOUR_API_KEY_123",
        "password: ********",
        "secret is out, everyone1 knows",
        "max tokens: 4096",
        "the key is under the doormat",
        "sk-learn and sk-something-that-is-a-long-word-list",
        "eyJ alone",
        "https://example.com/a:b/c@d",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "PWD=/var/log ; credentials=/home/me/.smb1credentials",
        'print("Random Password:", random_password1)',
        "supports basic username/password authentication",
        "bearer of bad news and basic understanding",
    ],
)
def test_leaves_ordinary_text_alone(text: str) -> None:
    assert values(text) == []


def test_a_key_without_an_end_reaches_to_the_end_of_the_text() -> None:
    text = "see " + KEY[:60]
    assert values(text) == [("PRIVATE_KEY", KEY[:60])]
    assert [kind for kind, _ in values(f"{KEY} and {KEY}")] == ["PRIVATE_KEY", "PRIVATE_KEY"]


def test_a_known_form_names_an_assigned_value() -> None:
    assert values(f"token = ghp_{BODY[:36]}") == [("GITHUB_TOKEN", f"ghp_{BODY[:36]}")]


def test_scores_count_findings() -> None:
    scores = SecretsDetector().score(Batch.of_texts(["nothing", "password = hunter2x; pwd=abc123", ""]))
    assert scores.tolist() == [[0], [2], [0]]
    assert scores.dtype == np.float32


def test_evidence_names_kind_and_place_and_never_the_value() -> None:
    text = "password = hunter2x"
    (evidence,) = SecretsDetector().explain(Batch.of_texts([text]), 0)
    assert (evidence.metric, evidence.label, evidence.text) == ("secrets", "PASSWORD", "")
    assert text[evidence.start : evidence.end] == "hunter2x"
    assert len(SecretsDetector().explain(Batch.of_texts(["pwd=abc123 " * 100]), 0)) == EVIDENCE_LIMIT


def test_what_is_beyond_the_limit_is_not_searched() -> None:
    assert find("x" * SCAN_LIMIT + " pwd=abc123") == []


@given(st.text(st.sampled_from("password=:key is'\"\nsk-1eyJ.ghp_A/@\ud800é"), max_size=120))
def test_findings_are_sorted_and_within_the_text(text: str) -> None:
    found = find(text)
    assert all(0 <= f.start < f.end <= len(text) for f in found)
    assert all(left.end <= right.start for left, right in pairwise(found))


@pytest.mark.parametrize(
    "unit",
    [
        "password=",
        "password: aaaa1a ",
        "key is ",
        "eyJ",
        "eyJaaaaaaaa.",
        "://a:",
        "://",
        "sk-",
        "sk-a",
        "bearer ",
        "AKIA",
        "-----BEGIN PRIVATE KEY-----",
        KEY,
        "token:'",
        "password\n",
        "pwd" + "-" * 24,
        "gh",
        "ghp_",
        "xoxb-",
        "SG.",
        "a",
    ],
)
def test_a_hostile_text_ends_in_bounded_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    started = time.perf_counter()
    find(text)
    assert time.perf_counter() - started < 3.0
