"""Keys and tokens of known form. The forms are the issuers' own, as they document them for secret scanning."""

import re
from collections.abc import Iterable, Iterator, Set
from typing import Final, NamedTuple

from detectors.deobfuscation.encodings import has_word
from detectors.privacy.findings import Finding
from detectors.privacy.gates import Gates
from detectors.privacy.secret_values import is_placeholder


class _Form(NamedTuple):
    kind: str
    hints: tuple[str, ...]
    """A text with none of these strings is not searched."""
    pattern: re.Pattern[str]
    """The group `value`, or the whole match, is the secret."""
    begins: bool
    """It begins with one of the hints, and not in the middle of a word."""


# In ASCII: scripts without blanks write on directly after a token.
def _token(kind: str, hints: str, pattern: str) -> _Form:
    return _Form(
        kind, tuple(hints.split()), re.compile(rf"(?:{pattern})(?![A-Za-z0-9])", re.ASCII), begins=True
    )


def _form(kind: str, hints: str, pattern: str) -> _Form:
    return _Form(kind, tuple(hints.split()), re.compile(pattern, re.ASCII), begins=False)


_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"

FORMS: Final = (
    # Clouds
    _token("AWS_KEY", "AKIA ASIA ABIA ACCA", r"A(?:KIA|SIA|BIA|CCA)(?![A-Z0-9]{9}EXAMPLE)[A-Z0-9]{16}"),
    _form(
        "AWS_SECRET",
        "AKIA ASIA",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}[\s,;:|/\"'-]{1,20}(?P<value>(?![A-Za-z0-9/+]{30}EXAMPLEKEY)[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _form("AZURE_KEY", "Q~", r"(?<![A-Za-z0-9_-])[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9])"),
    _form("AZURE_SAS", "sig=", r"[?&]sig=(?P<value>[A-Za-z0-9%/+]{16,120}(?:=|%3[Dd]){0,2})"),
    _form(
        "SIGNED_URL", "-Signature= -signature= -Security-Token=",
        r"[?&](?:amp;)?[Xx]-(?:Amz|Goog|amz|goog)-(?:[Ss]ignature|Security-Token)=(?P<value>[A-Za-z0-9%/+]{32,2000}={0,2})",
    ),
    _token("GOOGLE_KEY", "AIza AQ.Ab8RN6", r"AIza[\w-]{35}|AQ\.Ab8RN6[\w-]{40,60}"),
    _token("GOOGLE_OAUTH", "GOCSPX- ya29.", r"GOCSPX-[\w-]{20,64}|ya29\.[\w-]{20,512}"),
    _token("DIGITALOCEAN_TOKEN", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[a-f0-9]{64}"),
    _token("ALIBABA_KEY", "LTAI", r"LTAI[A-Za-z0-9]{12,26}"),
    _token("CLOUDFLARE_KEY", "v1.0- cfut_ cfat_ cfk_", r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}|cf(?:ut|at|k)_[\w-]{40,64}"),
    _token("AWS_BEDROCK_KEY", "ABSK bedrock-api-key-", r"ABSK[A-Za-z0-9+/]{109,269}={0,2}|bedrock-api-key-[A-Za-z0-9+/=]{40,2000}"),
    _form("AZURE_KEY", "JQQJ99 AZDO", r"(?<![A-Za-z0-9])(?:[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}|[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4})(?![A-Za-z0-9])"),
    _token("GOOGLE_OAUTH", "1//0", r"1//0[\w-]{40,200}"),
    _token("YANDEX_KEY", "AQVN YC t1.", r"AQVN[\w-]{35,38}|YCAJ[\w-]{20,24}|YC(?=[\w-]{0,37}[0-9])(?=[\w-]{0,37}[a-z])[\w-]{38}|t1\.[A-Z0-9a-z_-]{20,500}\.[A-Z0-9a-z_-]{60,100}"),
    _token("TENCENT_KEY", "AKID", r"AKID(?=[A-Z]*[a-z0-9])[A-Za-z0-9]{32}"),
    _token("SCALEWAY_KEY", "SCW", r"SCW[A-Z0-9]{17}"),
    _token("NETLIFY_TOKEN", "nfp_ nfc_ nfo_ nfu_ nfb_", r"nf[pcoub]_[A-Za-z0-9]{36,40}"),
    _token("RENDER_KEY", "rnd_", r"rnd_[A-Za-z0-9]{28,40}"),
    _token("DENO_TOKEN", "ddp_ ddo_", r"dd[po]_[A-Za-z0-9]{36,40}"),
    _token("NEON_KEY", "napi_", r"napi_[A-Za-z0-9]{60,80}"),
    _token("HEROKU_KEY", "HRKU-", rf"HRKU-(?:AA[\w-]{{58}}|{_UUID})"),
    _token("VERCEL_TOKEN", "vcp_ vci_ vca_ vcr_ vck_", r"vc[piark]_[\w-]{50}[A-Za-z0-9]{6}"),
    _token("FLY_TOKEN", "fo1_ fm1r_ fm1a_ fm2_", r"fo1_[\w-]{40,64}|fm(?:1[ra]|2)_[A-Za-z0-9+/=_-]{100,2000}"),
    _token("SUPABASE_KEY", "sbp_ sb_secret_", r"sbp_[a-z0-9]{40}|sb_secret_[\w-]{20,64}"),
    _token("PLANETSCALE_TOKEN", "pscale_", r"pscale_(?:tkn|pw|oauth)_[\w=.-]{32,64}"),
    _token("MONGODB_ATLAS_KEY", "mdb_sa_sk_", r"mdb_sa_sk_[\w-]{40}"),
    _token("DATASTAX_TOKEN", "AstraCS:", r"AstraCS:[A-Za-z]{20,32}:[a-f0-9]{64}"),
    _token("COCKROACH_KEY", "CCDB1_", r"CCDB1_[A-Za-z0-9]{22}_[A-Za-z0-9]{40}"),
    # Models
    _token("ANTHROPIC_KEY", "sk-ant-", r"sk-ant-[\w-]{20,255}"),
    # Twenty characters in a row: sk- also begins a slug such as sk-learn-tutorial-chapter-12.
    _token("OPENAI_KEY", "sk-", r"sk-(?!ant-)(?:[a-z]{3,10}-(?:v1-)?)?(?=[A-Za-z_-]{0,60}[0-9])(?=[\w-]{0,200}?\w{20})[\w-]{20,255}"),
    _token("GROQ_KEY", "gsk_", r"gsk_[A-Za-z0-9]{40,64}"),
    _token("XAI_KEY", "xai-", r"xai-[\w-]{60,120}"),
    _token("PERPLEXITY_KEY", "pplx-", r"pplx-[A-Za-z0-9]{32,64}"),
    _token("REPLICATE_TOKEN", "r8_", r"r8_[A-Za-z0-9]{30,48}"),
    _token("NVIDIA_KEY", "nvapi-", r"nvapi-[\w-]{40,100}"),
    _token("HUGGINGFACE_TOKEN", "hf_ api_org_", r"(?:hf|api_org)_[A-Za-z0-9]{30,64}"),
    _token("LANGSMITH_KEY", "lsv2_", r"lsv2_(?:pt|sk)_[a-fA-F0-9]{32}_[a-fA-F0-9]{10}"),
    _token("LANGFUSE_KEY", "sk-lf-", rf"sk-lf-{_UUID}"),
    _token("FIREWORKS_KEY", "fw_", r"fw_(?=[A-Za-z]{0,23}[0-9])[A-Za-z0-9]{22,24}"),
    _token("PINECONE_KEY", "pcsk_", r"pcsk_[A-Za-z0-9_]{40,100}"),
    _token("TAVILY_KEY", "tvly-", r"tvly-(?:dev-|prod-)?[A-Za-z0-9-]{28,64}"),
    _token("CEREBRAS_KEY", "csk-", r"csk-[a-z0-9]{40,64}"),
    _token("TOGETHER_KEY", "tgp_v1_", r"tgp_v1_[\w-]{40,50}"),
    _token("WANDB_KEY", "wandb_v1_", r"wandb_v1_[A-Za-z0-9_]{40,100}"),
    _token("JINA_KEY", "jina_", r"jina_[A-Za-z0-9]{32}[\w-]{20,40}"),
    _token("LLAMA_CLOUD_KEY", "llx-", r"llx-[A-Za-z0-9]{40,64}"),
    _token("FIRECRAWL_KEY", "fc-", r"fc-[a-f0-9]{32}"),
    _token("SANDBOX_KEY", "e2b_ dtn_", r"e2b_[a-f0-9]{40}|dtn_[a-f0-9]{64}"),
    _token("RUNPOD_KEY", "rpa_", r"rpa_[A-Z0-9]{40}[A-Za-z0-9]{6}"),
    _token("APIFY_TOKEN", "apify_api_", r"apify_api_[A-Za-z0-9]{34,38}"),
    _token("ELEVENLABS_KEY", "sk_", r"sk_[a-f0-9]{48}"),
    _token("DATABRICKS_TOKEN", "dapi", r"dapi[a-f0-9]{32}(?:-\d)?"),
    # Code and packages
    _token("GITHUB_TOKEN", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    _token("GITHUB_TOKEN", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,255}"),
    _token("GITLAB_TOKEN", "gl GR1348941", r"gl(?:pat|dt|rtr?|ptt|cbt|soat|ft|imt|agent|oas|ffct|wt)-[\w.-]{20,255}|GR1348941[\w-]{20}"),
    _token("SOURCEGRAPH_TOKEN", "sgp_", r"sgp_(?:[a-fA-F0-9]{16}_)?(?:local_)?[a-fA-F0-9]{40}"),
    _token("ARTIFACTORY_KEY", "AKCp cmVmd", r"AKCp[A-Za-z0-9]{69}|cmVmd[A-Za-z0-9]{59}"),
    _token("CLOJARS_TOKEN", "CLOJARS_", r"CLOJARS_[a-z0-9]{60}"),
    _token("NUGET_KEY", "oy2", r"oy2[a-z0-9]{43}"),
    _token("BUILDKITE_TOKEN", "bkua_ bkaa_ bkaj_ bkar_ bkct_ bkpt_ bkps_ bkpat_", r"bkua_[a-z0-9]{40,53}|bk(?:a[ajr]|ct|pt|ps|pat)_[\w-]{54,400}"),
    _token("OCTOPUS_KEY", "API-", r"API-[A-Z0-9]{26}"),
    _token("OPENSHIFT_TOKEN", "sha256~", r"sha256~[\w-]{43}"),
    _token("HARNESS_TOKEN", "pat. sat.", r"[ps]at\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}"),
    _token("PREFECT_KEY", "pnu_", r"pnu_[A-Za-z0-9]{36}"),
    _token("INFRACOST_KEY", "ico-", r"ico-[A-Za-z0-9]{32}"),
    _token("BITBUCKET_TOKEN", "ATBB ATCTT3", r"ATBB[\w=.-]{28,60}|ATCTT3xFfG[\w+/=-]{100,300}"),
    _token("ATLASSIAN_TOKEN", "ATATT3", r"ATATT3[\w=-]{100,400}"),
    _token("NPM_TOKEN", "npm_", r"npm_[A-Za-z0-9]{36}"),
    _token("PYPI_TOKEN", "pypi-", r"pypi-[\w-]{50,255}"),
    _token("RUBYGEMS_KEY", "rubygems_", r"rubygems_[a-f0-9]{48}"),
    _token("CRATES_TOKEN", "cio", r"cio[A-Za-z0-9]{32}"),
    _token("DOCKER_TOKEN", "dckr_", r"dckr_(?:pat|oat)_[\w-]{24,64}"),
    _form("TERRAFORM_TOKEN", ".atlasv1.", r"(?<![A-Za-z0-9_-])[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,80}(?![A-Za-z0-9])"),
    _token("VAULT_TOKEN", "hvs. hvb. hvr.", r"hv[sbr]\.[\w-]{24,300}"),
    _token("SWARM_TOKEN", "SWMTKN-1- SWMKEY-1-", r"SWMTKN-1-[a-z0-9]{50}-[a-z0-9]{25}|SWMKEY-1-[A-Za-z0-9+/]{43}"),
    _token("PULUMI_TOKEN", "pul-", r"pul-[a-f0-9]{40}"),
    _token("CIRCLECI_TOKEN", "CCIPAT_ CCIPRJ_", r"CCIP(?:AT|RJ)_[A-Za-z0-9]{10,30}_[a-z0-9]{40}"),
    _token("SONAR_TOKEN", "squ_ sqp_ sqa_", r"sq[upa]_[a-f0-9]{40}"),
    # Chat, mail, telephony
    _token("SLACK_TOKEN", "xox", r"xox[abceoprs]-[A-Za-z0-9-]{10,255}|xoxd-[\w/+%-]{40,400}={0,2}"),
    _token("SLACK_TOKEN", "xapp-", r"xapp-\d-[A-Z0-9]{8,16}-\d{8,16}-[A-Za-z0-9]{32,128}"),
    _form("SLACK_WEBHOOK", "hooks.slack", r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/(?P<value>[A-Za-z0-9/]{20,128})"),
    _form("DISCORD_WEBHOOK", "/api/webhooks/", r"discord(?:app)?\.com/api/webhooks/(?P<value>\d{15,22}/[\w-]{40,100})"),
    _form("TEAMS_WEBHOOK", "office.com/webhook", r"office\.com/webhook(?:b2)?/(?P<value>[\w@/-]{60,300})"),
    _form("ZAPIER_WEBHOOK", "hooks.zapier.com", r"hooks\.zapier\.com/hooks/catch/(?P<value>\d{4,12}/[A-Za-z0-9]{5,16})"),
    _token("TWITCH_TOKEN", "oauth:", r"oauth:[a-z0-9]{30}"),
    _form("DISCORD_TOKEN", ".", r"[MNO](?<![A-Za-z0-9_-].)[A-Za-z0-9_-]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![A-Za-z0-9])"),
    _form("TELEGRAM_TOKEN", ":AA", r"(?<![A-Za-z0-9_-])\d{8,10}:AA[\w-]{32,34}(?![A-Za-z0-9])"),
    _token("TWILIO_KEY", "SK AC", r"(?:SK|AC)(?:[a-f0-9]{32}|[A-F0-9]{32})"),
    _token("SENDGRID_KEY", "SG.", r"SG\.[\w-]{16,64}\.[\w-]{16,64}"),
    _token("MAILGUN_KEY", "key-", r"key-[a-f0-9]{32}"),
    _form("MAILCHIMP_KEY", "-us", r"(?<![A-Za-z0-9_-])[a-f0-9]{32}-us\d{1,2}(?![A-Za-z0-9])"),
    _token("BREVO_KEY", "xkeysib- xsmtpsib-", r"x(?:keysib|smtpsib)-[a-f0-9]{64}-[A-Za-z0-9]{16}"),
    _token("MANDRILL_KEY", "md-", r"md-(?=[\w-]{0,20}[0-9])[A-Za-z0-9_-]{22}"),
    _token("META_TOKEN", "EAA IGQV", r"EAA[A-Za-z0-9]{90,400}|IGQV[\w-]{80,400}"),
    _token("DROPBOX_TOKEN", "sl.", r"sl\.(?:u\.)?[\w-]{120,1500}"),
    _token("X_TOKEN", "AAAAAAAAAAAAAAAAAAAAA", r"A{21}[A-Za-z0-9%]{60,120}"),
    # Payments and shops
    _token("RAZORPAY_KEY", "rzp_", r"rzp_(?:live|test)_[A-Za-z0-9]{14,20}"),
    _token("MIDTRANS_KEY", "Mid-server- SB-Mid-server-", r"(?:SB-)?Mid-server-[\w-]{16,32}"),
    _token("LOB_KEY", "live_ test_", r"(?:live|test)_[a-f0-9]{35}"),
    _token("PLAID_TOKEN", "access-", rf"access-(?:sandbox|development|production)-{_UUID}"),
    _token("FLUTTERWAVE_KEY", "FLWSECK", r"FLWSECK-[a-f0-9A-Z]{32}(?:-[A-Za-z0-9]{8,16})?(?:-X)?|FLWSECK_TEST-[A-Za-z0-9]{12,32}(?:-X)?"),
    _token("SHIPPO_TOKEN", "shippo_", r"shippo_(?:live|test)_[a-fA-F0-9]{40}"),
    _token("EASYPOST_KEY", "EZAK EZTK", r"EZ[AT]K[A-Za-z0-9]{54}"),
    _token("DUFFEL_TOKEN", "duffel_", r"duffel_(?:live|test)_[\w=-]{43}"),
    _token("STRIPE_KEY", "sk_ rk_ whsec_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9+/=]{24,64}"),
    _token("SHOPIFY_TOKEN", "shp", r"shp(?:at|ss|ca|pa|ua|tka)_[a-fA-F0-9]{32}"),
    _token("SQUARE_TOKEN", "sq0 EAAA", r"sq0(?:atp|csp)-[\w-]{22,43}|EAAA[\w-]{60}"),
    _token("PAYPAL_TOKEN", "access_token$", r"access_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}"),
    # Tools
    _token("CONTENTFUL_TOKEN", "CFPAT-", r"CFPAT-[\w-]{43}"),
    _token("ASANA_TOKEN", "1/ 2/", r"1/\d{16}:[a-f0-9]{32}|2/\d{16}/\d{16}:[a-f0-9]{32}"),
    _token("TYPEFORM_TOKEN", "tfp_", r"tfp_[A-Za-z0-9_.=-]{40,64}"),
    _token("README_KEY", "rdme_", r"rdme_[a-z0-9]{70}"),
    _token("CLICKHOUSE_KEY", "4b1d", r"4b1d[A-Za-z0-9]{38}"),
    _token("LAUNCHDARKLY_KEY", "api- sdk- mob-", rf"(?:api|sdk|mob)-{_UUID}"),
    _token("FORTYTWO_TOKEN", "s-s4t2", r"s-s4t2(?:ud|af)-[a-f0-9]{64}"),
    _token("FRAMEIO_TOKEN", "fio-u-", r"fio-u-[\w=-]{64}"),
    _token("ADOBE_SECRET", "p8e-", r"p8e-[A-Za-z0-9-]{32}"),
    _form("MAXMIND_KEY", "_mmk", r"(?<![A-Za-z0-9])[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk(?![A-Za-z0-9])"),
    _token("CLICKUP_TOKEN", "pk_", r"pk_\d{6,9}_[A-Z0-9]{32}"),
    _token("SALESFORCE_TOKEN", "00D", r"00D[A-Za-z0-9]{12}![\w.]{80,200}"),
    _token("POSTHOG_KEY", "phx_", r"phx_[\w-]{41,49}"),
    _token("SEGMENT_TOKEN", "sgp_", r"sgp_[A-Za-z0-9]{64}"),
    _token("ADAFRUIT_KEY", "aio_", r"aio_[A-Za-z0-9]{28}"),
    _token("STACKHAWK_KEY", "hawk.", r"hawk\.[\w-]{20}\.[\w-]{20}"),
    _token("MAILERSEND_KEY", "mlsn.", r"mlsn\.[a-f0-9]{64}"),
    _token("ONESIGNAL_KEY", "os_v2_", r"os_v2_(?:app|org)_[a-z2-7]{103}"),
    _token("SENTRY_TOKEN", "sntrys_ sntryu_", r"sntryu_[a-f0-9]{64}|sntrys_[\w+/=]{40,300}"),
    _token("NOTION_TOKEN", "ntn_ secret_", r"ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43}"),
    _token("LINEAR_KEY", "lin_", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    _token("FIGMA_TOKEN", "figd_ figu_", r"fig[du]_[\w-]{36,64}"),
    _token("POSTMAN_KEY", "PMAK-", r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}"),
    _token("TAILSCALE_KEY", "tskey-", r"tskey-[a-z]{3,10}-[A-Za-z0-9]{8,20}(?:-[A-Za-z0-9]{16,40})?"),
    _token("GRAFANA_TOKEN", "glsa_ glc_ eyJrIjoi", r"eyJrIjoi[A-Za-z0-9+/]{60,400}={0,2}|glsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}|glc_[A-Za-z0-9+/=]{32,400}"),
    _token("DATADOG_KEY", "ddapp_ ddpat_ ddsat_", r"ddapp_[A-Za-z0-9]{34}|dd[ps]at_[A-Za-z0-9_]{32,96}"),
    _token("NEWRELIC_KEY", "NRAK- NRII- NRJS- NRRA- NRAA-", r"NRAK-[A-Z0-9]{27}|NRII-[\w-]{25,32}|NRAA-[a-f0-9]{27}|NRJS-[a-f0-9]{19}|NRRA-[a-f0-9]{42}"),
    _token("DYNATRACE_TOKEN", "dt0", r"dt0[cs]\d\d\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}"),
    _token("AIRTABLE_TOKEN", "pat", r"pat[A-Za-z0-9]{14}\.[a-f0-9]{64}"),
    _token("HUBSPOT_TOKEN", "pat-", rf"pat-[a-z]{{2}}\d-{_UUID}"),
    _token("MAPBOX_TOKEN", "sk.eyJ", r"sk\.eyJ[\w-]{20,255}\.[\w-]{20,64}"),
    _token("ONEPASSWORD_TOKEN", "ops_eyJ A3-", r"ops_eyJ[A-Za-z0-9+/=_-]{100,2000}|A3-[A-Z0-9]{6}-[A-Z0-9]{6}(?:-?[A-Z0-9]{5}){4}"),
    _token("DOPPLER_TOKEN", "dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{40,64}"),
    _form("ANSIBLE_VAULT", "$ANSIBLE_VAULT;", r"\$ANSIBLE_VAULT;[\w.;-]{1,64}+(?:\s{1,40}+[0-9a-f]{16,80}+)+"),
    _token("AGE_KEY", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    _form("JWT", "eyJ", r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*(?:\.[\w-]{16,}+){0,2})?"),
    _form(
        "CONNECTION_STRING",
        "://",
        r"://(?P<value>[^\s:/@\[\]\"'<>]{0,128}+:[^\s/@\[\]\"'<>]{1,128}+(?:@[^\s/@\[\]\"'<>]{0,64}+(?=@)){0,3})@",
    ),
)  # fmt: skip
_SHORTEST: Final = 20
"""Characters without a blank that every token has, and few texts."""
_LONG_FORMS: Final = tuple(form for form in FORMS if form.kind != "CONNECTION_STRING")
_SHORT_FORMS: Final = tuple(form for form in FORMS if form.kind == "CONNECTION_STRING")
_GATES: Final = Gates.of_strings(dict.fromkeys(hint for form in _LONG_FORMS for hint in form.hints))
_INSIDE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")

# By the blanks that ASCII has.
_LONG = re.compile(rf"[^\t-\r\x1c- ]{{{_SHORTEST},}}")

TOKEN_KINDS: Final = tuple(sorted({form.kind for form in FORMS}))


def provider_tokens(text: str) -> Iterator[Finding]:
    """Yield the keys and tokens of known form; they may overlap."""
    if (long := long_words(text)) and (hints := _GATES.open(long)):
        yield from _of_forms(_LONG_FORMS, text, hints)
    if "://" in text:
        yield from _of_forms(_SHORT_FORMS, text, {"://"})


def holds_token(long: str) -> bool:
    """Say whether long words, turned, hold a token; an address with a name and a password, too, has its form."""
    hints = _GATES.open(long)
    return bool(hints) and any(_of_forms(_LONG_FORMS, long, hints))


def long_words(text: str) -> str:
    """Return the words that are long enough for a token, with blanks between."""
    if not has_word(text, _SHORTEST):
        return ""
    words = _LONG.findall(text) if text.isascii() else [w for w in text.split() if len(w) >= _SHORTEST]
    return " ".join(words)


def _of_forms(forms: Iterable[_Form], text: str, hints: Set[str]) -> Iterator[Finding]:
    """`hints` are those that the text has."""
    for form in forms:
        for hint in form.hints:
            if hint in hints:
                for match in _begun(form, hint, text) if form.begins else form.pattern.finditer(text):
                    group = "value" if "value" in form.pattern.groupindex else 0
                    if form.kind != "CONNECTION_STRING" or not is_placeholder(match[group].partition(":")[2]):
                        yield Finding(form.kind, *match.span(group))


def _begun(form: _Form, hint: str, text: str) -> Iterator[re.Match[str]]:
    # By find and match: a search with something before the hint would try every character.
    position = text.find(hint)
    while position >= 0:
        glued = position > 0 and text[position - 1] in _INSIDE
        if not glued and (match := form.pattern.match(text, position)):
            yield match
        position = text.find(hint, position + 1)
