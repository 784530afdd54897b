"""Reading a tree for the first time: whatever stands there, from memory or from a slow disk."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.intake import Claims, Intake, take_in
from synccore.manifest import FileKind
from synccore.problem import ProblemKind
from synccore.testing.trees import NodeTree, entries, executable, lay, link, noise
from synccore.treepath import TreePath
from synccore.worktree.scan import Unread

SMALL: NodeTree = {f"d{number % 7}/{number:03}.py": b"x = %d\n" % number * (number % 40) for number in range(300)}
TREE: NodeTree = {**SMALL, "a": link("d0/000.py"), "large": noise(3_000_000), "run": executable("run"), "z": b""}


def read_all(root: Path, paths: list[str]) -> tuple[Intake, int]:
    """Take in *paths* of *root*, at which nobody has looked, and return what was found and how much was packed."""
    intake = Intake()
    unread = [Unread(TreePath(path), None, None) for path in sorted(paths)]
    blocks = list(take_in(root, unread, Claims(lambda _digest: False), intake))
    return intake, sum(block.plain_bytes for block in blocks)


@pytest.fixture(params=["from memory", "from a disk"])
def _disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "from a disk":
        waits = itertools.count(step=10_000)
        monkeypatch.setattr("synccore.intake._waits", lambda: next(waits))


@pytest.mark.usefixtures("_disk")
def test_everything_is_read_and_packed_once(tmp_path: Path) -> None:
    lay(tmp_path, TREE)
    intake, packed_bytes = read_all(tmp_path, list(TREE))
    assert intake.problems == []
    found = {item.path: (item.entry.kind, item.entry.digest) for item in intake.read}
    assert found == {path: (entry.kind, entry.digest) for path, entry in entries(TREE).items()}
    contents = {entry.digest: entry.size_bytes for entry in entries(TREE).values()}
    assert packed_bytes == sum(contents.values())


@pytest.mark.vm
@pytest.mark.usefixtures("_disk")
def test_what_is_gone_is_passed_over_and_what_is_no_file_is_named(tmp_path: Path) -> None:
    lay(tmp_path, TREE)
    (tmp_path / "run").unlink()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    intake, _ = read_all(tmp_path, [*TREE, "pipe", "socket", "d1", "gone/away"])
    assert {(item.path, item.kind) for item in intake.problems} == {
        ("pipe", ProblemKind.SPECIAL_FILE),
        ("socket", ProblemKind.SPECIAL_FILE),
    }
    assert {item.path for item in intake.read} == TREE.keys() - {"run"}


def test_a_disk_that_does_not_know_modes_leaves_the_kind_to_its_caller(tmp_path: Path) -> None:
    lay(tmp_path, {"a": "1", "b": executable("2"), "c": link("a")})
    intake = Intake()
    told = [Unread(TreePath(path), FileKind.FILE, None) for path in "bc"]
    list(take_in(tmp_path, [Unread(TreePath("a"), FileKind.EXECUTABLE, None), *told], Claims(lambda _: True), intake))
    assert [(item.path, item.entry.kind) for item in intake.read] == [
        ("a", FileKind.EXECUTABLE),
        ("b", FileKind.FILE),
        ("c", FileKind.SYMLINK),
    ]
    assert intake.read[0].entry.digest == digest_of(b"1")
