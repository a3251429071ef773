"""The documentation says what the code does: settings, topics, commands, links."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


GENERATE = runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.mark.parametrize("part", GENERATE["PARTS"])
def test_what_is_made_from_the_code_is_up_to_date(part: str) -> None:
    _, before, after = GENERATE["page"](part)
    assert f"<!-- {part} -->" in before
    assert before == after, "run `make docs`"
    assert "| `` |" not in after


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_exist(page: Path) -> None:
    from streams.settings import Settings

    known = {f"WEIR_{name.upper()}" for name in Settings.model_fields} | {"WEIR_SECRETS_DIR"}
    named = set(re.findall(r"\bWEIR_[A-Z][A-Z_]*[A-Z]\b", page.read_text("utf-8")))
    assert {name for name in named if not name.startswith("WEIR_TEST_")} <= known


PLACES = re.findall(
    r"`((?:schemas|detectors|streams)/[\w/]+\.py)`(?: `(\w+)`)?", (ROOT / "docs/architecture.md").read_text()
)


@pytest.mark.parametrize(("path", "name"), PLACES)
def test_what_the_floor_plan_names_is_there(path: str, name: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    assert not name or re.search(rf"^(?:(?:async )?def |class )?{name}\b", text, re.MULTILINE), name
