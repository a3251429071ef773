"""Sets of terms are taken up while running; what cannot be used leaves the last good ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors.runner import Runner
from detectors.terms import TermSetError
from schemas.events import Event
from streams.decisions.check import check
from streams.decisions.in_force import PolicyInForce
from streams.decisions.judge import Judge
from streams.decisions.scoring import chosen, make_runner
from streams.decisions.term_files import Terms, load
from streams.decisions.text_storage import Keeper
from streams.errors import SettingsError
from streams.policy.file import PolicyError
from streams.settings import Settings
from streams.telemetry.metrics import Telemetry

POLICY = "version: '1'\nname: t\nrules:\n  - {id: r, when: [terms_rivals >= 1], action: block}\n"
FOLDER = {
    "rivals.txt": "# those we do not name\nAcme Corp\n/acme-\\d+/\n",
    "codes.yaml": "words: [zebrafish]\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "terms").mkdir()
    for name, text in FOLDER.items():
        (tmp_path / "terms" / name).write_text(text, "utf-8")
    (tmp_path / "policy.yaml").write_text(POLICY, "utf-8")
    return tmp_path / "terms"


def settings(folder: Path, **given: object) -> Settings:
    wanted = {"terms": str(folder), "policy": folder.parent / "policy.yaml", "detectors": "text"} | given
    return Settings(_env_file=None, policy_reload_s=0.1, **wanted)  # type: ignore[arg-type]


class Guarding:
    """What a guard has: a runner, a judge and a policy in force."""

    def __init__(self, wanted: Settings) -> None:
        self.runner: Runner = make_runner(wanted)
        self.telemetry = Telemetry("guard")
        self.policy = PolicyInForce(wanted, self.runner, self.telemetry)
        self.judge = Judge(self.runner, Keeper("full", b"k" * 16, self.runner.finders))

    def action(self, text: str) -> str:
        events = [Event(event_id="1", app="a", kind="prompt", text=text)]
        return self.judge.judge(events, self.policy.compiled).decisions[0].action

    async def look(self) -> None:
        """Look as often as files and policies, one of which waits for the other, may need."""
        for _ in range(4):
            await self.policy.look()

    def degraded(self) -> str:
        return str(self.telemetry.health()[1])


@pytest.fixture
def guarding(folder: Path) -> Iterator[Guarding]:
    guarding = Guarding(settings(folder))
    yield guarding
    guarding.runner.close()


def test_a_setting_is_enough_to_have_terms(folder: Path) -> None:
    assert chosen(settings(folder)) == ("text", "terms")
    checked = check(Event(event_id="1", app="a", kind="prompt", text="what of ACME-7?"), settings(folder))
    assert (checked.decision.action, checked.scored.scores["terms_rivals"]) == ("block", 1)
    assert checked.metrics["terms_codes"] == "terms"
    (evidence,) = [each for each in checked.evidence if each.detector == "terms"]
    assert (evidence.label, evidence.start, evidence.end) == (r"acme-\d+", 8, 14)


async def test_terms_and_the_policy_that_names_them_follow_their_files(
    folder: Path, guarding: Guarding
) -> None:
    assert (guarding.action("buy from Globex"), guarding.action("buy from acme corp")) == ("allow", "block")
    (folder / "rivals.txt").write_text("Globex\n", "utf-8")
    await guarding.look()
    assert guarding.action("buy from Globex") == "block"
    assert guarding.action("buy from acme corp") == "allow"
    # A policy names a set that is not there yet, and then is.
    (folder.parent / "policy.yaml").write_text(POLICY.replace("terms_rivals", "terms_names"), "utf-8")
    await guarding.look()
    assert "no set of terms 'names'" in guarding.degraded()
    (folder / "names.txt").write_text("Initech\n", "utf-8")
    await guarding.look()
    assert guarding.action("buy from Initech") == "block"
    await guarding.look()
    assert "names" not in guarding.degraded()


async def test_a_bad_file_and_a_missing_set_leave_the_last_good_terms(
    folder: Path, guarding: Guarding
) -> None:
    (folder / "codes.yaml").write_text("words: [zebrafish]\npatterns: ['(']\n", "utf-8")
    await guarding.look()
    assert "RE2 cannot read the pattern" in guarding.degraded()
    assert guarding.action("acme corp") == "block"
    (folder / "codes.yaml").write_text("words: [zebrafish]\n", "utf-8")
    (folder / "rivals.txt").unlink()
    await guarding.look()
    assert "the policy names terms_rivals" in guarding.degraded()
    assert guarding.action("acme corp") == "block"
    (folder.parent / "policy.yaml").write_text(POLICY.replace("terms_rivals", "terms_codes"), "utf-8")
    await guarding.look()
    assert guarding.action("a zebrafish") == "block"
    await guarding.look()
    assert "terms_rivals" not in guarding.runner.metrics
    assert guarding.action("acme corp") == "allow"


def test_half_written_files_wait_for_the_second_look(folder: Path) -> None:
    terms = Terms([str(folder)])
    (folder / "rivals.txt").write_text("Globex\n", "utf-8")
    assert [terms.reload_if_changed() for _ in range(3)] == ["unchanged", "reloaded", "unchanged"]
    (folder / "rivals.txt").write_text("", "utf-8")
    assert terms.reload_if_changed() == "unchanged"
    assert isinstance(terms.reload_if_changed(), TermSetError)
    assert terms.current.metrics == ("terms_codes", "terms_rivals")


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.txt", "\n# nothing\n", "a.txt: no terms in it"),
        ("a.yaml", "", "a.yaml: no terms in it"),
        ("a.yaml", "words: [x\n", "a.yaml:2: not YAML"),
        ("a.yaml", "wrods: [x]\n", "a.yaml:1: unknown key 'wrods'; allowed: words, phrases, patterns"),
        ("a.yaml", "words:\n  - true\n", "a.yaml:1: 'words' is a list of texts"),
        ("a.yml", "just text", "write a list of words, or lists under"),
        ("Big Names.txt", "x", "use at most 40 lower-case letters"),
        ("codes.txt", "x", "there is a set 'codes' already: rename the file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    folder: Path, name: str, text: str, problem: str
) -> None:
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(SettingsError) as error:
        make_runner(settings(folder)).close()
    assert str(error.value).startswith("WEIR_TERMS: ")
    assert problem in str(error.value)


def test_what_is_no_set_is_named(folder: Path) -> None:
    with pytest.raises(TermSetError, match="no such folder, and no file that ends in"):
        load([folder / "nowhere"])
    (folder / ".rivals.txt.swp").write_bytes(b"\xff")
    (folder / "README").write_bytes(b"\xff")
    assert [*load([folder])] == ["codes", "rivals"]
    assert load([folder / "codes.yaml"])["codes"].words == ("zebrafish",)


def test_a_policy_that_names_an_unknown_set_says_which_there_are(folder: Path) -> None:
    (folder.parent / "policy.yaml").write_text(POLICY.replace("terms_rivals", "terms_rival"), "utf-8")
    with pytest.raises(PolicyError) as error:
        check(Event(event_id="1", app="a", kind="prompt", text="x"), settings(folder))
    assert "no set of terms 'rival' (did you mean 'terms_rivals'?)" in str(error.value)
