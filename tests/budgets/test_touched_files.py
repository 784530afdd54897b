"""Git is not made to read a whole tree that was only touched or edited, and is asked all the same if something in it has changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from synccore.asking_head import AskingHead
from synccore.refs import HeadAt
from synccore.testing.lab import Lab

COUNT = 1100


class Started:
    """Which programs this process starts; Python itself announces them."""

    def __init__(self) -> None:
        self._commands: list[Sequence[str]] | None = None
        sys.addaudithook(self._note)

    def during(self, act: Callable[[], object]) -> list[Sequence[str]]:
        """Return the command lines that *act* started."""
        self._commands = commands = []
        try:
            act()
        finally:
            self._commands = None
        return commands

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and self._commands is not None:
            self._commands.append([os.fsdecode(word) for word in arguments[1]])  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def started() -> Started:
    """Hooks cannot be removed again, so there is one."""
    return Started()


@pytest.fixture
def tree(lab: Lab) -> Path:
    """A repository of git's that was uploaded, and whose files have all been touched since."""
    lab.clock.run_ahead()
    lab.laptop.lay(alpha={f"{number}.py": f"x = {number}\n" for number in range(COUNT)})
    root = lab.laptop.code / "alpha"
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True)
    lab.laptop.push()
    for number in range(COUNT):
        os.utime(root / f"{number}.py", (1_700_000_000 + number, 1_700_000_000 + number))
    return root


def test_git_is_not_asked_about_a_tree_that_was_only_touched(lab: Lab, tree: Path, started: Started) -> None:
    assert (tree / "1.py").is_file()
    assert started.during(lab.laptop.push) == []


@pytest.fixture
def asked_early(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note whenever the head is asked for before all files were read."""
    begin, noted = AskingHead.begin, []

    def noting(self: AskingHead, about: HeadAt) -> None:
        noted.append(1)
        begin(self, about)

    monkeypatch.setattr(AskingHead, "begin", noting)
    return noted


def test_while_touched_files_are_read_the_head_is_asked_for(lab: Lab, tree: Path, asked_early: list[int]) -> None:
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
    assert asked_early
    del asked_early[:]
    for number in range(15):
        (tree / f"{number}.py").write_text(f"x = {9 - number % 10}\n")
    lab.laptop.push()
    assert not asked_early


def test_many_edits_that_keep_the_sizes_cost_a_get_beside_their_put(
    lab: Lab, tree: Path, asked_early: list[int]
) -> None:
    lab.laptop.push()
    for number in range(COUNT):
        (tree / f"{number}.py").write_text(f"y = {number}\n")
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1, "put": 2, "conditional_put": 1}
    assert asked_early
    lab.machine.pull()
    assert (lab.machine.home / "alpha" / "7.py").read_text() == "y = 7\n"


def test_git_lists_a_tree_again_once_after_a_name_came(lab: Lab, tree: Path, started: Started) -> None:
    def lists() -> int:
        return sum("ls-files" in words for words in started.during(lab.laptop.push))

    (tree / "new.py").write_text("x = 1\n")
    assert [lists() for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("change", ["an edit", "a deletion"])
def test_what_git_says_of_a_touched_tree_with_a_change_is_recorded(lab: Lab, tree: Path, change: str) -> None:
    if change == "an edit":
        (tree / "7.py").write_text("x = 'seven'\n")
    else:
        (tree / "7.py").unlink()
    (line,) = lab.laptop.push().repos
    assert line.git is not None
    assert (line.git.branch, line.git.dirty) == ("main", ("7.py",))


def status_of(commands: list[Sequence[str]]) -> list[Sequence[str]]:
    """Return where git was told to look, each time that it was asked what differs."""
    return [words[words.index("--") + 1 :] for words in commands if "status" in words]


def test_git_is_asked_about_what_may_differ_and_not_about_the_whole_tree(
    lab: Lab, tree: Path, started: Started
) -> None:
    lab.laptop.push()
    (tree / "7.py").write_text("x = 'seven'\n")
    assert status_of(started.during(lab.laptop.push)) == [["7.py"]]
    (tree / "8.py").write_text("x = 'eight'\n")
    assert status_of(started.during(lab.laptop.push)) == [["7.py", "8.py"]]
    subprocess.run(["git", "checkout", "-q", "--", "7.py", "8.py"], cwd=tree, check=True)
    assert status_of(started.during(lab.laptop.push)) == [["7.py", "8.py"]]
    (tree / "9.py").unlink()
    assert status_of(started.during(lab.laptop.push)) == [[".git"]]  # what is gone need not be looked at
    (tree / "10.py").write_text("x = 'ten'\n")
    (line,) = lab.laptop.push().repos
    assert line.git is not None
    assert line.git.dirty == ("10.py", "9.py")


def test_what_differs_already_and_is_edited_again_counts_once(lab: Lab, tree: Path, started: Started) -> None:
    lab.laptop.push()
    edited = sorted(f"{number}.py" for number in range(100, 140))
    for content in ("x = 'once'\n", "x = 'twice'\n"):
        for name in edited:
            (tree / name).write_text(content)
        assert status_of(started.during(lab.laptop.push)) == [edited]


@pytest.mark.parametrize("change", ["a commit", "git's list", "many edits"])
def test_git_is_asked_about_the_whole_tree_where_anything_may_differ(
    lab: Lab, tree: Path, started: Started, change: str
) -> None:
    lab.laptop.push()
    (tree / "7.py").write_text("x = 'seven'\n")
    lab.laptop.push()
    (tree / "8.py").write_text("x = 'eight'\n")
    expected: list[Sequence[str]] = [["."]]
    if change == "a commit":
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "more"],
            cwd=tree,
            check=True,
        )
        expected = [["7.py", "8.py"], ["."]]
    elif change == "git's list":
        subprocess.run(["git", "add", "7.py"], cwd=tree, check=True)
    else:
        for number in range(100, 164):
            (tree / f"{number}.py").write_text("x = 'many'\n")
    assert status_of(started.during(lab.laptop.push)) == expected
