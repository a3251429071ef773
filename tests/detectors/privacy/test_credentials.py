import random
import string
import time

import numpy as np
import pytest

from detectors.batch import Batch
from detectors.limits import CHECK_LIMIT, EVIDENCE_LIMIT, SCAN_LIMIT
from detectors.privacy.credentials import credentials
from detectors.privacy.finders import find_all
from detectors.secrets import SecretsDetector
from tests.detectors.privacy.finding import find_credentials as find
from tests.models import MODELS

BODY = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0"  # of no issuer: random in form alone
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END RSA PRIVATE KEY-----"


def values(text: str) -> list[tuple[str, str]]:
    return [(finding.kind, text[finding.start : finding.end]) for finding in find(text)]


# Joined here, so that no scanner takes this file for a leak.
HEX = "a4c123b1612dd272d1371c17149d439536b3216fdaeeb975729fae923d5a4fd1"
FORMS = [
    # Split, so that no scanner of repositories takes them for real.
    ("SENTRY_TOKEN", "sntryu_" + HEX),
    ("GROQ_KEY", "gsk_" + (BODY + BODY)[:52]),
    ("XAI_KEY", "xai-" + (BODY * 4)[:80]),
    ("REPLICATE_TOKEN", "r8_" + BODY[:37]),
    ("NVIDIA_KEY", "nvapi-" + (BODY * 4)[:64]),
    ("PERPLEXITY_KEY", "pplx-" + (BODY * 2)[:48]),
    ("LANGSMITH_KEY", "lsv2_pt_" + HEX[:32] + "_" + HEX[:10]),
    ("VAULT_TOKEN", "hvs." + (BODY * 4)[:90]),
    ("GOOGLE_OAUTH", "GOCSPX-" + BODY[:28]),
    ("GOOGLE_OAUTH", "ya29." + BODY + BODY),
    ("DIGITALOCEAN_TOKEN", "dop_v1_" + HEX),
    ("SHOPIFY_TOKEN", "shpat_" + HEX[:32]),
    ("DATABRICKS_TOKEN", "dapi" + HEX[:32]),
    ("TELEGRAM_TOKEN", "123456789:AA" + BODY[:33]),
    ("SLACK_TOKEN", "xapp-1-A0123456789-1234567890123-" + HEX),
    ("DOCKER_TOKEN", "dckr_pat_" + BODY[:27]),
    ("NOTION_TOKEN", "ntn_" + (BODY * 2)[:46]),
    ("LINEAR_KEY", "lin_api_" + (BODY * 2)[:40]),
    ("ATLASSIAN_TOKEN", "ATATT3" + (BODY * 6)[:186]),
    ("RUBYGEMS_KEY", "rubygems_" + HEX[:48]),
    ("TAILSCALE_KEY", "tskey-auth-" + "kAbCdEfGhI11CNTRL-" + BODY[:32]),
    ("FIGMA_TOKEN", "figd_" + (BODY * 2)[:40]),
    ("POSTMAN_KEY", "PMAK-" + HEX[:24] + "-" + HEX[:34]),
    ("AGE_KEY", "AGE-SECRET-KEY-1" + ("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L" * 2)[:58]),
    ("CIRCLECI_TOKEN", "CCIPAT_" + BODY[:22] + "_" + HEX[:40]),
    ("GRAFANA_TOKEN", "glsa_" + BODY[:32] + "_" + HEX[:8]),
    ("MAILCHIMP_KEY", HEX[:32] + "-us12"),
    ("TERRAFORM_TOKEN", BODY[:14] + ".atlasv1." + (BODY * 3)[:67]),
    ("PINECONE_KEY", "pcsk_" + (BODY * 3)[:70]),
    ("AZURE_KEY", "abc8Q~" + (BODY * 2)[:34]),
    ("NEWRELIC_KEY", "NRAK-" + BODY[:27].upper()),
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
    key = dict(FORMS)["AWS_KEY"]
    secret = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYzzzzzzzzzz"
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
        ("password: {}", "9ThyK#2*@57%dYt!xWHDxdQf", "PASSWORD"),
        ("My password is {}", "Summer*2024", "PASSWORD"),
        ("password: {}, old", "yourmom2005", "PASSWORD"),
        ("old password: {}", "example99!", "PASSWORD"),
        ("password: {}", "changeme123", "PASSWORD"),
        ('{{"password": "{}"}}', "a<b>{c}[d]1", "PASSWORD"),
        ('cs = "Data Source=db1:1521/prod;User ID=svcacct;Password={};"', "svcacctpass", "PASSWORD"),
        ("passphrase: {}", "correct-horse-battery-staple", "PASSWORD"),
        ("log in with password {} please", "Qr7!dke#39", "PASSWORD"),
        ("curl -u admin:{} https://x.example", "S3cretPw1", "PASSWORD"),
        ("curl --user admin:{} -X POST https://x.example", "S3cretPw1", "PASSWORD"),
        ("mysql -u root -p{} shop", "hunter2x", "PASSWORD"),
        ("sshpass -p '{}' ssh ann@host", "hun ter2x", "PASSWORD"),
        ("tool --password={} run", "hunter2x", "PASSWORD"),
        ("docker login -u ann -p {} registry", "hunter2x", "PASSWORD"),
        ("**Password:** {}", "Summer2024!", "PASSWORD"),
        ("| password | {} |", "Summer2024!", "PASSWORD"),
        ("<password>{}</password>", "Summer2024!", "PASSWORD"),
        ('{{"name":"password","value":"{}"}}', "Summer2024!", "SECRET"),
        ("- name: DB_PASSWORD\n  value: {}", "Summer2024!", "SECRET"),
        ("The password to the server is {}", "Summer2024!", "PASSWORD"),
        ("password for root: {}", "Summer2024!", "PASSWORD"),
        ("Password (admin): {}", "Summer2024!", "PASSWORD"),
        ("Пароль — {}", "Zima2024!", "PASSWORD"),
        ("heslo je {}", "Leto2024!", "PASSWORD"),
        ("รหัสผ่านคือ {}", "Rarn2024!", "PASSWORD"),
        ("PGPASSWORD={} psql", "hunter2x", "PASSWORD"),
        ("Passwort: {}", "geheim123", "PASSWORD"),
        ("mot de passe : {}", "secret2024!", "PASSWORD"),
        ("la contraseña es {}", "clave2024!", "PASSWORD"),
        ("senha: {}", "segredo99", "PASSWORD"),
        ("Пароль: {}", "qwerty12", "PASSWORD"),
        ("密码是{}。", "qwe123rty", "PASSWORD"),
        ("パスワードは{}です", "qwe123rty", "PASSWORD"),
        ("비밀번호: {}", "qwe123rty", "PASSWORD"),
        (
            "https://acct.blob.core.windows.net/c/b?sv=2022-11-02&sig={}&se=2027-01-01",
            "abcDEF123%2FghiJKL456mnoPQR%3D",
            "AZURE_SAS",
        ),
        ("https://discord.com/api/webhooks/{}", "123456789012345678/" + (BODY * 3)[:68], "DISCORD_WEBHOOK"),
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
        'private_key_algorithm = "EC_secp384r1"',
        "'tokenizationId': 'f1c2a3b4d5e6f708192a3b4c5d6e7f80',",
        "secretName: my-app-tls-cert-2024",
        "self.token = request.headers2['x']; api_key = config.get_v2",
        "passwordSecretRef: prod-db-secret-01",
        'token_endpoint_auth_method: "client_secret_basic_v2"',
        "token_limit: 128000tokens, secret_count=12345678901a, passwordPolicyId: a1b2c3d4e5f6",
        "see sk-learn-tutorial-chapter-12-random-forests",
        "https://x.example/blog/sk-some-long-post-about-things-2024",
        "What does the line -----BEGIN RSA PRIVATE KEY----- mean? And how do I convert it to PKCS8?",
        "password = getpass.getpass('Password: ')",
        "def generate_password(length=12): return secrets.token_urlsafe(16)",
        "$password = $_POST['password']; password: %PASSWORD1%; pwd={{ vault.db_1 }}",
        'String certPassword = "your_certificate_password";',
        "비밀번호: $password",
        "Passwort vergessen? Mot de passe oublié ?",
        "curl -u $USER:$PASS1 https://x.example",
        "passed=123456, bypass: 12345678, compass: N45E1234, passenger: 12345A",
        "login --password $PASSWORD1 --token ${TOKEN_2}",
    ],
)
def test_leaves_ordinary_text_alone(text: str) -> None:
    assert values(text) == []


