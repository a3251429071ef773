"""Secrets behind their names in many languages, in the forms of tools, in lists and objects."""

import random
import string

import pytest

from detectors.privacy.labels import ENGLISH, PASSWORDS, labels
from tests.detectors.privacy.finding import find_credentials as find

# Random in form alone.
RANDOM = "Zk7mQ2wX9pLd4RtB"
LETTERS = "qwzxkvbnmtrplkjhgfdsz"

LABELLED = [
    ("Κωδικός πρόσβασης: {}", "hunter2x"),
    ("ο κωδικός μου είναι {}", "hunter2x"),
    ("Συνθηματικό: {}", "hunter2x"),
    ("lozinka: {}", "hunter2x"),
    ("moja lozinka je {}", "hunter2x"),
    ("zaporka: {}", "hunter2x"),
    ("geslo: {}", "hunter2x"),
    ("moje geslo je {}", "hunter2x"),
    ("slaptažodis: {}", "hunter2x"),
    ("mano slaptažodis yra {}", "hunter2x"),
    ("parole: {}", "hunter2x"),
    ("mana parole ir {}", "hunter2x"),
    ("parool: {}", "hunter2x"),
    ("minu parool on {}", "hunter2x"),
    ("salasõna: {}", "hunter2x"),
    ("pasahitza: {}", "hunter2x"),
    ("nire pasahitza {} da", "hunter2x"),
    ("contrasenya: {}", "hunter2x"),
    ("la contrasenya és {}", "hunter2x"),
    ("contrasinal: {}", "hunter2x"),
    ("o contrasinal é {}", "hunter2x"),
    ("رمز عبور: {}", "hunter2x"),
    ("رمز عبور من {} است", "hunter2x"),
    ("گذرواژه: {}", "hunter2x"),
    ("پسورد: {}", "hunter2x"),
    ("मेरा पासवर्ड {} है", "hunter2x"),
    ("पासवर्ड है {}", "hunter2x"),
    ("कूटशब्द: {}", "hunter2x"),
    ("गुप्त कोड: {}", "hunter2x"),
    ("kata laluan: {}", "hunter2x"),
    ("kata laluan saya ialah {}", "hunter2x"),
    ("kata sandi saya adalah {}", "hunter2x"),
    ("sandi: {}", "hunter2x"),
    ("nenosiri: {}", "hunter2x"),
    ("nenosiri langu ni {}", "hunter2x"),
    ("neno la siri: {}", "hunter2x"),
    ("lykilorð: {}", "hunter2x"),
    ("lykilorðið mitt er {}", "hunter2x"),
    ("aðgangsorð: {}", "hunter2x"),
    ("parol: {}", "hunter2x"),
    ("mening parolim: {}", "hunter2x"),
    ("הסיסמה שלי היא {}", "hunter2x"),
    ("ססמה: {}", "hunter2x"),
    ("סיסמתי: {}", "hunter2x"),
    ("পাসওয়ার্ড: {}", "hunter2x"),
    ("আমার পাসওয়ার্ড হল {}", "hunter2x"),
    ("গোপন নম্বর: {}", "hunter2x"),
    ("கடவுச்சொல்: {}", "hunter2x"),
    ("எனது கடவுச்சொல் {}", "Hunter2x!"),
    ("پاس ورڈ: {}", "hunter2x"),
    ("میرا پاس ورڈ {} ہے", "hunter2x"),
    ("خفیہ کوڈ: {}", "hunter2x"),
    ("fjalëkalimi: {}", "hunter2x"),
    ("wagwoord: {}", "hunter2x"),
    ("лозинка: {}", "hunter2x"),
    ("парола: {}", "hunter2x"),
    ("პაროლი: {}", "hunter2x"),
    ("գաղտնաբառ: {}", "hunter2x"),
    ("şifrə: {}", "hunter2x"),
    ("құпиясөз: {}", "hunter2x"),
    ("нууц үг: {}", "hunter2x"),
    ("cyfrinair: {}", "hunter2x"),
    ("pasfhocal: {}", "hunter2x"),
    ("సంకేతపదం: {}", "hunter2x"),
    ("પાસવર્ડ: {}", "hunter2x"),
    ("ਪਾਸਵਰਡ: {}", "hunter2x"),
    ("parola mea este {}", "hunter2x"),
    ("şifrem: {}", "hunter2x"),
    ("passordet mitt er {}", "hunter2x"),
    ("lösenordet är {}", "hunter2x"),
    ("mein Passwort lautet {}", "hunter2x"),
    ("moje hasło to {}", "hunter2x"),
    ("jelszavam: {}", "hunter2x"),
    ("a jelszó: {}", "hunter2x"),
    ("Mật khẩu là {}", "hunter2x"),
    ("كلمة المرور هي {}", "hunter2x"),
    ("كلمة المرور الخاصة بي هي {}", "hunter2x"),
    ("pw: {}", "hunter2x"),
    ("PW={}", "hunter2x"),
    ("user ann pw {}", "Hunter2x!"),
    ("PIN: {}", "4821"),
    ("my PIN is {}", "482193"),
    ("PIN-Code: {}", "4821"),
    ("pwd is {}", "hunter2x"),
    ("the pwd is {}", "abc123"),
    ("pass: {}", "hunter2x"),
    ("password - {}", "hunter2x"),
    ("clé API : {}", RANDOM),
    ("API-Schlüssel: {}", RANDOM),
    ("clave de API: {}", RANDOM),
    ("ключ API: {}", RANDOM),
    ("κλειδί API: {}", RANDOM),
    ("chiave API: {}", RANDOM),
    ("chave de API: {}", RANDOM),
    ("klucz API: {}", RANDOM),
    ("API anahtarı: {}", RANDOM),
    ("API 密钥：{}", RANDOM),
    ("APIキー: {}", RANDOM),
    ("API 키: {}", RANDOM),
    ("код доступа: {}", "hunter2x"),
    ("мой ПИН-код: {}", "4821"),
]

