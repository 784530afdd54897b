"""A tree that nobody else sees yet, made by one process or by several."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.errors import InvalidInputError, WorktreeError
from synccore.manifest import FileKind
from synccore.testing.disk_tree import Content, Folder, Link, Program, build, read_back
from synccore.treepath import TreePath
from synccore.worktree.fresh_tree import FreshTree

A = TreePath("a")


def test_a_fresh_tree_is_the_target(tmp_path: Path) -> None:
    target: dict[str, Content] = {"a": "1", "p/b": Program("2"), "p/q/c": Link("../b"), "p/q/d": ""}
    build(tmp_path / "new", target)
    assert read_back(tmp_path) == {f"new/{path}": content for path, content in target.items()}


def test_a_fresh_tree_needs_a_place_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(WorktreeError, match="File exists"):
        FreshTree(tmp_path / "new")


def test_who_joins_needs_one_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(WorktreeError, match="No such file") as caught:
        FreshTree(tmp_path / "new", joining=True)
    assert caught.value.facts["path"] == str(tmp_path / "new")


def test_a_fresh_tree_takes_no_path_twice(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree:
        tree.write(A, FileKind.FILE, b"1")
        with pytest.raises(WorktreeError, match="File exists") as caught:
            tree.write(A, FileKind.FILE, b"2")
    assert caught.value.facts["path"] == str(tmp_path / "new" / "a")
    assert read_back(tmp_path) == {"new/a": "1"}


def test_unless_it_is_discarded_before(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree:
        for data in (b"1", b"2"):
            tree.discard(TreePath("p/a"))
            tree.write(TreePath("p/a"), FileKind.FILE, data)
    assert read_back(tmp_path) == {"new/p/a": "2"}


def test_what_cannot_be_discarded_is_said(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree:
        tree.write(TreePath("a/b"), FileKind.FILE, b"1")
        with pytest.raises(WorktreeError, match="cannot write") as caught:
            tree.discard(A)
    assert caught.value.facts["path"] == str(tmp_path / "new" / "a")


def test_two_make_the_same_directories_and_different_files(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as one, FreshTree(tmp_path / "new", joining=True) as other:
        for number in range(6):
            tree = (one, other)[number % 2]
            tree.write(TreePath(f"p/q{number // 2}/{number}"), FileKind.FILE, b"1")
    assert read_back(tmp_path) == {f"new/p/q{number // 2}/{number}": "1" for number in range(6)}


def test_a_file_that_is_a_directory_too_is_an_error(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree:
        tree.write(A, FileKind.FILE, b"1")
        with pytest.raises(WorktreeError, match="a file or link stands where a folder was expected"):
            tree.write(TreePath("a/b"), FileKind.FILE, b"1")
    assert read_back(tmp_path) == {"new/a": "1"}


def test_a_link_does_not_come_in_pieces(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree, pytest.raises(InvalidInputError):
        tree.begin(A, FileKind.SYMLINK, 3)


def test_a_large_file_is_not_made_twice_and_an_unfinished_one_goes(tmp_path: Path) -> None:
    with FreshTree(tmp_path / "new") as tree:
        tree.begin(TreePath("p/a"), FileKind.FILE, 3).write_at(0, b"one")
        with pytest.raises(WorktreeError, match="File exists"):
            tree.begin(TreePath("p/a"), FileKind.FILE, 3)
    assert read_back(tmp_path) == {"new/p": Folder()}
