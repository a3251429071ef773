"""`docs/cli.md` and the help say what the commands are."""

import re
from pathlib import Path

import click
import pytest

from streams.cli import COMMANDS, weir

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
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


def told() -> dict[str, str]:
    """Return each command line that our own messages and pages name, with a file that does."""
    code = [path for room in ("streams", "detectors", "schemas") for path in (ROOT / room).rglob("*.py")]
    files = [*code, ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = re.compile(r"`weir ([^`{\n]+)`")
    return {line: path.name for path in files for line in named.findall(path.read_text("utf-8"))}


def problem(line: str) -> str:
    """Return what `weir` would not know of a command line."""
    command: click.Command = weir
    words = iter(line.removesuffix("--help").split())
    for word in words:
        options = {opt: param for param in command.params for opt in param.opts if opt.startswith("--")}
        if isinstance(command, click.Group) and word.islower() and word[0] != "-":
            found = command.get_command(click.Context(command), word)
            if found is None:
                return f"no command {word}"
            command = found
        elif word.startswith("--"):
            if word not in options:
                return f"no option {word}"
            if isinstance(option := options[word], click.Option) and not option.is_flag:
                next(words, None)
        elif word.islower() and not any(isinstance(param, click.Argument) for param in command.params):
            return f"{command.name} takes no {word}"
    return ""


def test_every_command_that_a_message_names_exists() -> None:
    lines = told()
    assert len(lines) > 30
    assert all(map(problem, ("gate --old-key", "gate key", "polic check", "alerts lst")))
    assert not {line: (said, path) for line, path in lines.items() if (said := problem(line))}
