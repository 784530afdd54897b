"""What is no working tree is refused in one line; and nothing around a call can turn it elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synccore.errors import ErrorKind, WorktreeError
from synccore.worktree.asking_facts import git_facts
from synccore.worktree.explain import explain
from synccore.worktree.selection import Lister, select

Make = Callable[[str], Any]
POSIX = sys.platform != "win32"


def test_a_missing_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorktreeError, match=r"there is no directory .*gone: expected .*, found nothing") as caught:
        select(tmp_path / "gone")
    assert caught.value.kind is ErrorKind.NOT_FOUND
    assert caught.value.facts["path"] == str(tmp_path / "gone")


def test_a_file_as_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorktreeError, match="found a file"):
        select(tmp_path / "file")


def test_a_bare_repository_is_refused(tree: Any, lister: Lister) -> None:
    tree.git("init", "-q", "--bare")
    for root in (tree.root, tree.root / "objects"):
        with pytest.raises(
            WorktreeError, match=r"bare repository or the inside of a \.git directory: expected a working"
        ):
            select(root, lister=lister)
        with pytest.raises(WorktreeError, match="bare repository"):
            git_facts(root, lister=lister)


def test_the_inside_of_a_git_directory_is_refused(tree: Any, lister: Lister) -> None:
    tree.init()
    with pytest.raises(WorktreeError, match=r"the inside of a \.git directory"):
        select(tree.root / ".git" / "refs", lister=lister)


def test_a_work_tree_that_git_calls_bare_is_refused(tree: Any) -> None:
    tree.init().git("config", "core.bare", "true")
    with pytest.raises(WorktreeError, match="bare repository"):
        select(tree.root, lister=Lister.GIT)


def test_a_repository_that_git_cannot_read_is_refused_in_git_s_words(tree: Any) -> None:
    tree.init().write({"a": ""}).add()
    (tree.root / ".git/index").write_bytes(b"DIRC nonsense")
    with pytest.raises(WorktreeError, match=r"git cannot list .*: fatal: "):
        select(tree.root, lister=Lister.GIT)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda data: data[:-25], "checksum"),
        (lambda data: data[:4] + b"\0\0\0\x09" + data[8:], "has version 9: expected 2, 3 or 4"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "checksum"),
        (lambda data: b"DIRC", "cut short"),
        (lambda data: b"", "cut short"),
    ],
)
def test_a_damaged_list_is_refused_without_git(tree: Any, damage: Callable[[bytes], bytes], fault: str) -> None:
    tree.init().write({"a": "", "b": ""}).add()
    listed = tree.root / ".git/index"
    listed.write_bytes(damage(listed.read_bytes()))
    with pytest.raises(WorktreeError, match=f"without git: its list of files is? ?.*{fault}|{fault}.*install git"):
        select(tree.root, lister=Lister.DULWICH)


def test_a_split_list_is_refused_without_git_and_read_with_it(tree: Any) -> None:
    tree.init().write({"a": "", "b": ""}).add()
    tree.git("update-index", "--split-index")
    with pytest.raises(WorktreeError, match=r"its list of files is split \(core.splitIndex\); install git to go on"):
        select(tree.root, lister=Lister.DULWICH)
    assert list(select(tree.root, lister=Lister.GIT).paths) == ["a", "b"]


def test_a_list_with_unchecked_sums_is_read_without_git(tree: Any) -> None:
    tree.init().write({"a": ""}).add()
    listed = tree.root / ".git/index"
    listed.write_bytes(listed.read_bytes()[:-20] + bytes(20))
    assert list(select(tree.root, lister=Lister.DULWICH).paths) == ["a"]


def test_without_git_on_the_path_dulwich_lists(tree: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tree.init().write({"a": "", "b.log": "", ".gitignore": "*.log\n"}).add("a").commit()
    expected = (select(tree.root), git_facts(tree.root), explain(tree.root, "b.log").reason)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (select(tree.root), git_facts(tree.root), explain(tree.root, "b.log").reason) == expected
    for ask in (select, git_facts):
        with pytest.raises(WorktreeError, match="there is no working git on the PATH"):
            ask(tree.root, lister=Lister.GIT)


if POSIX:  # programs that are shell scripts

    def git_is(script: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put a program of the name of git before the real one."""
        directory.mkdir()
        (directory / "git").write_text(f"#!/bin/sh\n{script}\n")
        (directory / "git").chmod(0o755)
        monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)

    def test_a_git_that_is_only_an_invitation_to_install_it_counts_as_none(
        tree: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        tree.init().write({"a": ""}).add().commit()
        expected = (select(tree.root), git_facts(tree.root), explain(tree.root, "a"))
        git_is("echo 'xcrun: error: invalid active developer path' >&2; exit 1", tmp_path / "bin", monkeypatch)
        assert (select(tree.root), git_facts(tree.root), explain(tree.root, "a")) == expected
        with pytest.raises(WorktreeError, match="there is no working git on the PATH"):
            select(tree.root, lister=Lister.GIT)

    def test_a_repository_of_another_user_is_refused_with_git_s_remedy(
        tree: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        tree.init().write({"a": ""})
        real = shutil.which("git")
        git_is(f'GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"', tmp_path / "bin", monkeypatch)
        remedy = f"git config --global --add safe.directory {tree.root}"
        with pytest.raises(WorktreeError) as caught:
            select(tree.root)
        assert caught.value.message == (
            f"git does not read {tree.root}, because it belongs to another user; if you trust it, run: {remedy}"
        )
        assert caught.value.facts == {"path": str(tree.root), "remedy": remedy}

    def test_a_refused_repository_inside_is_named(
        tree: Any, another: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        tree.init().write({"a": ""})
        for name in ("one", "two", "three"):
            another(f"tree/{name}").init().write({"b": ""})
        real = shutil.which("git")
        script = f'case "$PWD" in */two) GIT_TEST_ASSUME_DIFFERENT_OWNER=1 ;; esac\nexport GIT_TEST_ASSUME_DIFFERENT_OWNER\nexec {real} "$@"'
        git_is(script, tmp_path / "bin", monkeypatch)
        with pytest.raises(WorktreeError) as caught:
            select(tree.root)
        assert caught.value.facts["path"] == str(tree.root / "two")


def test_a_call_from_inside_another_repository_s_hook_is_not_turned_there(
    tree: Any, another: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another("other").init().write({"theirs": ""}).add().commit()
    tree.init().write({"ours": "", "skipped": ""}).add("ours")
    (tree.root / ".git/info/exclude").write_text("skipped\n")
    expected = (select(tree.root), git_facts(tree.root), explain(tree.root, "skipped"))
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.root))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git/index"))
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "0")
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("LANGUAGE", "de")
    assert (select(tree.root), git_facts(tree.root), explain(tree.root, "skipped")) == expected
    assert list(expected[0].paths) == ["ours"]


def test_the_limit_that_a_user_sets_to_git_s_search_holds(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.init().write({".gitignore": "*.log\n", "sub/a.log": ""})
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tree.root))
    selection = select(tree.root / "sub", lister=Lister.GIT)
    assert (list(selection.paths), selection.is_git) == (["a.log"], False)
    assert git_facts(tree.root / "sub", lister=Lister.GIT) is None


def test_asking_changes_nothing_in_the_repository(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "1", "b": "2", ".gitignore": "*.log\n", ".synccodeignore": "!c.log\n", "c.log": ""})
    tree.add("a", "b").commit()
    (tree.root / "a").write_bytes(b"x")
    os.utime(tree.root / "b", (1, 1))  # git status would like to note the new time

    def state() -> dict[str, tuple[int, bytes]]:
        files = [path for path in tree.root.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = state()
    select(tree.root, lister=lister)
    git_facts(tree.root, lister=lister)
    explain(tree.root, "c.log", lister=lister)
    assert state() == before
