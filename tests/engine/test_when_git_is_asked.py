"""What git is asked to look at, and when: when all was looked at, or when much has been read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from synccore.intake import Intake, take_in
from synccore.look import Look, Source
from synccore.reading import Claims
from synccore.worktree.asking_facts import git_facts
from synccore.worktree.git import Question

LATER_NS = 2 * 10**18  # by this clock all times are long past, and believed
FILES = 200


def look(root: Path, asked: ExitStack) -> Look:
    return Look(Source("alpha", root), root.parent / "cache", lambda: LATER_NS, asked=asked)


def keep_looking(root: Path, *, asking: bool) -> None:
    """Look at *root*, read what is new, and keep it all for the next look."""
    with ExitStack() as asked:
        found = look(root, asked)
        intake = Intake()
        assert not list(take_in(root, found.scan.unread, Claims(lambda _digest: True), intake))
        answer = found.ask(asked) if asking else None
        if answer is not None:
            answer.finish()
        found.finish(intake, asked)
        found.keep(answer.differing if answer is not None else None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree that was looked at, and of which it is known that nothing differs from the commit."""
    root = tmp_path / "alpha"
    (root / "d").mkdir(parents=True)
    for number in range(FILES):
        (root / f"d/{number}.py").write_text(f"x = {number}\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True)
    keep_looking(root, asking=True)
    return root


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return, for each time that git was asked what differs, where it was to look."""
    asked: list[tuple[str, ...]] = []

    class Noted(Question):
        def __init__(self, root: Path, *arguments: str, nested: bool = False, given: str | None = None) -> None:
            if "status" in arguments:
                asked.append(arguments[arguments.index("--") + 1 :])
            super().__init__(root, *arguments, nested=nested, given=given)

    monkeypatch.setattr("synccore.worktree.git_status.Question", Noted)
    return asked


@pytest.mark.parametrize("gone", [1, 100])
def test_git_need_not_look_for_what_is_gone(root: Path, places: list[tuple[str, ...]], gone: int) -> None:
    for number in range(gone):
        (root / f"d/{number}.py").unlink()
    (root / "d/150.py").write_text("edited")
    with ExitStack() as asked:
        found = look(root, asked)
        assert found.asking is None
        assert not found.has_much_to_read
        facts = found.ask(asked).finish()
    assert places == [("d/150.py",)]
    assert facts == git_facts(root)
    assert facts is not None
    assert facts.dirty_count == gone + 1


def test_nor_for_what_has_another_name(root: Path, places: list[tuple[str, ...]]) -> None:
    (root / "d").rename(root / "e")
    with ExitStack() as asked:
        facts = look(root, asked).ask(asked).finish()
    assert places == [(".git",)]
    assert facts == git_facts(root)


def git(root: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True)


def test_what_lies_below_something_else_by_now_is_looked_for(root: Path, places: list[tuple[str, ...]]) -> None:
    shutil.rmtree(root / "d")
    (root / "d").write_text("a file")
    with ExitStack() as asked:
        facts = look(root, asked).ask(asked).finish()
    assert places == [(".",)]
    assert facts == git_facts(root)


def add(root: Path) -> None:
    (root / "new.py").write_text("1")
    git(root, "add", "new.py")


def forget(root: Path) -> None:
    git(root, "rm", "-q", "--cached", "d/7.py")


def assume(root: Path) -> None:
    git(root, "update-index", "--assume-unchanged", "d/8.py")
    (root / "d/8.py").unlink()


def skip(root: Path) -> None:
    git(root, "update-index", "--skip-worktree", "d/8.py")
    (root / "d/8.py").unlink()


def stage(root: Path) -> None:
    """Have git track other contents of a file than those on the disk."""
    before = (root / "d/9.py").stat()
    text = (root / "d/9.py").read_bytes()
    (root / "d/9.py").write_text("staged")
    git(root, "add", "d/9.py")
    (root / "d/9.py").write_bytes(text)
    os.utime(root / "d/9.py", ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [add, forget, assume, skip, stage])
def test_where_git_tracks_something_else_it_is_asked_about_all(
    root: Path, places: list[tuple[str, ...]], change: Callable[[Path], None]
) -> None:
    change(root)
    with ExitStack() as asked:
        facts = look(root, asked).ask(asked).finish()
    assert places == [(".",)]
    assert facts == git_facts(root)


def test_after_another_commit_it_is_asked_about_all(root: Path, places: list[tuple[str, ...]]) -> None:
    (root / "d/9.py").unlink()
    git(root, "commit", "-qm", "none", "--allow-empty")
    with ExitStack() as asked:
        facts = look(root, asked).ask(asked).finish()
    assert places == [(".git",), (".",)]
    assert facts == git_facts(root)


def test_an_answer_is_not_believed_of_what_was_staged_after_it(root: Path, places: list[tuple[str, ...]]) -> None:
    (root / "d/1.py").unlink()
    keep_looking(root, asking=True)
    stage(root)
    keep_looking(root, asking=False)  # the same files as before, and git was not asked
    places.clear()
    with ExitStack() as asked:
        facts = look(root, asked).ask(asked).finish()
    assert places == [(".",)]
    assert facts == git_facts(root)


@pytest.mark.parametrize(("edited", "is_much"), [(10, False), (100, True)])
def test_where_much_is_to_be_read_it_is_not_asked_before(root: Path, edited: int, is_much: bool) -> None:  # noqa: FBT001
    for number in range(edited):
        (root / f"d/{number}.py").write_text(f"y = {number}\n")
    with ExitStack() as asked:
        found = look(root, asked)
        assert found.asking is None
        assert found.has_much_to_read == is_much


def test_a_new_tree_is_much_to_read(root: Path) -> None:
    (root.parent / "cache").unlink()
    with ExitStack() as asked:
        assert look(root, asked).has_much_to_read
