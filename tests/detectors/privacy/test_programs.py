"""Passwords in programs of many languages, in SQL and in pairs with a user; what takes their place."""

import pytest

from detectors.privacy.finders import find_all

VALUE = "Tr4mpolin7"
PROGRAMS = [
    'const password: string = "{}";',
    'let pwd: String = "{}".to_string();',
    'val password: String = "{}"',
    'password: str = "{}"',
    "passwd: Optional[str] = '{}'",
    'private final String dbPassword = "{}";',
    'char password[] = "{}";',
    'char password[64] = "{}";',
    'std::string password{{"{}"}};',
    'var password string = "{}"',
    'password <- "{}"',
    "define('DB_PASSWORD', '{}');",
    'os.environ.setdefault("DB_PASSWORD", "{}")',
    "DB_PASSWORD ?= {}",
    'config.setPassword("{}");',
    'builder.password("{}").build()',
    '.withPassword("{}")',
    'new NetworkCredential("ann", "{}")',
    'new UsernamePasswordCredentials("ann", "{}")',
    '$c = mysqli_connect("localhost", "root", "{}", "shop");',
    'new mysqli($host, "root", "{}", "shop");',
    'new PDO("mysql:host=x", "root", "{}");',
    'DriverManager.getConnection(url(), "root", "{}");',
    'ftp.login("ann", "{}")',
    'cx_Oracle.connect("ann", "{}", "db")',
    "setx DB_PASSWORD {}",
    "setx SECRET_KEY_PROD {}",
    "mot de passe du wifi c'est {}",
    'variable "db_password_prod" {{ default = "{}" }}',
    'variable "db_password" {{\n  type = string\n  default = "{}"\n}}',
]
PAIRS = [
    "user ann password {}",
    "Benutzer: ann, Passwort {}",
    "usuario ana contraseña {}",
    "login: ann, password {}",
    "username john and password {}",
    "creds: admin / {}!",
    "Zugangsdaten: admin / {}!",
    "username/password: ann / {}!",
    "usuario y contraseña: ana / {}!",
    "пароль {}!",
    "şifrem {}!",
    "Passwörter: {}!",
    "parola d'ordine: {}!",
]
INSERTS = [
    "INSERT INTO users (name, password) VALUES ('ann', '{}');",
    "INSERT INTO users (id, email, password, created) VALUES (1, 'a', '{}', NOW());",
    "INSERT INTO `users` (`login`,`passwd`) VALUES ('ann','{}'),('bob',NULL);",
    "insert into users(name,pwd)\nvalues\n  (CONCAT('a', 'b'), '{}')",
    'INSERT INTO "users" ("n", "password", "x") VALUES (1, \'{}\', \'it\'\'s\')',
]
NONE = [
    "SET password = :password WHERE id = :id",
    "SET password = @password WHERE id = @id",
    "SET password = @p1, token = :param_2",
    "password = :password2",
    "password = #{password}",
    '"password": ":password"',
    "INSERT INTO users (name, password) VALUES (?, ?)",
    "INSERT INTO users (name, password) VALUES (:name, :password);",
    "INSERT INTO users (name, password) VALUES ('ann', crypt(:p1, gen_salt('bf')));",
    "INSERT INTO users (name, token_count) VALUES ('ann', '40960000');",
    "INSERT INTO logs (user, password_reset) VALUES ('ann', 'requested2x');",
    "INSERT INTO texts (key, value) VALUES ('password', 'Kennwort');",
    'getPassword("Enter it: ")',
    'hash_password("password1")',
    'os.getenv("DB_PASSWORD", "")',
    't("password", "Kennwort")',
    'const password: string = "";',
    "function login(user: string, password: string) {",
    "let token: Option<String> = None;",
    'password: str = Field(default="")',
    "user and password field1",
    "'password' => 'required|string|min:8|confirmed',",
    "'password' => 'required|min:8'",
    "login / logout",
    "login: ann / bob",
    "https://login.example.com/j7l6Bkxx9zdlwRXq/+decide",
    "https://x.example/login.php/a7!K9x#Q2z",
    'variable "db_password" {\n  type = string\n  sensitive = true\n}',
    'form.login("username", "password")',
    't.login("title", "Log in to your account")',
    'i18n.login("en", "Welcome back")',
    'router.login("/login", "LoginController")',
    'validates("password", "min:8|max:64")',
    'variable "key_name" {\n  default = "ec2-key-1"\n}',
    'variable "token_ttl" { default = "24h30m" }',
    "setx TOKEN_TTL 3600",
    "setx KEY_COUNT 12345",
    "the user changed password twice2",
    "login form password input1",
    "user names and password managers2024",
]


@pytest.mark.parametrize("form", [*PROGRAMS, *PAIRS, *INSERTS])
def test_a_password_is_found_wherever_a_program_has_it(form: str) -> None:
    text = form.format(VALUE)
    found = [text[each.start : each.end].rstrip("!") for each in find_all(text)]
    assert found == [VALUE]


def test_behind_an_address_any_string_logs_in() -> None:
    text = 'smtp.login("ann@mail", "trampolin")'
    assert [text[each.start : each.end] for each in find_all(text)] == ["trampolin"]


@pytest.mark.parametrize("text", NONE)
def test_what_stands_for_a_password_is_none(text: str) -> None:
    assert find_all(text) == []


def test_each_row_and_column_of_an_insert_is_read() -> None:
    rows = ", ".join(f"({number}, '0151 2345678{number}', 'Winter{number}x9')" for number in range(5))
    found = find_all(f"INSERT INTO customers (id, phone, password) VALUES {rows};")
    assert [each.kind for each in found] == ["PHONE", "PASSWORD"] * 5


def test_the_next_field_of_a_form_is_no_part_of_a_secret() -> None:
    token = "TuwoTAMmKezHGSoVhZAMbhQgYqrDAHdZ"
    text = f"client_secret={token}&grant_type=client_credentials"
    assert [text[each.start : each.end] for each in find_all(text)] == [token]


@pytest.mark.parametrize(
    "value",
    [
        "@Summer1",
        ":Winter9",
        "@trampolin7",
        "abc&def=Gh7!",
        "aA1&token=bBcCdD1234567890abcdef",
        "Tr4m&polin7",
    ],
)
def test_the_signs_of_forms_and_parameters_are_parts_of_passwords_too(value: str) -> None:
    text = f"password={value}"
    assert [text[each.start : each.end] for each in find_all(text)] == [value]


def test_the_next_parameter_of_a_link_is_no_part_of_a_token() -> None:
    token = "DMP98U9sDJ2uEvpAX8Jqfy4ybyUANz1n"
    text = f"https://x.example/reset?token={token}&u=3"
    assert [text[each.start : each.end] for each in find_all(text)] == [token]
