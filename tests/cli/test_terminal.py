"""What is different on a terminal: colours, progress, and questions."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from terminals import on_terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are of Unix")

Machine = Any

RED = "\x1b[31m"

BARS = """
import sys
from epic_lab.cli.progress import PatientBars
from synccore.progress import Progress
bars = PatientBars(patience_seconds={patience})
if {patience} < 1:
    bars._timer.join()
bars(Progress(phase="read", done=1200, total=3000, unit="files"))
bars(Progress(phase="fetch", done=500, total=None, unit="bytes"))
bars.close()
print("rich" in sys.modules)
"""


def command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "epic_lab.cli.synccode", *arguments)


def test_an_error_is_coloured_unless_colours_are_unwanted(machine: Machine) -> None:
    machine.variables["TERM"] = "xterm"
    assert RED in on_terminal(machine, *command("upload"))[1]
    machine.variables["NO_COLOR"] = "1"
    assert "\x1b" not in on_terminal(machine, *command("upload"))[1]


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_a_deletion_that_is_not_confirmed_changes_nothing(laptop: Machine, answer: str) -> None:
    code, shown = on_terminal(laptop, *command("delete", "alpha"), typed=answer)
    assert code == 1
    assert "Stop synchronising alpha? VMs keep their copy. [y/N]:" in shown
    assert "the deletion of alpha was not confirmed; nothing was changed" in shown


def test_a_deletion_that_is_confirmed_is_tried(laptop: Machine) -> None:
    code, shown = on_terminal(laptop, *command("delete", "alpha"), typed="y\n")
    assert code == 4
    assert "there is no directory" in shown


def test_long_work_is_shown_by_phase(machine: Machine) -> None:
    machine.variables["TERM"] = "xterm"
    code, shown = on_terminal(machine, sys.executable, "-c", BARS.format(patience=0))
    assert code == 0
    assert "waiting for the storage" in shown
    assert "reading files" in shown
    assert "1,200 of 3,000 files" in shown
    assert "500 B" in shown


def test_short_work_shows_nothing_and_loads_nothing(machine: Machine) -> None:
    code, shown = on_terminal(machine, sys.executable, "-c", BARS.format(patience=3600))
    assert (code, shown.strip()) == (0, "False")


def test_nothing_appears_where_nobody_looks(laptop: Machine) -> None:
    done = laptop.run("upload")
    assert "\x1b" not in done.out + done.err
    assert "\r" not in done.out + done.err


def test_a_path_that_would_command_the_terminal_is_written_out(machine: Machine) -> None:
    code, shown = on_terminal(machine, *command("no\x1b[2Jsuch\ncommand"))
    assert code != 0
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J" in shown
