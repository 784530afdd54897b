"""After a machine went down, what may not have reached its disk is compared; the rest is not even opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from synccore.pullreport import PullOutcome
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import nodes, read
from synccore.worktree.aftermath import boot_id
from synccore.worktree.machine import MachineMemory

TREE = {"old.py": "old = 1\n", "new.py": "new = 1\n" * 1000, "pkg/empty.py": ""}

_opened: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is not None and event == "open":
        _opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], bytes | str) else "")


sys.addaudithook(_audit)


@contextmanager
def opened() -> Iterator[list[str]]:
    """Collect the names of files that are opened meanwhile."""
    global _opened  # noqa: PLW0603 - an audit hook cannot be taken away again
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


@pytest.fixture
def restarted(lab: Lab) -> Path:
    """A machine whose tree has arrived, and that was restarted long after: all files are old but ``new.py``."""
    lab.laptop.lay(alpha=TREE)
    lab.laptop.push()
    lab.machine.pull()
    home = lab.machine.home
    for path in ("old.py", "pkg/empty.py"):
        os.utime(home / "alpha" / path, (1, 1_000_000_000))
    memory = MachineMemory(home)
    memory.store(memory.load(f"lab {USER}")._replace(boot="another run"))
    return home / "alpha"


def test_this_run_of_the_machine_has_a_name() -> None:
    assert boot_id()
    assert boot_id() == boot_id()


@pytest.mark.parametrize("cut", ["", "new = 1\n" * 512, "\0" * 8000], ids=["empty", "at a page's end", "zeros"])
def test_a_file_that_was_cut_is_written_again(lab: Lab, restarted: Path, cut: str) -> None:
    (restarted / "new.py").write_text(cut)
    lab.machine.pull()
    assert read(restarted) == nodes(TREE)


def test_an_old_file_whose_size_is_wrong_is_written_again(lab: Lab, restarted: Path) -> None:
    (restarted / "old.py").write_text("")
    os.utime(restarted / "old.py", (1, 1_000_000_000))
    lab.machine.pull()
    assert read(restarted) == nodes(TREE)


def test_what_is_whole_is_left_alone_and_only_what_is_new_is_opened(lab: Lab, restarted: Path) -> None:
    with opened() as names:
        (repo,) = lab.machine.pull().repos
    assert (repo.outcome, repo.written, repo.saved) == (PullOutcome.UNCHANGED, (), ())
    assert [Path(name).name for name in names if name.endswith(".py")] == ["new.py"]


def test_an_edit_made_before_the_restart_stays_where_it_is(lab: Lab, restarted: Path) -> None:
    (restarted / "new.py").write_text("hers = 1\n")
    (restarted / "old.py").write_text("hers = 2, longer than ours\n")
    (repo,) = lab.machine.pull().repos
    assert (repo.written, repo.saved) == ((), ())
    assert read(restarted) == nodes({**TREE, "new.py": "hers = 1\n", "old.py": "hers = 2, longer than ours\n"})


def test_the_next_start_asks_once_and_looks_at_nothing(lab: Lab, restarted: Path) -> None:
    lab.machine.pull()
    lab.backend.reset()
    with opened() as names:
        lab.machine.pull()
    assert lab.backend.calls == {"conditional_get": 1}
    assert not [name for name in names if name.endswith(".py")]
    assert restarted.is_dir()
