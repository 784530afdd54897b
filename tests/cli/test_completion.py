"""What a shell offers for a half-typed word, asked as shells ask, and how it comes to ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from epic_lab.shell_completion import PROGRAMS, SHELLS

Machine = Any

MODULES = {
    "epic-lab": "epic_lab.cli.lab",
    "epic-synccode": "epic_lab.cli.synccode",
    "epic-notebook": "epic_lab.cli.notebook",
}
HEAVY = {"google", "rich", "dulwich", "requests", "asyncio", "socket", "ssl", "http.client", "subprocess", "msgpack"}

ASKED = """
import sys
sys.argv = [{program!r}]
import {module} as module
try:
    module.main()
except SystemExit:
    pass
open({file!r}, "w").write("\\n".join(sys.modules))
"""


def offered(machine: Machine, line: str) -> tuple[list[str], set[str]]:
    """Return what is offered for the last word of *line*, and which modules that took."""
    words = line.split(" ")
    program = words[0]
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    machine.variables |= {variable: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    file = machine.home / "modules"
    lines = machine.python(ASKED.format(program=program, module=MODULES[program], file=str(file))).splitlines()
    del machine.variables[variable]
    return [line for line in lines if line], set(file.read_text().splitlines())


def values(machine: Machine, line: str) -> list[str]:
    return [it.partition(",")[2] for it in offered(machine, line)[0]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epic-lab ", ["init", "doctor", "completion", "synccode", "notebook"]),
        ("epic-lab do", ["doctor"]),
        ("epic-lab doctor --", ["--timeout", "--json", "--help"]),
        ("epic-lab completion ", ["bash", "zsh", "fish"]),
        ("epic-lab synccode up", ["upload", "up"]),
        ("epic-lab synccode upload ", ["alpha", "beta"]),
        ("epic-lab init --repos a", ["alpha"]),
        ("epic-lab nonsense do", ["doctor"]),
        ("epic-synccode de", ["delete"]),
        ("epic-synccode delete b", ["beta"]),
        ("epic-synccode up al", ["alpha"]),
        ("epic-synccode upload alpha,", ["alpha,beta"]),
        ("epic-synccode upload --fo", ["--force"]),
        ("epic-synccode rescued dr", ["drop"]),
        ("epic-notebook sus", ["suspend"]),
    ],
)
def test_commands_options_and_repositories_are_offered(laptop: Machine, line: str, expected: list[str]) -> None:
    (laptop.home / "code" / "alpha" / ".git").mkdir()
    assert values(laptop, line) == expected


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("epic-synccode explain co", "file"),
        ("epic-synccode rescued restore al", "file"),
        ("epic-lab init --code-base ~/c", "dir"),
    ],
)
def test_paths_are_left_to_the_shell(laptop: Machine, line: str, kind: str) -> None:
    assert [it.partition(",")[0] for it in offered(laptop, line)[0]] == [kind]


def test_a_vm_offers_what_it_has(machine: Machine) -> None:
    machine.configure("SYNCCODE_GCS_BASE_URL=gs://lab-bucket", "SYNCCODE_USERNAME=ana")
    for repo in ("gamma", ".synccode"):
        (machine.home / "synccode" / repo).mkdir(parents=True)
    assert values(machine, "epic-synccode upload ") == ["gamma"]


def test_where_nothing_is_known_nothing_is_offered_and_nothing_fails(machine: Machine) -> None:
    assert values(machine, "epic-synccode upload ") == []
    assert values(machine, "epic-lab init --repos ") == []
    machine.configure("hello")
    assert values(machine, "epic-synccode upload ") == []


@pytest.mark.parametrize(
    "line", ["epic-lab ", "epic-lab doctor --", "epic-lab init --", "epic-lab synccode upload ", "epic-notebook l"]
)
def test_completing_loads_neither_the_engine_nor_a_network(laptop: Machine, line: str) -> None:
    modules = offered(laptop, line)[1]
    assert not modules & HEAVY
    assert not {it for it in modules if it.startswith(("synccore.backends", "epic_lab.gcp", "epic_lab.doctor."))} - {
        "epic_lab.doctor.finding"
    }


def test_naming_commands_imports_none(laptop: Machine) -> None:
    modules = offered(laptop, "epic-synccode ")[1]
    assert {it for it in modules if it.startswith("epic_lab.cli.synccode")} == {
        "epic_lab.cli.synccode",
        "epic_lab.cli.synccode.group",
    }


# -- scripts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_each_shell_is_for_all_programs(machine: Machine, shell: str) -> None:
    done = machine.lab("completion", shell)
    assert (done.code, done.err) == (0, "")
    for program in PROGRAMS:
        assert f"_{program.replace('-', '_').upper()}_COMPLETE={shell}_complete" in done.out


@pytest.mark.parametrize("shell", SHELLS)
def test_installing_writes_one_file_a_program_and_twice_is_once(machine: Machine, shell: str) -> None:
    done = machine.lab("completion", shell, "--install")
    assert done.code == 0
    files = [Path(line.replace("HOME", str(machine.home))) for line in done.out.splitlines()]
    assert len(files) == len(PROGRAMS)
    for program, file in zip(PROGRAMS, files, strict=True):
        assert program in file.name
        assert f"_{program.replace('-', '_').upper()}_COMPLETE" in file.read_text()
    before = {file: file.stat().st_mtime_ns for file in files}
    again = machine.lab("completion", shell, "--install")
    assert all(line.endswith(" is there already") for line in again.out.splitlines())
    assert {file: file.stat().st_mtime_ns for file in files} == before


def test_scripts_go_where_the_users_folders_are(machine: Machine) -> None:
    machine.variables |= {
        "XDG_DATA_HOME": str(machine.home / "data"),
        "XDG_CONFIG_HOME": str(machine.home / "settings"),
    }
    bash = machine.lab("completion", "bash", "--install").out.splitlines()[0]
    fish = machine.lab("completion", "fish", "--install").out.splitlines()[0]
    assert bash == "HOME/data/bash-completion/completions/epic-lab"
    assert fish == "HOME/settings/fish/completions/epic-lab.fish"


def test_a_folder_that_cannot_be_written_is_named(machine: Machine) -> None:
    (machine.home / ".zfunc").write_text("a file")
    done = machine.lab("completion", "zsh", "--install")
    assert done.code == 1
    assert done.err.startswith("error: cannot write HOME/.zfunc/_epic-lab: ")


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="there is no bash to complete in")
def test_bash_completes_with_the_script(laptop: Machine) -> None:
    folder = laptop.home / "bin"
    folder.mkdir()
    for program, module in MODULES.items():
        (folder / program).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        (folder / program).chmod(0o755)
    line = """
    eval "$(epic-lab completion bash)"
    COMP_WORDS=(epic-lab synccode delete al); COMP_CWORD=3
    _epic_lab_completion epic-lab; echo "${COMPREPLY[@]}"
    COMP_WORDS=(epic-synccode pat); COMP_CWORD=1; COMPREPLY=()
    _epic_synccode_completion epic-synccode; echo "${COMPREPLY[@]}"
    complete -p epic-notebook
    """
    path = f"{folder}:{laptop.environment()['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", line],
        env={**laptop.environment(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "alpha",
        "path",
        "complete -o nosort -F _epic_notebook_completion epic-notebook",
    ]