FORMS = [
    ("machine api.example.com login ann password {}", "hunter2x"),
    ("machine api.example.com\n  login ann\n  password {}\n", "letmein"),
    ("default login ann password {}", "hunter2x"),
    ("CREATE USER bob IDENTIFIED BY '{}';", "letmein"),
    ("create user bob@'%' identified with mysql_native_password by '{}'", "letmein"),
    ("ALTER USER scott IDENTIFIED BY {};", "hunter2x"),
    ("ALTER ROLE app WITH LOGIN PASSWORD '{}'", "letmein"),
    ("SET PASSWORD FOR 'bob'@'%' = PASSWORD('{}')", "letmein"),
    ("CREATE LOGIN sa WITH PASSWORD = N'{}'", "Letmein1"),
    ("net user bob {} /add", "Hunter2x"),
    ("net use Z: \\\\srv\\share {} /user:bob", "Hunter2x"),
    ("NET USER Administrator {}", "Winter24"),
    ("echo 'bob:{}' | chpasswd", "hunter2"),
    ("echo root:{} | sudo chpasswd", "hunter2"),
    ('chpasswd <<< "bob:{}"', "hunter2"),
    ("echo '{}' | passwd --stdin bob", "hunter2"),
    ("echo {} | sudo -S ls", "hunter2"),
    ("useradd -p {} bob", "hunter2"),
    ('ConvertTo-SecureString "{}" -AsPlainText -Force', "letmeinnow"),
    ("ConvertTo-SecureString -String '{}' -AsPlainText", "P@ss w0rd"),
    ("WIFI:S:Home;T:WPA;P:{};;", "letmeinnow"),
    ("WIFI:T:WPA;S:My Net;P:{};H:true;;", "hunter2x"),
    ("Cookie: sessionid={}; theme=dark", RANDOM),
    ("Set-Cookie: sid={}; Path=/; HttpOnly", RANDOM),
    ("curl -H 'Cookie: JSESSIONID={}' x", "1A2B3C4D5E6F70819203"),
    ("Cookie: theme=dark; auth={}", RANDOM),
    ("curl -b 'sid={}' https://x.example", RANDOM),
    ('"Set-Cookie": "connect.sid={}; Path=/"', "s%3A" + RANDOM + RANDOM),
    ("Authorization: ApiKey {}", RANDOM),
    ("Authorization: Token {}", RANDOM),
    ("Authorization: Basic {}", "YW5uOnB3"),
    (
        'Authorization: Digest username="ann", realm="x", nonce="abc", uri="/", response="{}"',
        "6629fae49393a05397450978507c4ef1",
    ),
    ("'Authorization': 'Bearer {}'", LETTERS),
    ("Authorization: {}", RANDOM),
    ("Proxy-Authorization: Basic {}", "YW5uOnB3MTIz"),
    ('authorization = "GenieKey {}"', RANDOM),
    ("X-Auth-Token: {}", RANDOM),
    ("X-Api-Key: {}", RANDOM),
    ("apikey: {}", RANDOM),
    ("Ocp-Apim-Subscription-Key: {}", RANDOM + RANDOM),
    ("snmp-server community {} RO", "C0mmS3c"),
    ("snmpwalk -v2c -c {} 10.0.0.1", "C0mmS3c"),
    ("rocommunity {} 10.0.0.0/8", "C0mmS3c"),
    ("snmp community string: {}", "C0mmS3c"),
    ('{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{}"}}}}}}', "YW5uOmh1bnRlcjJ4"),
    ("//registry.example.org/:_authToken={}", RANDOM + RANDOM),
    ("//registry.example.org/:_password={}", "aHVudGVyMng="),
    ("_auth={}", "YW5uOmh1bnRlcjJ4"),
    ("host=db user=app password={} dbname=shop", "letmein"),
    ("Driver={{x}};Server=db;Uid=sa;Pwd={};", "letmein"),
    ("jdbc:mysql://db/shop?user=app&password={}", "letmein1"),
    ("sqlplus scott/{}@orcl", "tiger7x"),
    ("app:{}@tcp(db:3306)/shop", "letmein1"),
    (
        "DefaultEndpointsProtocol=https;AccountName=x;AccountKey={};EndpointSuffix=core.windows.net",
        RANDOM + RANDOM + RANDOM + "==",
    ),
    (
        "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={}",
        RANDOM + RANDOM + "=",
    ),
    ("jdbc:oracle:thin:scott/{}@db:1521:orcl", "tiger7x"),
    ("unzip -P {} files.zip", "Hunter2x"),
    ("7z x -p{} files.7z", "Hunter2x"),
    ("sqlcmd -S db -U sa -P {}", "Hunter2x"),
    ("htpasswd -b .htpasswd bob {}", "Hunter2x"),
    ("keytool -list -storepass {}", "Hunter2x"),
    ("smbclient //srv/share -U bob%{}", "Hunter2x"),
    ("xfreerdp /u:bob /p:{} /v:srv", "Hunter2x"),
    ("cmdkey /add:srv /user:bob /pass:{}", "Hunter2x"),
    ("openssl rsa -passin pass:{} -in k.pem", "Hunter2x"),
    ("nmcli dev wifi connect Home password {}", "Hunter2x"),
    ("aws configure set aws_secret_access_key {}", RANDOM + RANDOM),
    ("ssh-keygen -t ed25519 -N {} -f key", "Hunter2x"),
]

