"""What holds of every finder, whatever the text: order, bounds, time."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.privacy.views import Find
from tests.detectors.privacy.finding import find_credentials, find_personal_data
from tests.detectors.privacy.test_credentials import KEY

# fmt: off
HOSTILE: tuple[tuple[Find, tuple[str, ...]], ...] = (
    (find_credentials, (
        "password=", "password: aaaa1a ", "key is ", "eyJ", "eyJaaaaaaaa.", "://a:", "://", "sk-", "sk-a",
        "bearer ", "AKIA", "-----BEGIN PRIVATE KEY-----", KEY, "token:'", "password\n", "pwd" + "-" * 24,
        "gh", "ghp_", "xoxb-", "SG.", "password: ['a1b2c3',", "passwords:\n- ab12cd34\n", "cookie: a=b; ",
        "authorization: digest a=b ", "wifi:P:aaaa", "role password '", "token: " + "{" * 100, "a",
        f"password for {'a' * 24} {'b' * 24} ", "password |\n", "key,\"a\n",
        "\\", "password,\"\\\\", "password:\"" + "\\" * 9, "basic ", "sort code ", "password: &'a [",
        "insert into a (password) values (\"\\", "{\"password\":{\"a\":", "password: [\n", "password = {",
    )),
    (find_personal_data, (
        "a@", "1 ", "-", "4 ", "4111 1111 1111 1112 ", "GB00AAAA", "GB56", "a.b@c.", "@a.", "1.",
        "1.1.1.1 ", "::", "00:", "cpf 123.456.789-01 ", "nhs 1234567890 ", "+1", "(2", "call 123 4567 ",
        "x" * 63 + ".", "\u0664", "4111\n", "a [at] b [dot] ", "12:12:12:12:12:12 ", "bc1q", "1A",
    )),
)
# fmt: on
ALPHABETS = (
    (find_credentials, "password=:key is'\"\nsk-1eyJ.ghp_A/@\ud800é"),
    (find_personal_data, "0123456789 @.:-+()aAbB4xé٤\ud800\n"),
)


@pytest.mark.parametrize(("find", "alphabet"), ALPHABETS, ids=["credentials", "personal data"])
@given(st.data())
def test_findings_are_sorted_and_within_the_text(find: Find, alphabet: str, data: st.DataObject) -> None:
    text = data.draw(st.text(st.sampled_from(alphabet), max_size=120))
    found = find(text)
    assert all(0 <= f.start < f.end <= len(text) for f in found)
    assert all(left.end <= right.start for left, right in pairwise(found))


@pytest.mark.parametrize(("find", "unit"), [(find, unit) for find, units in HOSTILE for unit in units])
def test_a_hostile_text_ends_in_bounded_time(find: Find, unit: str) -> None:
    text = unit * (60_000 // len(unit))
    started = time.thread_time()
    find(text)
    assert time.thread_time() - started < 1.0
