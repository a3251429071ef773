"""Tables: every row is read, once; what a cell says of a secret is none."""

import json

import pytest

from detectors.privacy.finders import find_all
from detectors.privacy.tables import tables

FIRST, SECOND = "Hunter22x!", "Winter7#abc"


@pytest.mark.parametrize(
    "text",
    [
        "| # | User | Password |\n|---|---|---|\n| 1 | bob | {} |\n| 2 | ann | {} |\n",
        "| No. | User | Password |\n|---|---|---|\n| 1 | bob | {} |\n| 2 | ann | {} |\n",
        "| User | password? |\n|---|---|\n| bob | {} |\n| ann | {} |\n",
        "| User | \U0001f511 Password |\n|---|---|\n| bob | {} |\n| ann | {} |\n",
        " user | password \n------+----------\n bob  | {}\n ann  | {}\n(2 rows)\n",
        "+------+----------+\n| user | password |\n+------+----------+\n| bob | {} |\n| ann | {} |\n",
        "|User|Password|\r\n|:-:|:-:|\r\n|bob|{}|\r\n|ann|{}|\r\n",
        'user,address,password\nbob,"Rome, Via 1",{}\nann,"x, y",{}\n',
        'user;password\n"bob; the first";{}\nann;{}\n',
        "| user | note | password |\n|---|---|---|\n| bob | a \\| b | {} |\n| ann | `x\\|y` | {} |\n",
        "| user \\| alias | password |\n|---|---|\n| bob | {} |\n| ann \\| a | {} |\n",
    ],
)
def test_every_row_of_a_table_is_read(text: str) -> None:
    shown = text.format(FIRST, SECOND)
    assert [shown[each.start : each.end] for each in find_all(shown)] == [FIRST, SECOND]


@pytest.mark.parametrize(
    "text",
    [
        "| user | password |\n|---|---|\n| bob | `a\\|b9!xQ2` |\n",
        "| user | password |\n|---|---|\n| bob | a\\|b9!xQ2 |\n| ann | – |\n",
        "| password | user |\n|---|---|\n| a\\|b9!xQ2 | x \\| y |\n",
    ],
)
def test_a_value_with_a_bar_is_covered_whole(text: str) -> None:
    assert [text[each.start : each.end] for each in find_all(text)] == ["a\\|b9!xQ2"]


@pytest.mark.parametrize(
    "text",
    [
        "| a \\| b | or |\n|---|---|\n| x \\| y | union type |\n",
        "| Type | Password |\n|---|---|\n| `string \\| null` | optional |\n",
        "| command | token |\n|---|---|\n| `cat x \\| grep y` | keyword |\n",
    ],
)
def test_a_bar_in_a_cell_makes_no_column(text: str) -> None:
    assert find_all(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"md": "| user | password |\\n|---|---|\\n| ann | Winter7#abc |\\n"}', "Winter7#abc"),
        ('{"md": "|id|phone|\\n|-|-|\\n|1|0151 23456789|\\n|2|-|\\n", "n": 2}', "0151 23456789"),
        ("{\"q\": \"INSERT INTO u (n, password)\\nVALUES ('a', 'Tr4mpolin7')\"}", "Tr4mpolin7"),
        ('INSERT INTO u (n, password) VALUES ("a", "Tr4mpolin7"), ("b", "")', "Tr4mpolin7"),
        ('{"sql": "INSERT INTO u (n, password) VALUES (\\"a\\", \\"Tr4mpolin7\\")"}', "Tr4mpolin7"),
        ("name,phone\nAnn,%30151 23456789\n", "%30151 23456789"),
        ("| user | password |\n|---|---|\n| ann | Winter7&#35;abc |\n", "Winter7&#35;abc"),
    ],
)
def test_a_table_in_a_string_and_a_cell_in_disguise_are_read(text: str, value: str) -> None:
    assert [text[each.start : each.end] for each in find_all(text)] == [value]


