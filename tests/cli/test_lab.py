"""`epic-lab` itself: what it says of itself, and the commands that it hosts."""

from __future__ import annotations

from typing import Any

import pytest

Machine = Any

COMMANDS = ["init", "doctor", "completion", "synccode", "notebook"]

HEAVY = {"google", "rich", "dulwich", "requests", "asyncio", "concurrent.futures", "IPython", "msgpack", "zstandard"}
NET = {"socket", "ssl", "http.client", "urllib.request", "subprocess"}


def test_the_version_is_one_line(machine: Machine) -> None:
    assert machine.lab("--version").out == "epic-lab 0.1.0\n"


def test_the_help_lists_the_commands_and_the_exit_codes(machine: Machine) -> None:
    done = machine.lab("--help")
    assert done.code == 0
    assert all(f"\n  {name} " in done.out for name in COMMANDS)
    assert "    130  interrupted\n" in done.out


@pytest.mark.parametrize("name", ["init", "doctor", "completion"])
def test_each_commands_help_teaches_with_examples(machine: Machine, name: str) -> None:
    done = machine.lab(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: epic-lab {name} ")
    assert f"epic-lab {name}" in done.out.split("Examples:")[1]
    assert done.out.endswith("Exit codes: see `epic-lab --help`.\n")


def test_a_misspelt_command_is_answered_with_the_nearest(machine: Machine) -> None:
    done = machine.lab("docter")
    assert done.code == 2
    assert done.err == (
        "error: no such command 'docter'; did you mean doctor?\nhint: `epic-lab --help` says what is expected.\n"
    )


def test_a_hosted_command_does_what_it_does_by_itself(laptop: Machine) -> None:
    (laptop.home / "code" / "alpha" / "a.py").write_text("1\n")
    (laptop.home / "code" / "beta" / "b.py").write_text("1\n")
    assert laptop.lab("synccode", "up").code == 0
    alone, hosted = laptop.run("status", "--json").document, laptop.lab("synccode", "status", "--json").document
    assert {**alone, "elapsed_seconds": 0} == {**hosted, "elapsed_seconds": 0}


def test_a_hosted_commands_mistakes_are_named_by_what_was_typed(machine: Machine) -> None:
    done = machine.lab("synccode", "log", "-n", "0")
    assert done.code == 2
    assert done.err.endswith("hint: `epic-lab synccode log --help` says what is expected.\n")
    assert machine.lab("synccode", "log", "-n", "0", "--json").document["error"]["kind"] == "usage"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["nonsense"],
        ["doctor", "--help"],
        ["init", "--help"],
        ["init"],
        ["synccode", "--help"],
        ["notebook", "--help"],
    ],
    ids=" ".join,
)
def test_help_and_mistakes_load_neither_the_engine_nor_a_network(machine: Machine, arguments: list[str]) -> None:
    modules = machine.loaded(*arguments, program="epic_lab.cli.lab")
    assert not modules & (HEAVY | NET)
    assert not {
        name for name in modules if name.startswith(("synccore.backends", "epic_lab.doctor.", "epic_lab.gcp"))
    } - {"epic_lab.doctor.finding"}


def test_one_command_does_not_load_another(machine: Machine) -> None:
    modules = machine.loaded("init", "--help", program="epic_lab.cli.lab")
    assert {name for name in modules if name.startswith(("epic_lab.cli.lab.", "epic_lab.cli.synccode"))} == {
        "epic_lab.cli.lab.init"
    }
