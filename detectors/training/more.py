"""The second pool: many sources in many languages. Who labelled what, and what else a label implies."""

from collections.abc import Iterator
from pathlib import Path

from detectors.training.corpus import Example, rows, stated
from detectors.training.written import HARMLESS

TOXICITY = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack")
REQUESTS = {"injection": "label", "harmful_requests": "harmful"}
"""Tables that share rows, with the column of their label."""
ORDINARY = (
    *("plexpt_zh_", "followup_t0", "xquad_", "bfcl_", "medquad_", "prompt_guide_", "gaokao_", "glaive_"),
    *(
        "klue_",
        "cyberseceval_instruct",
        "cyberseceval_secqa",
        "sharegpt_",
        "owasp_",
        "agentbench_",
        "songys_",
    ),
    *(
        "writingbench",
        "toolbench_",
        "vigogne_",
        "jsquad_",
        "swelancer_",
        "dahatake_",
        "fabric_",
        "tau_bench_",
    ),
    *(
        "rulm_",
        "wonderful_prompts_",
        "certified_safe_",
        "xcopa_",
        "ud_ewt_",
        "holisticbias_",
        "bbq_",
        "cbbq_",
    ),
    *("kobbq_", "xsafety_prompt_leak_talk"),
)
"""Sources, by prefix, whose negative rows are harmless in every respect."""
COMPLIANT = ("hevs_", "k_overrefusal", "ko_redteam_", "coconot_", "lm_refusal_")
"""Sources of answers that say nothing harmful, refused or not."""
STEREOTYPES = "bias"


def examples(folder: Path) -> Iterator[Example]:
    """Yield all labelled texts of the pool in `folder`, with their languages."""
    yield from _requests(folder)
    yield from stated(_toxicity(folder), "toxicity")
    yield from stated(_bias(folder), "bias")
    yield from stated(_refusal(folder), "refusal")
    yield from stated(_documents(folder), "documents")


def _requests(folder: Path) -> Iterator[Example]:
    """Yield prompts once each, with what either table says of them: most are in both."""
    found: dict[tuple[str, str], Example] = {}
    tables: dict[tuple[str, str], list[str]] = {}
    for subject, column in REQUESTS.items():
        head = "injection" if subject == "injection" else "harmful_request"
        for row in rows(folder, subject):
            key = row["text"], row["source"]
            example = Example(*key, {}, lang=row["lang"], weak=row["quality"] == "weak")
            found.setdefault(key, example).labels[head] = float(row[column])
            tables.setdefault(key, []).append(subject)
    attacks = {example.key for example in found.values() if example.labels.get("injection") == 1}
    for key, example in found.items():
        if "injection" not in example.labels and example.key not in attacks:
            example.labels["injection"] = 0.0
        if example.source.startswith(ORDINARY) and not any(example.labels.values()):
            example.labels.update(dict.fromkeys((*HARMLESS, "refusal"), 0.0))
        yield from stated([example], *tables[key])


def _toxicity(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "toxicity"):
        labels = {head: float(row[head]) for head in TOXICITY if row[head]}
        if labels.get("toxicity") == 0:
            labels["harmful_request"] = 0.0
        if "identity_attack" in labels:
            labels["bias_identity_attack"] = labels["identity_attack"]
        if row["source"].startswith(ORDINARY):
            labels = dict.fromkeys((*HARMLESS, "refusal"), 0.0)
        yield Example(
            row["text"],
            row["source"],
            {"injection": 0.0} | labels,
            lang=row["lang"],
            weak=row["quality"] == "weak",
        )


def _bias(folder: Path) -> Iterator[Example]:
    for row in rows(folder, STEREOTYPES):
        labels = {"bias_stereotype": float(row["label"]), "injection": 0.0}
        if row["source"].startswith(ORDINARY):
            continue  # among the rows on toxicity, as harmless in every respect
        weak = row["quality"] == "weak"
        yield Example(row["text"], row["source"], labels, lang=row["lang"], weak=weak)


def _refusal(folder: Path) -> Iterator[Example]:
    for row in rows(folder, "refusal"):
        labels = {"refusal": float(row["refusal"])}
        if row["source"].startswith(COMPLIANT):
            labels |= dict.fromkeys(HARMLESS, 0.0)
        weak = row["quality"] == "weak"
        yield Example(row["text"], row["source"], labels, lang=row["lang"], weak=weak)


def _documents(folder: Path) -> Iterator[Example]:
    """Yield texts of other tables that are harmless whatever else they hold: pages, code, look-alikes."""
    for row in rows(folder, "pii"):
        if row["source"].startswith("neg_"):
            lang = row["lang"] if len(row["lang"]) == len("en") else ""
            labels = dict.fromkeys((*HARMLESS, "refusal"), 0.0)
            yield Example(row["text"], row["source"], labels, lang=lang, weak=True)
    for row in rows(folder, "groundedness"):
        if row["context"].strip():
            labels = dict.fromkeys((*HARMLESS, "refusal"), 0.0)
            yield Example(row["context"], "documents_" + row["source"], labels, lang="en", weak=True)
