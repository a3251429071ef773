"""What stands in a program where a secret could: names, calls, slices, fields of a format, statements."""

import itertools

import pytest

from detectors.privacy.code import items
from detectors.privacy.redaction import Redactor
from tests.detectors.privacy.finding import find_credentials as find

NAMES = ("password", "pw", "token", "user_pass", "new_password", "self.token")
EXPRESSIONS = (
    "pw[:-1]", "tokens[1:-1]", "tokens[:512]", "data[::2]", "value[: length2]", "rows[len(pd) + 1 :]",
    "data[len(ai):]", "base[s[1]::s[0]]", "input().strip()", "b64encode(userpass).decode()",
    "str(uuid.uuid4())[:8]", "super().get_auth(url)", "f(g(h(i1)))[0].x1(2)", "await client.token(x1)",
    "user!.password1.trim()", "config?.get(k1)?.value2", "this.#tokens[0].value1", "first(1)(2)",
    "mask1 if masked else mask2", '"x" if a1 else b2', "prefix12 + 'a'", "2**64 - 1", "-100.0", "1.5e-7",
    "[x for x in data if isinstance(x, (ABCSeries, ABCDataFrame))]", "[state.tokens[curr].content]",
    "[d[k][n] for k, n in dataset2]", "(ABCSeries, ABCDataFrame)", "{*names2, *others3}",
)  # fmt: skip


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_no_secret(expression: str) -> None:
    for name in NAMES:
        assert find(f"{name} = {expression}") == []


@pytest.mark.parametrize(
    "code",
    [
        'print(f"password={password!r}")',
        'f"token={self.token!s:>20} pw={pw!a}"',
        "password1 = password2",
        "if password1 == password2:",
        "pw2 = pw1;",
        "self.password = password2",
        "const token = accessToken2026;",
        "check(user, password=password2)",
        'connect("db", port=1, password=db_password_2)',
        "super().__init__(password=scheme, host=host, port=port, **kwargs)",
        "svm.SVC(password=kernel1).fit(X1, y1)",
        "    pass\nself.count+=1",
        "pass\n\nfoo(a=1)",
        "    def f(self): pass\n    x1[2]+=self.y",
        "        pass\n\n    @jump_test(3, 2)",
        "indices to pass to NumPy/SciPy2.",
    ],
)
def test_a_name_or_a_statement_is_no_secret(code: str) -> None:
    assert find(code) == []


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ('password = "hunter2x"', "hunter2x"),
        ("password = hunter2x", "hunter2x"),
        ("password = password1", "password1"),
        ('password = "pw[:-1]9"', "pw[:-1]9"),
        ('password = "password2"', "password2"),
        ('password1 = "password2"', "password2"),
        ('const password = "hunter2x";', "hunter2x"),
        ('self.password = "hunter2x"', "hunter2x"),
        ('connect(user="bob", password="hunter2x")', "hunter2x"),
        ('connect("host=a port=1 password=scheme")', "scheme"),
        ('pw = "hunter2x".encode()', "hunter2x"),
        ('pass_data = [x for x in (y, "Qr7dke#39")]', "Qr7dke#39"),
        ("user: bob\npass\nHunter2!x", "Hunter2!x"),
        ("password: Qr7!dke[39", "Qr7!dke[39"),
        ("password: (Qr7!dke", "(Qr7!dke"),
        ("password = Dragon$1202[", "Dragon$1202["),
        ("password = Hunter$3400(", "Hunter$3400("),
        ("set the pass to hunter2x", "hunter2x"),
    ],
)
def test_a_literal_is_one(code: str, value: str) -> None:
    assert value in [code[each.start : each.end] for each in find(code)]


@pytest.mark.parametrize("key", ["password", "passwords", "token", "pin"])
def test_what_lies_deep_in_a_list_of_json_is_replaced_by_a_string(key: str) -> None:
    kind = "SECRET" if key == "token" else "PASSWORD"
    value = {"pin": "1234", "token": '"Zk7mQ2wX9pLd4RtB"'}.get(key, "12345678")
    redactor = Redactor(b"k" * 16)
    for depth, blank in itertools.product((1, 2, 3, 5), ("", " ", "\n  ")):
        opening = f"[{blank}" * depth
        text = f'{{"{key}":{opening}{value}{blank}{"]" * depth}}}'
        redacted = redactor.redact(text, find(text))
        assert redacted.startswith(f'{{"{key}":{opening}"[{kind}_'), text
        assert redacted.endswith(f']"{blank}{"]" * depth}}}'), text


@pytest.mark.parametrize("key", ["password", "token", "pin"])
@pytest.mark.parametrize("word", ["true", "false", "null", "12"])
def test_a_word_deep_in_a_list_of_json_is_none(key: str, word: str) -> None:
    assert find(f'{{"{key}":[[[{word}]]]}}') == []


def test_every_list_within_a_list_is_read() -> None:
    text = '{"passwords": [["hunter2x", "a]b1c2d3"], [["Qr7dke39"]]], "other": ["x1y2z3w4"]}'
    assert [text[each.start : each.end] for each in find(text)] == ["hunter2x", "a]b1c2d3", "Qr7dke39"]


def test_lists_so_deep_in_each_other_that_nobody_writes_them_are_not_read_from_each_beginning() -> None:
    nested = "{" * 200 + "1," * 100
    assert len(list(items(nested, 0, 2_000))) == 1
    assert len(list(items("{" * 16 + "1," * 100, 0, 2_000))) == 101


def test_a_password_deep_in_json_is_found() -> None:
    text = '{"a":' * 12 + '{"password": ' + '{"a":' * 12 + '{"b": 1, "old": "Qx7!dke39z"' + "}" * 26
    assert [text[each.start : each.end] for each in find(text)] == ["Qx7!dke39z"]
