"""What looks like personal data or a credential and is none: code, decimals, ids, documentation."""

import random
import string
import uuid
from collections.abc import Callable

import pytest

from detectors.privacy.finders import find_all

ORDINARY = [
    "3.7371902e-01   1.6386105e+00   4.9772204e-01",
    "alsa-topology-conf (1.2.5.1-2) unstable; urgency=medium",
    "7.15.21.16 (2022-06-07): a count was fixed",
    "| count | 270,330 | 0.852 | 4.1.26.5 | 07.11.2023 |",
    "cloudsdk:x:1000:1000::/home/cloudsdk:/bin/bash",
    "# allowed from 2001:4ca0:0:101::/64",
    "password_encryption = scram-sha-256",
    "PWD = \"'`pwd`'\"",
    "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20KEY",
    "account 1602402051 1755340996866 1762572833649157",
    "arn:aws:s3:::account-747651898146",
    "pass 4a9f75af-210b-432d-838d-bf34764c5f85 took 481147 ms",
    "tokens = {'a': [(r'[0-9a-f]{1,36}(-[0-9a-f]{1,36}){3,}', Hex), (r'\\d{2,4}([:-]\\d{2}){2}', Date)]}",
    "class A{constructor({newPassword:t,signed:n,checkOnly:i}){super({start(){Object.assign(this,{a:1})}})}}",
    "r===`p`&&(t.current()===`{`?n.tokenize=i(e+1):n.tokenize=i(e-1))",
    "e.errorToken=!0),null}else{var o=x(e,t);return r>0}",
    "name, token, price\nx1, the second, 12.5\ny2, a third, 17.25\n",
    "| Option | Token count |\n|---|---|\n| max_tokens | 1234567890123 |\n",
    "phone: build 22.29.20.28",
    "    'ftp_password',\n    'ftp_ssl_connect',\n    'BLOCK-ITERATION-DISPLAY',\n",
    "'PASSWORD', 'TOKEN',\n'BORDER-BOTTOM-CHARS', 'base64-decode2',\n",
    "password = bytes(memoryview(password))",
    'user_pass = (self.username + ":" + self.password).encode()',
    "authorization = authorization[1].encode('ascii')",
    "user_pass = '%s:%s' % (unquote(user), unquote(password))",
    "PWD: '/Users/maciej',",
    "pass_nyquist = (xp_size(cutoff) % 2 == 0) == pass_zero",
    "(sections `3.1.3.6`_, `3.2.2.10`_, `3.3.2.11`_)",
    "0 0111 18c0 1.52-.87 2.83-2.12 3.51.98.32 2.03.5 3.11.5",
    'PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]',
    "Git 1.7.12.4 Release Notes",
    "update zlib to 1.2.13.1-motley-fef5869",
    "rewrite in C broke it. This was fixed in 1.5.4.1.",
    "as defined in Clause 252.227-7013 (c) (1) of DFARs",
    "mac 00:00:00:00:00:00 and FF:FF:FF:FF:FF:FF",
    "00-00-00-00-00-00",
    "at 12:30:45:10:20:30 it began",
    "20-10-12-08-30-45.log",
    "backup 24-05-06-10-11-12 done",
    "10:20:30:40:50:60",
    "00:00:5e:00:53:af",
    "part no 123-45-6789",
    "part number: 536-90-4399",
    "Order #536-90-4399",
    "SKU 536-90-4399 is out",
    "item 536-90-4399",
    "ticket 536-90-4399",
    "invoice no. 536-90-4399",
    "model: 536-90-4399",
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AKIAI44QH8DHBEXAMPLE je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "secret: arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-AbC123",
    "DB_SECRET=arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-Zx9Qw2",
    'API_KEY_SECRET: "arn:aws:ssm:us-east-1:123456789012:parameter/app/key1"',
    "password: op://prod/db/password1",
    "password: vault:secret/data/app#pw1",
    "secret: projects/123/secrets/db/versions/3",
    "password: ref+awsssm://app/db1",
    "password: ssm:/app/db/pw1",
    "DB_PASSWORD=@Microsoft.KeyVault(SecretUri=https://x.vault.azure.net/secrets/a1)",
    "token: 550e8400-e29b-41d4-a716-446655440000",
    "trace token=550e8400-e29b-41d4-a716-446655440000",
    "credential: 550e8400-e29b-41d4-a716-446655440000",
    "id 550e8400-e29b-41d4-a716-446655440000",
    "commit 52908400098527886e0f7030069857d2e4169ee7 rotates the token",
    "Token-Commit: 52908400098527886e0f7030069857d2e4169ee7",
    "secret scanning fixed in commit: 52908400098527886e0f7030069857d2e4169ee7",
    '"password-validator": "^5.3.0"',
    '"csurf-token": "~1.2.3-beta.10"',
    "password_strength==0.0.3.post2",
    '"passport": "0.6.0"',
    "token: v1.2.3-rc.4.5.6",
    'secret-manager = "3.11.0-alpha1"',
    '"@types/jsonwebtoken": "^9.0.2"',
    "password: 1.2.3",
    "password_updated_at: 2024-05-06T10:00:00Z",
    "password_changed_on=2024-05-06",
    '"passwordMinLength": 12345678',
    '"password_expires_in": "90 days1"',
    "password_regex = '^(?=.*[A-Z])[a-z0-9]{8,}$'",
    '"password": {"type": "string", "minLength": 8, "pattern": "^[a-z0-9]{8,}$"}',
    "password: ${A}${B}",
    "password: ${USER}:${PASS}",
    "Authorization: Bearer {token}",
    "Authorization: Bearer $TOKEN1",
    "Authorization: Bearer <token>",
    '"Authorization": f"Bearer {token1}"',
    "Authorization: Bearer YOUR_ACCESS_TOKEN",
    "Authorization: Basic <credentials>",
    "headers['Authorization'] = request.headers.get('X1')",
    "the Authorization: Basic scheme",
    "Authorization: Bearer ACCESS_TOKEN",
    'Authorization: "Bearer " + accessToken',
    "Authorization: Digest",
    "Authorization: required",
    "Authorization: Basic authentication",
    "Cookie: preferences=dark; lang=en",
    "Cookie: name=value; name2=value2",
    "Set-Cookie: lang=en-US; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT",
    "Set-Cookie: id=a3fWa; Max-Age=2592000",
    "snmp-server community public RO",
    "snmpwalk -v2c -c public 10.0.0.1",
    "community: 120 members1",
    "net user bob /delete",
    "net user administrator /active:yes",
    "net user /domain",
    "the net user growth was 12%",
    "net users grew 4.5M1 in 2024",
    "net use * /delete",
    "IDENTIFIED BY '<password>'",
    "identified by the auditors1",
    "identified by 3 researchers",
    "the species identified by Smith2010",
    'IDENTIFIED BY "${PW}"',
    "echo 'user:password' | chpasswd",
    "ConvertTo-SecureString $plain -AsPlainText",
    "Wifi: S: signal; P: power",
    "login as root, password required",
    "GPIO pin: 13, pin = 2350",
    "Pin: 560001 Bangalore",
    "pin code 560001",
    "pin: 12",
    "the PIN is 4 digits",
    "PIN: ****",
    "pinMode(13)",
    "spin: 4821",
    "the pin count is 1024",
    "passwords: []",
    "passwords:\n  - name: x\n",
    "password:\n  type: string\n  minLength: 8\n",
    "password:\n  description: The password1 of it\n",
    '"passwords": ["password", "string"]',
    "tokens = ['the', 'quick', 'brown1']",
    'tokens: ["a1b2", "hello_world_1"]',
    "secrets:\n  - db_password1\n",
    "secrets: [db_password_1, api_key_2]",
    "password: !vault\n",
    "secrets:\n  inherit: true1\n",
    "Passwords:\n- at least 8 characters\n- one digit1\n",
    "api_key: authenticationmiddleware",
    "client_secret = 'InternationalizationService'",
    "token: transformerlanguagemodel",
    "token = AbstractSingletonProxyFactoryBean",
    "token: 'Rechtsschutzversicherungen'",
    "access token: getAccessTokenSilently",
    "look at example dot com",
    "meet at noon dot",
    "array[at] example[dot] com1",
    "we arrived at paris dot the end",
    "point (at) infinity (dot) product",
    "4532\n1234\n5678\n9012\n4111\n1111\n1111\n1111\n",
    "4111 1111\n1111 1111\n2345 6789\n",
    "year 2400\n2500\n2600\n2700",
    "The word token: a unit1 of text",
    "password reset",
    "κωδικός προϊόντος: AB12345678",
    "πληροφορίες: abc12345",
    "parole: the release of a prisoner1",
    "on parole: 12 months",
    "parole 2024",
    "sandi 12345678",
    "sandı: 12",
    "Chrome 120.42.6099",
    "version 536.90.4399",
    "536.90.4399",
    "pw 1920 x 1080",
    "pwm: 12345678",
    "power (pw) 12345678",
    "The MAC and PC: 12:13:14:15:16:17",
    "The user's token balance: 1234567890123",
    "public key: ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 ann",
    "key: value1",
    "primary key: order_id_2024",
    "foreign key = customer12345678",
    "partition key: a1b2c3d4e5f6a7b8",
    "cache key: a1b2c3d4e5f6a7b8",
    "sort-key=user#12345678",
    "the keyboard key is F12345678901",
    "const token = jwt.sign({ id: user1.id }, secret1)",
    "token = tokens[i1]",
    "if (password !== password2) {",
    "password = forms.CharField(max_length=128)",
    "password: z.string().min(8)",
    "def f(password: str = Field(min_length=8)):",
    "password=hash_password(user_in.password1)",
    "let token: Token1 = parser.next();",
    "std::string token = s.substr(0, pos1);",
    "token=$(curl -s https://x.example/v1)",
    "PASSWORD=`cat /run/secrets/db1`",
    'password: "{{ .Values.db.password1 }}"',
    "secretKeyRef: {name: db1, key: password}",
    "- token: ${{ secrets.GITHUB_TOKEN1 }}",
    "password: env(DB_PASSWORD_1)",
    "password: Annotated[str, Depends(x1)]",
    "(r\"'(\\\\.|\\\\[0-7]{1,3}|\\\\x[a-fA-F0-9]{1,2}|[^'])'\", Token.String1)",
    "token, (r'[0-9][0-9]*\\.\\d{1,3}(_\\d{3})+[kMGTPmunpf]?', Number.Float)",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_has_no_findings(text: str) -> None:
    assert find_all(text) == []


WORDS = (
    "the user token password secret key session request reads writes holds checks returns policy"
    " budget limit of in and a for to with from service store index row page field"
    " value is was must may not when then each every"
)
NAMES = (
    "token", "password", "secret", "key", "user", "session", "client", "request", "limit", "index",
    "cache", "policy", "count", "store",
)  # fmt: skip


def _word(draw: random.Random) -> str:
    return draw.choice(WORDS.split())


def _prose(draw: random.Random) -> str:
    sentence = " ".join(_word(draw) for _ in range(draw.randint(8, 18)))
    return f"{sentence.capitalize()}: {_word(draw)} {_word(draw)}."


def _code(draw: random.Random) -> str:
    first, second, third = (draw.choice(NAMES) for _ in range(3))
    number = draw.randint(0, 99_999)
    return draw.choice(
        (
            f"{first}_{second} = get_{third}(self.{first}{number}, limit={number})",
            f"if {first}.{second}[{number}] != {third}_{number}.next():",
            f"const {first}{second.title()} = await {third}.{first}({{ {second}: {first}.x{number} }});",
            f"def set_{first}(self, {second}: str | None = None, *, {third}: int = {number}) -> None:",
            f"{first}_{second}: {third.title()}{second.title()} = {third.title()}{number}.{first.upper()}",
            f"assert response.json()['{first}']['{second}'] == expected_{third}_{number}",
            f"{first}: ${{{{ secrets.{second.upper()}_{number} }}}}",
            f"{first.upper()}_{second.upper()}=${{{third.upper()}_{number}}}",
        )
    )


def _decimals(draw: random.Random) -> str:
    return "[" + ", ".join(repr(draw.uniform(-1, 1) * 10 ** draw.randint(-3, 4)) for _ in range(6)) + "]"


def _table(draw: random.Random) -> str:
    return " ".join(f"{draw.randint(0, 10 ** draw.randint(2, 4)):d}" for _ in range(8))


def _ids(draw: random.Random) -> str:
    digits = "".join(draw.choice("0123456789abcdef") for _ in range(40))
    number = draw.randint(10**9, 10**13)
    kind = draw.choice(("part no", "SKU", "ticket", "order"))
    hour, minute, second = number % 24, number % 60, number % 59
    return draw.choice(
        (
            f"trace_id={uuid.UUID(int=draw.getrandbits(128), version=4)} span={digits[:16]}",
            f"commit {digits}",
            f"token: {uuid.UUID(int=draw.getrandbits(128), version=4)}",
            f'{{"id": {number}, "order_id": "{number}", "etag": "{digits[:32]}"}}',
            f"sha256:{digits}{digits[:24]}",
            f"{kind} {number % 900 + 100}-{number % 89 + 10}-{number % 8999 + 1000}",
            f"at 2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}T{hour:02d}:{minute:02d}:{second:02d}Z",
            f"{hour:02d}:{minute:02d}:{second:02d}:{minute:02d}:{hour:02d}:{second:02d}",
        )
    )


def _packages(draw: random.Random) -> str:
    version = ".".join(str(draw.randint(0, 40)) for _ in range(3))
    suffix = draw.choice(("", "-beta.1", "rc2", ".post1", "-alpha.12"))
    name = "-".join(draw.sample(NAMES, 2))
    return draw.choice(
        (
            f'"{name}": "^{version}{suffix}",',
            f"{name.replace('-', '_')}=={version}{suffix}",
            f"- uses: org/{name}@v{version}",
            f"image: registry.example/{name}:{version}{suffix}",
            f"{name} v{version}{suffix} was released",
        )
    )


def _identifiers(draw: random.Random) -> str:
    letters = "".join(draw.choice(string.ascii_lowercase) for _ in range(6))
    return f"{draw.choice(NAMES)}_ref: {draw.choice(NAMES)}-{letters}-{draw.choice(NAMES)}"


def test_a_generated_corpus_has_at_most_one_finding_in_100_kb() -> None:
    draw = random.Random(20)
    makers = (_prose, _code, _decimals, _table, _ids, _packages, _identifiers)
    found: list[str] = []
    size = 0
    while size < 600_000:
        text = "\n".join(draw.choice(makers)(draw) for _ in range(25))
        found += [f"{each.kind} {text[max(0, each.start - 30) : each.end]}" for each in find_all(text)]
        size += len(text)
    assert len(found) <= size / 100_000, found


@pytest.mark.parametrize(
    "make",
    [
        lambda chance: f"{chance.uniform(-1, 1):.8f}",
        lambda chance: str(chance.uniform(-1, 1)),
        lambda chance: str(chance.randrange(10**9, 10**10)),
        lambda chance: str(1_700_000_000_000 + chance.randrange(10**9)),
        lambda chance: "v" + ".".join(str(chance.randrange(30)) for _ in range(4)),
    ],
)
def test_a_long_table_of_numbers_holds_nothing(make: Callable[[random.Random], str]) -> None:
    """Beyond some hundred candidates none is verified: what cannot be one must not be a candidate."""
    chance = random.Random(4)
    assert find_all(", ".join(make(chance) for _ in range(1_200))) == []


SAYS_OF_A_SECRET = (
    "name", "ref", "type", "id", "class", "issuer", "audience", "header", "alias", "location", "env", "scope",
    "mount", "algorithm", "endpoint", "path", "policy", "store", "version", "lambda", "template", "lifetime",
)  # fmt: skip


@pytest.mark.parametrize("secret", ["secret", "token", "apiKey", "password", "accessToken", "client_secret"])
@pytest.mark.parametrize(
    "value", ["my-app-tls-cert-2024", "EC_secp384r1", "f1c2a3b4d5e6f708192a3b4c5d6e7f80"]
)
def test_what_is_said_of_a_secret_is_none(secret: str, value: str) -> None:
    for said in SAYS_OF_A_SECRET:
        assert find_all(f"{secret}_{said}: {value}") == []
        assert find_all(f'"{secret}{said.title()}": "{value}"') == []


@pytest.mark.parametrize(
    "word", ["subsection", "theorem", "exercise", "eq.", "listing", "task", "criterion", "phase"]
)
def test_a_number_of_four_parts_behind_such_a_word_is_no_address(word: str) -> None:
    draw = random.Random(word)
    for _ in range(20):
        number = ".".join(str(draw.randint(1, 20)) for _ in range(4))
        assert find_all(f"see {word} {number} for it") == []