@pytest.mark.parametrize("depth", range(1, 4))
@pytest.mark.parametrize("rest", [{}, {"n": 2}])
@pytest.mark.parametrize(
    "table", ['"user","password"\n"ann","Winter7#abc"', '"password";"id"\n"Winter7#abc";"12"\n']
)
def test_cells_in_quotes_are_read_in_json(table: str, rest: dict[str, int], depth: int) -> None:
    text = table
    for _ in range(depth):
        text = json.dumps({"csv": text, **rest})
    assert [text[each.start : each.end] for each in find_all(text)] == ["Winter7#abc"]


def test_a_long_table_is_read_to_its_end() -> None:
    rows = "".join(f"| bob{number} | Rome on the Tiber | Hunter{number}x! |\n" for number in range(100))
    assert len(find_all(f"| user | city | password |\n|---|---|---|\n{rows}")) == 100


@pytest.mark.parametrize(
    "text",
    [
        "password |\n" * 454,
        "| token | key |\n|---|---|\n" + "| a1b2c3 | d4e5f6 |\n" * 100,
        "pass | pin | " + "key | " * 50 + "\n" + "x1y|" * 52 + "\n" + "x1y|" * 52 + "\n",
        "key,a\nkey,b\nkey,a,b\nkey,a,b\n" * 100,
    ],
)
def test_no_more_is_read_again_than_in_proportion_to_the_text(text: str) -> None:
    """A row is no header, too: otherwise each would be read as often as there are rows above it."""
    assert sum(len(each.text) for each in tables(text)) <= 4 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        "| Auth | Password |\n|---|---|\n| LDAP | SHA-256 |\n| local | bcrypt12 |\n",
        "| Price per token | Model |\n|---|---|\n| 0.0000025USD | small |\n",
        "| Token | Model |\n|---|---|\n| 0.0000025USD | small |\n",
        "| Rank | Most used password |\n|---|---|\n| 1 | 123456 |\n",
        "| Pin | Function |\n|---|---|\n| 1234 | GND |\n",
        "| Account ID | Region |\n|---|---|\n| 747651898146 | eu-west-1 |\n",
        "| Account | Region |\n|---|---|\n| 747651898146 | eu-west-1 |\n",
        "kind,password\nlocal,32-characters\n",
        "<td>API key</td><td>32-character string</td>",
        "<td>Password</td><td>SHA-256</td>",
        "<td>Password</td><td>Argon2id</td>",
        "<td>Password</td><td>^[a-z0-9]{8,}$</td>",
        "<td>Password</td><td>12+characters</td>",
        "<dt>Password</dt><dd>PBKDF2</dd>",
        "<li>Password</li><li>Username2FA</li>",
        "<tr><th>Password</th><th>Login2Step</th></tr>",
        "<td>Token</td><td>Bearer-JWT-RS256</td>",
        "The token: 2024-01-01T00:00:00Z expired",
    ],
)
def test_what_is_said_of_a_secret_in_a_cell_is_none(text: str) -> None:
    assert find_all(text) == []


TABLES_IN_STRINGS = [
    "name,password\nann,Tr4mpolin7\nbob,Tr5mpolin7",
    "name,password,n\nann,Tr4mpolin7,3\nbob,Tr5mpolin7,4\n",
    "name;password\nann;Tr4mpolin7\nbob;Tr5mpolin7",
    "name\tpassword\nann\tTr4mpolin7\nbob\tTr5mpolin7\n",
]


@pytest.mark.parametrize("table", TABLES_IN_STRINGS)
def test_a_table_begins_and_ends_with_the_string_that_it_is_in(table: str) -> None:
    quoted = json.dumps(table)
    for text in (
        quoted,
        f'{{"csv": {quoted}}}',
        f'{{"path": "a.csv", "content": {quoted}, "mode": "w"}}',
        f'["x", {quoted}, 1]',
        f'data = """{table}"""\n',
        f"load('{table}', 1)\n",
    ):
        assert [text[each.start : each.end] for each in find_all(text)] == ["Tr4mpolin7", "Tr5mpolin7"]


@pytest.mark.parametrize(
    "text",
    [
        'execute("SELECT password, name\nFROM users2, roles")',
        '{"sql": "select token, id\\nfrom t1, t2"}',
        'call("password,\\n", "x9y8z7,\\n")',
        '["password,"\n"field12,"]\n',
    ],
)
def test_what_else_begins_in_a_string_is_no_table(text: str) -> None:
    assert find_all(text) == []
