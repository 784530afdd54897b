"""A file that is to be removed gets the name at which its content is wanted, and nothing of anybody's is lost by it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from worktree.test_tree_writer_costs import calls_of

from synccore.errors import WorktreeError
from synccore.testing.disk_tree import (
    Content,
    Folder,
    Node,
    Program,
    known,
    lay_out,
    make_node,
    ours_in,
    read_back,
    write,
)
from synccore.treepath import TreePath
from synccore.worktree.outcome import Effect, Outcome
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter

A, B = TreePath("old/a"), TreePath("new/b")


def move(writer: TreeWriter, content: Content, source: TreePath = A, path: TreePath = B) -> Outcome:
    wanted = known(content)
    return writer.move(source, path, wanted.kind, wanted.digest)


def move_and_remove(root: Path, rescue: RescueFolder, content: Content = "1", ours: Content = "1") -> list[Effect]:
    """Move `A`, where we wrote *ours*, to `B`, where *content* is wanted; write that if need be, and remove `A`."""
    what = ours_in({A: ours})
    with TreeWriter(root, ours=lambda path: what.get(path, ()), rescue=rescue) as writer:
        effects = [move(writer, content).effect]
        if effects == [Effect.ABSENT]:
            effects.append(write(writer, B, content).effect)
        return [*effects, writer.remove(A).effect]


@pytest.mark.parametrize("content", ["1", Program("1")], ids=["file", "program"])
def test_a_moved_file_is_the_same_file_with_a_new_time_and_counts_as_removed_where_it_was(
    content: Content, tmp_path: Path
) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {A: content})
    os.utime(root / A, (1, 1))
    before = (root / A).stat()
    rescue = RescueFolder(tmp_path)
    assert move_and_remove(root, rescue, content, content) == [Effect.WRITTEN, Effect.REMOVED]
    after = (root / B).stat()
    assert read_back(root) == {B: content}
    assert (after.st_ino, after.st_nlink) == (before.st_ino, 1)
    assert after.st_mtime > before.st_mtime
    assert rescue.saved == ()


def another_name(root: Path) -> None:
    os.link(root / A, root / "another")


def a_link(root: Path) -> None:
    (root / A).rename(root / "real")
    (root / A).symlink_to("../real")


def a_linked_folder(root: Path) -> None:
    (root / "old").rename(root / "real")
    (root / "old").symlink_to("real")


@pytest.mark.parametrize("happen", [another_name, a_link, a_linked_folder])
def test_what_can_be_written_to_from_elsewhere_is_not_moved(happen: Callable[[Path], None], tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {A: "1"})
    happen(root)
    there = {path for path in root.rglob("*") if path.is_file()}
    assert move_and_remove(root, RescueFolder(tmp_path))[0] is Effect.ABSENT
    assert (root / B).read_text() == "1"
    assert {path.stat().st_ino for path in there if path.exists()}.isdisjoint({(root / B).stat().st_ino})


LOCAL: dict[str, tuple[dict[str, Node], dict[str, Node]]] = {
    "edited": ({A: "x"}, {"old/a": "x"}),
    "made a program": ({A: Program("1")}, {"old/a": Program("1")}),
    "deleted": ({}, {}),
    "name taken": ({A: "1", B: "x"}, {"new/b": "x"}),
    "name taken by a folder": ({A: "1", "new/b/c": "x"}, {"new/b/c": "x"}),
    "name taken by an empty folder": ({A: "1", B: Folder()}, {}),
    "name taken by the same": ({A: "1", B: "1"}, {}),
    "folder taken": ({A: "1", "new": "x"}, {"new": "x"}),
}


@pytest.mark.parametrize("case", LOCAL)
def test_whatever_is_found_at_either_place_what_is_wanted_arrives_and_edits_are_saved(
    case: str, tmp_path: Path
) -> None:
    local, saved = LOCAL[case]
    root = tmp_path / "alpha"
    lay_out(root, local)
    rescue = RescueFolder(tmp_path)
    move_and_remove(root, rescue)
    assert read_back(root) == {B: "1"}
    (area,) = {one.saved_as for one in rescue.saved} or {None}
    folder = None if area is None else next(it for it in area.parents if it.name == "alpha")
    assert (read_back(folder) if folder else {}) == saved


def test_what_was_saved_on_the_way_is_told_whether_or_not_the_file_was_moved(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"new": "x"})
    with TreeWriter(root, ours=lambda _: (known("1"),), rescue=RescueFolder(tmp_path)) as writer:
        outcome = move(writer, "1")
    assert outcome.effect is Effect.ABSENT
    assert [one.path for one in outcome.rescued] == ["new"]


def test_what_is_not_ours_is_not_moved(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {A: "1"})
    with TreeWriter(root, ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        assert move(writer, "1").effect is Effect.ABSENT
    assert read_back(root) == {A: "1", "new": Folder()}


def test_two_directories_that_are_exchanged_keep_their_files(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"p/a": "1", "q/b": "2"})
    ours = ours_in({"p/a": "1", "q/b": "2"})
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(tmp_path)) as writer:
        assert move(writer, "2", TreePath("q/b"), TreePath("p/b")).effect is Effect.WRITTEN
        assert move(writer, "1", TreePath("p/a"), TreePath("q/a")).effect is Effect.WRITTEN
        for path in ours:
            assert writer.remove(path).effect is Effect.REMOVED
    assert read_back(root) == {"p/b": "2", "q/a": "1"}


def test_directories_that_are_empty_afterwards_go_and_stale_compiled_modules_with_them(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    cache = "__pycache__/m.cpython-311.pyc"
    lay_out(root, {"p/q/m.py": "1", f"p/q/{cache}": "compiled", f"new/{cache}": "of another m.py", "kept": "1"})
    ours = ours_in({"p/q/m.py": "1"})
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(tmp_path)) as writer:
        assert move(writer, "1", TreePath("p/q/m.py"), TreePath("new/m.py")).effect is Effect.WRITTEN
        writer.remove(TreePath("p/q/m.py"))
    assert read_back(root) == {"new/m.py": "1", "kept": "1"}


MOMENTS = ["stat", "open", "read", "link", "unlink", "utime"]
HOW = ["in place", "by another file", "taken away"]
# The moment that is left, between the second look and the removal; and an edit in place of what is not there any more.
LEFT = {("unlink", "by another file"), ("utime", "in place")}


@pytest.mark.parametrize(("moment", "how"), sorted({(moment, how) for moment in MOMENTS for how in HOW} - LEFT))
def test_an_edit_at_any_moment_is_somewhere_afterwards(
    moment: str, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {A: "1", "new/x": "1"})
    real = getattr(os, moment)

    def edit(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(os, moment, real)
        if how == "in place":
            (root / A).write_text("her edit")
        elif how == "by another file":
            make_node(root / "beside", "her edit")
            (root / "beside").replace(root / A)
        else:
            (root / A).unlink(missing_ok=True)
        return real(*args, **kwargs)

    monkeypatch.setattr(os, moment, edit)
    rescue = RescueFolder(tmp_path)
    move_and_remove(root, rescue)
    assert not (root / A).exists()
    texts = {(root / B).read_text(), *[one.saved_as.read_text() for one in rescue.saved]}
    assert "1" in texts or how == "in place"
    assert ("her edit" in texts) is (how != "taken away")


@pytest.mark.parametrize("error", [errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOENT])
def test_where_a_file_cannot_have_another_name_it_is_written_anew(
    error: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {A: "1"})
    real = os.link

    def refuse(source: Any, *args: Any, **kwargs: Any) -> None:
        if source == b"a":
            raise OSError(error, os.strerror(error))
        real(source, *args, **kwargs)

    monkeypatch.setattr(os, "link", refuse)
    assert move_and_remove(root, RescueFolder(tmp_path)) == [Effect.ABSENT, Effect.WRITTEN, Effect.REMOVED]
    assert read_back(root) == {B: "1"}


def test_a_disk_that_refuses_the_new_directory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {A: "1"})

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with TreeWriter(root, ours=lambda _: (known("1"),), rescue=RescueFolder(tmp_path)) as writer:
        monkeypatch.setattr(os, "mkdir", refuse)
        with pytest.raises(WorktreeError, match=r"new/b: .*free some space"):
            move(writer, "1")
        monkeypatch.undo()
    assert read_back(root) == {A: "1"}


def test_a_file_that_moves_between_open_directories_costs_exactly(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    base = {"old/a": "1", "old/b": "2"}
    lay_out(root, base)
    ours = ours_in(base)
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(tmp_path)) as writer:
        move(writer, "1", TreePath("old/a"), TreePath("new/a"))
        counted = calls_of(lambda: move(writer, "2", TreePath("old/b"), TreePath("new/b")))
    once = ("open", "read", "close", "link", "utime", "unlink", "geteuid")
    assert counted == {**dict.fromkeys(once, 1), "stat": 2}