LISTED = [
    ('{{"passwords": ["{}", "x"]}}', "hunter2x"),
    ('{{"password": {{"value": "{}"}}}}', "hunter2x"),
    ("passwords:\n  - {}\n", "hunter2x"),
    ("password:\n  value: {}\n", "hunter2x"),
    ("password: |\n  {}\n", "hunter2x"),
    ("password: !!str {}", "hunter2x"),
    ('"api_keys": [\n  "{}"\n]', RANDOM),
    ("api_keys:\n- {}\n", RANDOM),
    ("passwords = ['first1x', '{}']", "second2x"),
    ("password: >-\n  {}\n", "hunter2x"),
    ('"tokens": {{"prod": "{}"}}', RANDOM),
    ("secrets:\n  prod: {}\n", RANDOM),
    ('{{"password":["{}"]}}', "hunter2x"),
    ("password: &pw {}", "hunter2x"),
    ("password:\n  {}\n", "hunter2x"),
    ("Password:\n{}", "Hunter2x!"),
    ("password: {}", "${abc}Real9pass"),
    ("password: {}", "$(x)Real9pass"),
    ("password: {}", "[x]Real9pass"),
    ("password={}", "{{x}}Real9pass"),
    ("password: {}", "<x>Real9pass"),
    ("api_key: {}", LETTERS),
    ("API_KEY={}", "QwZxKvBnMtRpLkJhGfDs"),
    ('client_secret = "{}"', "JBSWYDPEHPKPXPXPJBSWY"),
    ("access token: {}", LETTERS),
    ("token: '{}'", "kTqWbZxNvMpRdLsGhJcF"),
]


def values(text: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in find(text)]


@pytest.mark.parametrize(("frame", "value"), LABELLED)
def test_a_label_announces_a_secret_in_every_language(frame: str, value: str) -> None:
    text = frame.format(value)
    assert values(text) == [value]
    assert values(f"é {text}\nThe end.") == [value]


