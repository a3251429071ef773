"""Whole classes of values, made by chance: none is missed, wherever and however it is written."""

import random
from collections.abc import Callable

import pytest

from detectors.privacy.finders import find_all
from tests.detectors.privacy.members import (
    CARRIERS,
    DISGUISES,
    iban,
    key,
    machine,
    mail,
    password,
    phone,
    texts,
    token,
)

MAKERS = {"phone": phone, "iban": iban, "mail": mail, "machine": machine, "token": token}
COUNT = 3 * len(CARRIERS)
PASSWORD_FORMS = (
    "password: {}", "My password is {}", "Passwort: {}", "mot de passe : {}", "contraseña: {}", "Пароль: {}",
    "密码：{}", "パスワードは{}です", "비밀번호: {}", "รหัสผ่าน: {}", "كلمة المرور: {}", "şifre: {}",
    "pass_word: {}", "Password:    {}", "Password ......... {}", "Password [first]: {}", "|Password|`{}`|",
    "**Password:** `{}`", "| user | password |\n|---|---|\n| bob | {} |\n| ann | – |",
    "user,city,password\nbob,Rome,{}", "user\tpassword\nbob\t{}\n", "Name;Passwort;Ort\nBob;{};Rom\n",
    "Password:\n{}\n", 'login("bob", password="{}")', 'requests.get(url, auth=("bob", "{}"))',
    "HTTPBasicAuth('bob', '{}')",
)  # fmt: skip
MARKUP_FORMS = (
    '<Password value="{}"/>', '<entry key="db.password">{}</entry>', "<dt>Password</dt><dd>{}</dd>",
    "<td>Password</td>\n    <td>{}</td>", "<th>Password:</th><td class='x'><code>{}</code></td>",
)  # fmt: skip
KEY_FORMS = (
    "api_key: {}", "API_KEY={}", "my API key is {}", '"client_secret": "{}"', "mi clave de API es {}",
    "คีย์ API: {}", "API-sleutel: {}", '<add key="ApiKey" value="{}" />',
    "| name | api_key |\n|---|---|\n| x | {} |", "name,api_key\nx,{}", "API 密钥：{}", "APIキーは{}です",
    "ключ API: {}",
)  # fmt: skip


def missed(made: list[tuple[str, str]]) -> list[str]:
    """Return the texts of whose value, without the word before it, more than two characters stay."""
    left = []
    for value, text in made:
        start, end = text.index(value), text.index(value) + len(value)
        start += value.find(": ") + 2 if ": " in value else 0
        if not any(each.start <= start and end - 2 <= each.end <= end for each in find_all(text)):
            left.append(text)
    return left


@pytest.mark.parametrize("name", MAKERS)
def test_a_value_is_found_in_every_carrier(name: str) -> None:
    assert missed(list(texts(MAKERS[name], COUNT, CARRIERS))) == []


@pytest.mark.parametrize("how", DISGUISES)
@pytest.mark.parametrize("name", MAKERS)
def test_a_value_is_found_in_every_disguise(name: str, how: str) -> None:
    def disguised(chance: random.Random) -> str:
        label, sign, value = MAKERS[name](chance).rpartition(": ")
        return f"{label}{sign}{DISGUISES[how](value)}"

    assert missed(list(texts(disguised, 8, ("It is {} now", "这是{}", "- {}\n")))) == []


@pytest.mark.parametrize(
    ("make", "forms"),
    [(password, PASSWORD_FORMS), (key, KEY_FORMS), (key, MARKUP_FORMS)],
    ids=["password", "key", "markup"],
)
def test_what_has_a_name_is_found_in_every_layout(
    make: Callable[[random.Random], str], forms: tuple[str, ...]
) -> None:
    assert missed(list(texts(make, 4 * len(forms), forms, seed=3))) == []
