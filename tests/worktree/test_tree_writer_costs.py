"""How many calls of the system a file costs."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from synccore.manifest import FileKind
from synccore.testing.disk_tree import Content, Link, apply, ours_in, write
from synccore.treepath import TreePath
from synccore.worktree.fresh_tree import FreshTree
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """Count the functions of the system that *work* calls, by name."""
    counted: Counter[str] = Counter()

    def note(_: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and called.__module__ == os.name and called.__name__ != "fspath":
            counted[called.__name__] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


# What we wrote, what shall be, and the calls for one such file in a directory that is open.
COSTS: dict[str, tuple[dict[str, Content], dict[str, Content], dict[str, int]]] = {
    "a new file": ({}, {"p/a": "1"}, {"stat": 1, "open": 1, "write": 1, "close": 1, "link": 1, "unlink": 1}),
    "a new link": ({}, {"p/a": Link("b")}, {"stat": 1, "symlink": 1, "link": 1, "unlink": 1}),
    "a rewritten file": (
        {"p/a": "1"},
        {"p/a": "22"},
        {"stat": 3, "open": 2, "read": 1, "close": 2, "write": 1, "rename": 1},
    ),
    "a file that is there already": (
        {"p/a": "1"}, {"p/a": "1"}, {"stat": 1, "open": 1, "read": 1, "close": 1}
    ),
    "a file that goes": (
        {"p/a": "1"}, {}, {"stat": 2, "open": 1, "read": 1, "close": 1, "unlink": 1}
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", COSTS)
def test_a_file_in_an_open_directory_costs_exactly(case: str, tmp_path: Path) -> None:
    base, target, expected = COSTS[case]
    root = tmp_path / "alpha"
    apply(root, {}, {**base, "p/first": "1"}, RescueFolder(tmp_path))
    for path in base:
        os.utime(root / path, (1, 1))
    ours = ours_in(base)
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(tmp_path)) as writer:
        write(writer, "p/second", "1")
        if target:
            counted = calls_of(lambda: [write(writer, path, content) for path, content in target.items()])
        else:
            counted = calls_of(lambda: [writer.remove(path) for path in map(TreePath, base)])
    assert counted == expected


def test_a_file_of_a_fresh_tree_costs_three_calls(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree:
        tree.write(TreePath("p/a"), FileKind.FILE, b"1")
        assert calls_of(lambda: tree.write(TreePath("p/b"), FileKind.FILE, b"1")) == {"open": 1, "write": 1, "close": 1}


def test_a_directory_is_opened_once_for_all_its_files(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree:
        paths = [TreePath(f"p/q/{number}") for number in range(50)]
        counted = calls_of(lambda: [tree.write(path, FileKind.FILE, b"1") for path in paths])
    files, directories = 50, 2
    # A directory is made and opened.
    assert counted["open"] == files + directories
    assert counted["mkdir"] == directories


def test_a_cache_of_bytecode_is_listed_once_for_all_its_sources(tmp_path: Path) -> None:
    base: dict[str, Content] = {f"p/m{number}.py": "1" for number in range(30)}
    target: dict[str, Content] = dict.fromkeys(base, "2")
    apply(tmp_path / "alpha", {}, base, RescueFolder(tmp_path))
    (tmp_path / "alpha" / "p" / "__pycache__").mkdir()
    counted = calls_of(lambda: apply(tmp_path / "alpha", base, target, RescueFolder(tmp_path)))
    assert counted["listdir"] == 1
