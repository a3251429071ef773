import json
from pathlib import Path

import pytest

from schemas.export import DIRECTORY
from schemas.topics import MESSAGES
from tests.streams.weir import run


def test_without_a_name_the_messages_are_listed() -> None:
    lines = run("schema").out.splitlines()
    assert [line.split()[0] for line in lines] == list(MESSAGES)
    assert all(line.endswith(".") for line in lines)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_schema_is_the_file_that_ships(name: str) -> None:
    assert run("schema", name).out == (DIRECTORY / f"{name}.json").read_text("utf-8")


@pytest.mark.parametrize(("arguments", "names"), [([], list(MESSAGES)), (["alert"], ["alert"])])
def test_schemas_are_written_to_a_folder(arguments: list[str], names: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    outcome = run("schema", *arguments, "--output", str(folder))
    assert outcome.out.splitlines() == [str(folder / f"{name}.json") for name in names]
    assert {path.stem for path in folder.iterdir()} == set(names)
    assert json.loads((folder / "alert.json").read_text())["$id"] == "urn:weir:alert"


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    outcome = run("schema", "alerts")
    assert outcome.code == 2
    assert outcome.err.startswith("Error: no message 'alerts' (did you mean 'alert'?); there are event, ")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = run("schema", "--output", str(tmp_path / "file" / "x"))
    assert outcome.code == 1
    assert "x: Not a directory; name another --output" in outcome.err


def test_a_misspelt_command_and_a_misspelt_setting_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run("shema")
    assert "no command 'shema' (did you mean 'schema'?); there are up, " in outcome.err
    monkeypatch.setenv("WEIR_POLCY", "mine.yaml")
    assert "warning: nothing reads WEIR_POLCY: is WEIR_POLICY meant?" in run("schema", "event").err
    assert run("schema", "event").code == 0
