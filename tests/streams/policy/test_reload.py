"""A policy file that changes while it is in force."""

import os
from pathlib import Path

import pytest

from streams.policy.file import PolicyError
from streams.policy.reload import Policies

METRICS = {"toxicity": "toxicity"}


def text(version: int, threshold: float = 0.9) -> str:
    rule = f"  - id: a\n    when: [toxicity >= {threshold}]\n    action: block\n"
    return f"version: '{version}'\nname: test\nrules:\n{rule}"


def look(policies: Policies) -> object:
    """Look twice, as is needed for a version that is complete."""
    assert policies.reload_if_changed() == "unchanged"
    return policies.reload_if_changed()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text(1))
    return path


def test_a_new_version_comes_into_force(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    first = policies.current
    assert policies.reload_if_changed() == "unchanged"
    assert policies.current is first
    path.write_text(text(2))
    assert look(policies) == "reloaded"
    assert policies.current.version == "2"
    assert policies.reload_if_changed() == "unchanged"


def test_a_broken_version_leaves_the_last_good_one(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    path.write_text(text(2) + "    mode: maybe\n")
    error = look(policies)
    assert isinstance(error, PolicyError)
    assert f"{path}:7: 'mode' cannot be 'maybe'" in str(error)
    assert (policies.current.version, policies.error) == ("1", error)
    assert policies.reload_if_changed() == "unchanged"
    assert policies.error is error
    path.write_text(text(3))
    assert look(policies) == "reloaded"
    assert policies.current.version == "3"
    assert policies.error is None


def test_going_back_to_the_version_in_force_clears_the_error(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    path.write_text("")
    assert isinstance(look(policies), PolicyError)
    path.write_text(text(1))
    assert look(policies) == "unchanged"
    assert policies.error is None


def test_a_file_that_goes_and_comes_back(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    path.unlink()
    assert "cannot be read" in str(look(policies))
    assert policies.reload_if_changed() == "unchanged"
    path.write_text(text(2))
    assert look(policies) == "reloaded"


def test_same_size_and_modification_time_is_still_seen(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    stat = path.stat()
    other = path.with_name("other.yaml")
    other.write_text(text(2))
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)
    assert look(policies) == "reloaded"


def test_a_comment_does_not_make_a_new_policy(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    first = policies.current
    path.write_text("# reviewed\n" + text(1))
    assert look(policies) == "unchanged"
    assert policies.current is first


def test_a_link_that_is_turned_to_another_file(path: Path) -> None:
    new, link = path.with_name("new.yaml"), path.with_name("link.yaml")
    new.write_text(text(2))
    link.symlink_to(path)
    policies = Policies(link, METRICS, {})
    link.unlink()
    link.symlink_to(new)
    assert look(policies) == "reloaded"


def test_no_policy_at_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"none\.yaml: the policy cannot be read"):
        Policies(tmp_path / "none.yaml", METRICS, {})


def test_a_file_that_is_still_written_is_not_taken_with_half_of_its_rules(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    rules = text(2).splitlines(keepends=True)[3:]
    with path.open("w") as file:
        file.write("version: '2'\nname: test\nrules:\n")
        for number in range(5):
            file.write("".join(rules).replace("id: a", f"id: a{number}"))
            file.flush()  # a good policy, whenever it is read
            assert policies.reload_if_changed() == "unchanged"
    assert policies.current.version == "1"
    assert policies.reload_if_changed() == "reloaded"
    assert len(policies.current.rules) == 5


def test_a_file_that_changes_while_it_is_read_is_read_again(path: Path) -> None:
    policies = Policies(path, METRICS, {})
    path.write_text(text(2))
    policies.reload_if_changed()
    path.write_text(text(3) + "# longer\n")
    assert look(policies) == "reloaded"
    assert policies.current.version == "3"
