"""The area for saved edits: nothing in it is ever overwritten, and all of it can be listed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.errors import WorktreeError
from synccore.testing.disk_tree import Link, Node, lay_out, make_node, read_back
from synccore.treepath import TreePath
from synccore.worktree.directory_chain import OPEN_DIRECTORY
from synccore.worktree.rescue import Reason, Rescued, RescueFolder, rescued_under

NOON_NS = 1_767_268_800 * 10**9 + 5
NOON = "2026-01-01T12-00-00Z"


def save(rescue: RescueFolder, tree: Path, name: str, path: str | None = None) -> Rescued:
    """Save what is called *name* in the directory *tree* as *path* of ``alpha``."""
    handle = os.open(tree, OPEN_DIRECTORY)
    try:
        return rescue.save(
            handle,
            name.encode(),
            repo="alpha",
            path=TreePath(path or name),
            reason=Reason.EDITED,
            replaced_by=digest_of(b"new"),
        )
    finally:
        os.close(handle)


def noon(home: Path) -> RescueFolder:
    return RescueFolder(home, now_ns=lambda: NOON_NS)


def test_an_unused_area_leaves_no_trace(tmp_path: Path) -> None:
    assert noon(tmp_path).saved == ()
    assert read_back(tmp_path) == {}
    assert rescued_under(tmp_path) == []


@pytest.mark.parametrize("node", ["x", Link("nowhere")], ids=["file", "link"])
def test_what_is_saved_is_moved_and_can_be_listed(node: Node, tmp_path: Path) -> None:
    lay_out(tmp_path / "tree", {"a": node})
    before = (tmp_path / "tree" / "a").lstat()
    rescued = save(noon(tmp_path), tmp_path / "tree", "a", "p/q/a")
    assert rescued == Rescued(
        repo="alpha",
        path=TreePath("p/q/a"),
        saved_as=tmp_path / ".rescued" / NOON / "alpha" / "p" / "q" / "a",
        reason=Reason.EDITED,
        when_ns=NOON_NS,
        replaced_by=digest_of(b"new"),
    )
    assert rescued.saved_as.lstat().st_ino == before.st_ino
    assert rescued.saved_as.lstat().st_mtime_ns == before.st_mtime_ns
    assert rescued_under(tmp_path) == [rescued]
    assert list((tmp_path / "tree").iterdir()) == []


def test_the_saves_of_one_run_share_a_folder_and_those_of_another_do_not(tmp_path: Path) -> None:
    lay_out(tmp_path / "tree", {"a": "1", "b": "2", "c": "3"})
    first, second = noon(tmp_path), noon(tmp_path)
    saved = [
        save(first, tmp_path / "tree", "a"),
        save(second, tmp_path / "tree", "b"),
        save(first, tmp_path / "tree", "c"),
    ]
    assert [one.saved_as.parts[-3] for one in saved] == [NOON, f"{NOON}-2", NOON]
    assert {one.saved_as.read_text() for one in rescued_under(tmp_path)} == {"1", "2", "3"}


def test_the_list_begins_with_the_oldest(tmp_path: Path) -> None:
    lay_out(tmp_path / "tree", {"a": "1", "b": "2", "c": "3"})
    later, earlier = RescueFolder(tmp_path, now_ns=lambda: NOON_NS + 3), noon(tmp_path)
    saved = [
        save(later, tmp_path / "tree", "a"),
        save(earlier, tmp_path / "tree", "b"),
        save(later, tmp_path / "tree", "c"),
    ]
    assert rescued_under(tmp_path) == [saved[1], saved[0], saved[2]]


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a"), ("a", "a/b"), ("a/b", "a")], ids=["the same", "below a file", "above a file"]
)
def test_nothing_saved_is_overwritten(first: str, second: str, tmp_path: Path) -> None:
    rescue = noon(tmp_path)
    saved = []
    for text, path in (("1", first), ("2", second), ("3", second)):
        lay_out(tmp_path / "tree", {"x": text})
        saved.append(save(rescue, tmp_path / "tree", "x", path))
    assert [one.saved_as.read_text() for one in saved] == ["1", "2", "3"]
    assert sorted(str(one.path) for one in rescued_under(tmp_path)) == sorted([first, second, second])


def test_a_folder_that_somebody_clears_away_meanwhile_is_made_anew(tmp_path: Path) -> None:
    lay_out(tmp_path / "tree", {"a": "1", "b": "2"})
    rescue = noon(tmp_path)
    first = save(rescue, tmp_path / "tree", "a")
    first.saved_as.unlink()
    first.saved_as.parent.rmdir()
    (tmp_path / ".rescued" / NOON).rmdir()
    second = save(rescue, tmp_path / "tree", "b")
    assert second.saved_as.read_text() == "2"
    assert rescued_under(tmp_path) == [second]


def test_what_is_gone_cannot_be_saved_and_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    rescue = noon(tmp_path)
    with pytest.raises(FileNotFoundError):
        save(rescue, tmp_path / "tree", "a")
    assert rescue.saved == ()
    assert rescued_under(tmp_path) == []


def test_a_disk_that_is_full_in_the_middle_of_a_line_does_not_swallow_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path / "tree", {"a": "1", "b": "2"})
    rescue = noon(tmp_path)
    real, room = os.write, [10]

    def write(handle: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, data[: room.pop()])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(WorktreeError, match="the disk is full"):
        save(rescue, tmp_path / "tree", "a")
    monkeypatch.setattr(os, "write", real)
    assert read_back(tmp_path / "tree") == {"a": "1", "b": "2"}
    saved = save(rescue, tmp_path / "tree", "b")
    assert rescued_under(tmp_path) == [saved]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "7",
        "{}",
        '{"repo": "alpha", "path": "../x", "reason": "edited", "when_ns": 1, "replaced_by": null}',
    ],
)
def test_a_line_that_says_nothing_is_left_out(line: str, tmp_path: Path) -> None:
    lay_out(tmp_path / "tree", {"a": "1"})
    rescued = save(noon(tmp_path), tmp_path / "tree", "a")
    with (tmp_path / ".rescued" / f"{NOON}.jsonl").open("a") as lines:
        lines.write(line + "\n")
    assert rescued_under(tmp_path) == [rescued]


def test_an_area_that_cannot_be_is_named_and_the_edit_stays(tmp_path: Path) -> None:
    lay_out(tmp_path, {"tree/a": "1"})
    make_node(tmp_path / ".rescued", "a file")
    with pytest.raises(WorktreeError) as caught:
        save(noon(tmp_path), tmp_path / "tree", "a")
    assert caught.value.facts["path"] == str(tmp_path / ".rescued")
    assert read_back(tmp_path) == {"tree/a": "1", ".rescued": "a file"}
