"""Tokens of providers, made up in the form that each documents."""

import pytest

from tests.detectors.privacy.finding import find_credentials as find

HEX = "0123456789abcdef" * 6
MIXED = "aB3dE6gH9jK2mN5pQ8sT" * 20
UPPER = "AB3DE6GH9JK2MN5PQ8ST" * 4
UUID = "550e8400-e29b-41d4-a716-446655440000"

TOKENS = {
    "CLOUDFLARE_KEY": f"cfut_{MIXED[:48]}",
    "AWS_BEDROCK_KEY": f"ABSK{MIXED[:120]}",
    "AZURE_KEY": f"{MIXED[:52]}JQQJ99{MIXED[:26]}",
    "GOOGLE_OAUTH": f"1//0{MIXED[:60]}",
    "NETLIFY_TOKEN": f"nfp_{MIXED[:36]}",
    "DENO_TOKEN": f"ddp_{MIXED[:36]}",
    "TOGETHER_KEY": f"tgp_v1_{MIXED[:43]}",
    "LLAMA_CLOUD_KEY": f"llx-{MIXED[:48]}",
    "FIRECRAWL_KEY": f"fc-{HEX[:32]}",
    "GITLAB_TOKEN": f"glft-{MIXED[:24]}",
    "SOURCEGRAPH_TOKEN": f"sgp_{HEX[:40]}",
    "ARTIFACTORY_KEY": f"AKCp{MIXED[:69]}",
    "NUGET_KEY": f"oy2{HEX[:43]}",
    "BUILDKITE_TOKEN": f"bkua_{HEX[:40]}",
    "OCTOPUS_KEY": f"API-{UPPER[:26]}",
    "OPENSHIFT_TOKEN": f"sha256~{MIXED[:43]}",
    "META_TOKEN": f"EAA{MIXED[:160]}",
    "RAZORPAY_KEY": f"rzp_live_{MIXED[:14]}",
    "PLAID_TOKEN": f"access-production-{UUID}",
    "SHIPPO_TOKEN": f"shippo_live_{HEX[:40]}",
    "EASYPOST_KEY": f"EZAK{MIXED[:54]}",
    "CONTENTFUL_TOKEN": f"CFPAT-{MIXED[:43]}",
    "LAUNCHDARKLY_KEY": f"sdk-{UUID}",
    "SHOPIFY_TOKEN": f"shptka_{HEX[:32]}",
    "ONEPASSWORD_TOKEN": f"A3-{UPPER[:6]}-{UPPER[:6]}-{UPPER[:5]}-{UPPER[:5]}-{UPPER[:5]}-{UPPER[:5]}",
    "NEWRELIC_KEY": f"NRRA-{HEX[:42]}",
    "WANDB_KEY": f"wandb_v1_{MIXED[:77]}",
    "TENCENT_KEY": f"AKID{MIXED[:32]}",
    "TWITCH_TOKEN": f"oauth:{HEX[:30]}",
    "MIDTRANS_KEY": f"Mid-server-{MIXED[:24]}",
    "LOB_KEY": f"live_{HEX[:35]}",
    "FORTYTWO_TOKEN": f"s-s4t2ud-{HEX[:64]}",
    "GRAFANA_TOKEN": f"eyJrIjoi{MIXED[:80]}",
}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("frame", ["{}", "use {} for it", '{{"x": "{}"}}', "请用{}谢谢"])
def test_a_token_is_found_by_its_form_alone(kind: str, frame: str) -> None:
    text = frame.format(TOKENS[kind])
    assert (kind, TOKENS[kind]) in {(each.kind, text[each.start : each.end]) for each in find(text)}