def test_a_key_without_an_end_reaches_as_far_as_it_looks_like_one() -> None:
    cut = KEY[:60]
    assert values(f"see {cut}") == [("PRIVATE_KEY", cut)]
    assert values(f"see {cut}\n\nWhat is wrong with it?") == [("PRIVATE_KEY", cut)]
    assert [kind for kind, _ in values(f"{KEY} and {KEY}")] == ["PRIVATE_KEY", "PRIVATE_KEY"]


@pytest.mark.parametrize(
    "unit", ["-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY----------END "]
)
def test_the_end_of_a_key_is_not_looked_for_from_each_beginning(unit: str) -> None:
    text = unit * (SCAN_LIMIT // len(unit))
    started = time.thread_time()
    assert not [each for each in credentials(text) if each.kind == "PRIVATE_KEY"]
    assert time.thread_time() - started < 0.4


def test_random_passwords_are_found_whole() -> None:
    generator = random.Random(7)
    alphabet = string.ascii_letters + string.digits + "!@#$%^&*"
    for _ in range(1000):
        password = "".join(generator.choice(alphabet) for _ in range(16))
        text = f"password: {password}"
        covered = "".join(value for _, value in values(text))
        assert password.rstrip(".:") in covered, password


def test_a_known_form_names_an_assigned_value() -> None:
    assert values(f"token = ghp_{BODY[:36]}") == [("GITHUB_TOKEN", f"ghp_{BODY[:36]}")]


def test_scores_count_findings() -> None:
    scores = SecretsDetector().score(
        Batch.of_texts(["nothing", "password = hunter2x; pwd=abc123", ""], MODELS)
    )
    assert scores.tolist() == [[0], [2], [0]]
    assert scores.dtype == np.float32


def test_evidence_names_kind_and_place_and_never_the_value() -> None:
    text = "password = hunter2x"
    (evidence,) = SecretsDetector().explain(Batch.of_texts([text], MODELS), 0)
    assert (evidence.metric, evidence.label, evidence.text) == ("secrets", "PASSWORD", "")
    assert text[evidence.start : evidence.end] == "hunter2x"
    assert len(SecretsDetector().explain(Batch.of_texts(["pwd=abc123 " * 100], MODELS), 0)) == EVIDENCE_LIMIT


def test_what_is_beyond_the_limit_is_not_searched() -> None:
    assert find("x" * SCAN_LIMIT + " pwd=abc123") == []


def test_many_mentions_of_secrets_are_none() -> None:
    assert find("the secret rules, a token budget and the password policy; " * 2_000) == []


@pytest.mark.parametrize(
    "nothing", ["password: ::", "/?password=&a=b", "<password><b>", "password: )", "пароль: :."]
)
def test_a_name_without_a_value_is_none_beyond_the_limit_either(nothing: str) -> None:
    passwords = "".join(f"password: Qx{number}z9Kd!\n" for number in range(CHECK_LIMIT + 2))
    assert find_all(passwords + nothing) == find_all(passwords)


def test_a_text_of_names_without_values_is_read() -> None:
    assert all(each.end > each.start for each in find_all("password::" * (CHECK_LIMIT + 1)))
