"""`docs/cli.md` and the help say what the commands are."""

import re
from pathlib import Path

import click
import pytest

from streams.cli import COMMANDS, weir

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text("utf-8")
SECTIONS = {
    name: section
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)
    for name in re.findall(r"weir (\w+)", section.splitlines()[0])
}


def loaded(name: str) -> click.Command:
    command = weir.get_command(click.Context(weir), name)
    assert command is not None
    return command


def subcommands(name: str) -> list[click.Command]:
    command = loaded(name)
    return list(command.commands.values()) if isinstance(command, click.Group) else []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    documented = set(re.findall(r"^\| `(--[a-z-]+)", SECTIONS[name], flags=re.MULTILINE))
    options = {
        opt
        for each in (loaded(name), *subcommands(name))
        for param in each.params
        if isinstance(param, click.Option)
        for opt in param.opts
    }
    assert documented == options
    assert f"weir {name}" in SECTIONS[name].split("```")[1], "an example"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_and_has_an_example(name: str) -> None:
    text = loaded(name).get_help(click.Context(loaded(name), info_name=name))
    assert re.search(rf"Example:\n.*weir {name}", text, flags=re.DOTALL)
    assert "\b" not in text