@pytest.mark.parametrize(("frame", "value"), FORMS)
def test_tools_files_and_headers_have_forms_of_their_own(frame: str, value: str) -> None:
    assert value in values(frame.format(value))


@pytest.mark.parametrize("option", ["--cookie ", "--cookie=", "-b ", "-b=", "-B "])
def test_a_cookie_of_curl_is_found_behind_every_blank(option: str) -> None:
    for blank in filter(str.isspace, map(chr, range(0x3001))):
        assert "abcDEF123456xyz" in values(f'curl{blank}{option}"session=abcDEF123456xyz; a=b"'), repr(blank)


@pytest.mark.parametrize(("frame", "value"), LISTED)
def test_lists_and_objects_of_secrets_are_read(frame: str, value: str) -> None:
    assert value in values(frame.format(value))


@pytest.mark.parametrize("seed", range(4))
def test_a_random_password_is_found_whatever_it_is_made_of(seed: int) -> None:
    chance = random.Random(seed)
    signs = string.ascii_letters + string.digits + "!@#$%^&*"
    made = ["".join(chance.choice(signs) for _ in range(chance.randint(12, 20))) for _ in range(300)]
    made += ["".join(chance.choice(string.ascii_letters) for _ in range(16)) for _ in range(100)]
    missed = [value for value in made if value not in values(f"password: {value}")]
    assert len(missed) <= 4, missed  # letters alone that could be words


def test_an_encrypted_vault_is_covered_as_a_whole() -> None:
    lines = "66386439653236336462626566653063336164\n  6431626536303530376336343832656537303632"
    vault = f"$ANSIBLE_VAULT;1.1;AES256\n  {lines}"
    assert values(f"db_password: !vault |\n  {vault}\nnext: 1") == [vault]


def test_every_name_is_found_in_a_sentence() -> None:
    for name in PASSWORDS | ENGLISH - {"key"}:
        assert name in [label.name for label in labels(f"a {name}: b")]
    assert [label.name for label in labels("an api key: b")] == ["key"]


def test_the_longest_name_is_taken_and_parts_of_words_are_none() -> None:
    assert [label.name for label in labels("passphrase and contrasenya")] == ["passphrase", "contrase"]
    assert list(labels("opinions keep spinning upward, a thousandier control")) == []


@pytest.mark.parametrize(
    "text",
    [
        'const PASSWORD: &str = "Qr7xdke39";',
        'static DB_PASSWORD: &\'static str = "Qr7xdke39";',
        'let password: Option<&str> = "Qr7xdke39";',
        'let password: Cow<\'_, str> = "Qr7xdke39".into();',
        'const PASSWORD: &[u8] = b"Qr7xdke39";',
        'password: str | None = "Qr7xdke39"',
        'password: Annotated[str, Field()] = "Qr7xdke39"',
        'const password: string | undefined = "Qr7xdke39";',
        'Password : constant String := "Qr7xdke39";',
        'password::String = "Qr7xdke39"',
        'Dim password As String = "Qr7xdke39"',
        "DECLARE @password NVARCHAR(50) = 'Qr7xdke39'",
        'string password = @"Qr7xdke39";',
        'password = b"Qr7xdke39"',
    ],
)
def test_a_declaration_with_a_type_gives_its_value(text: str) -> None:
    assert [text[each.start : each.end] for each in find(text)] == ["Qr7xdke39"]


@pytest.mark.parametrize(
    "text",
    [
        'def login(password: str, name: str = "x1y2z3ab") -> None: ...',
        'password: Dict[str, str] = {"a": "b1c2d3e4"}',
        'let password: &str = "changeme";',
        "password: String,\n    name: &'static str,",
        "let api_key: Option<String> = None;",
    ],
)
def test_a_type_alone_gives_none(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("curl: Basic YWRtaW46YQ==", "YWRtaW46YQ=="),
        ("use basic dXNlcjpwdw for it", "dXNlcjpwdw"),
        ("Authorization: Basic dTpw", "dTpw"),
    ],
)
def test_a_short_name_and_password_in_base64_are_found(text: str, value: str) -> None:
    assert [text[each.start : each.end] for each in find(text)] == [value]


@pytest.mark.parametrize(
    "text", ["basic settings", "a Basic subscription", "BASIC programme 1234", "basic YWRtaW4="]
)
def test_a_word_behind_basic_is_none(text: str) -> None:
    assert find(text) == []
