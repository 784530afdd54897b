"""A directory in which there is only what is wanted elsewhere gets another name, and nothing of anybody's goes with it unseen."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from worktree.test_tree_writer_costs import calls_of

from synccore.digest import digest_of
from synccore.errors import WorktreeError
from synccore.manifest import Entry
from synccore.testing.disk_tree import (
    Content,
    Folder,
    Link,
    Node,
    Pipe,
    Program,
    known,
    lay_out,
    make_node,
    ours_in,
    read_back,
)
from synccore.treepath import TreePath, directories_above
from synccore.worktree.moving_directories import MovingDirectories
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter

OLD: dict[str, Content] = {
    "lib/old/a": "1",
    "lib/old/run": Program("2"),
    "lib/old/p/b.py": "3",
    "lib/old/p/at": Link("b.py"),
    "lib/old/q/r/c": "",
}
NEW = {path.replace("lib/old", "lib/new"): content for path, content in OLD.items()}


def entry_of(content: Content) -> Entry:
    kind, digest = known(content)
    text = content if isinstance(content, str) else content.text if isinstance(content, Program) else content.target
    assert digest == digest_of(text.encode())
    return Entry(kind, len(text), digest)


def moved_by(
    writer: TreeWriter, base: Mapping[str, Content], wanted: Mapping[str, Content], old: str, new: str
) -> set[str]:
    def expected(before: str, after: str) -> Entry | None:
        return entry_of(wanted[after]) if after in wanted and base.get(before) == wanted[after] else None

    files, _ = writer.move_directory(old, new, expected, directories_above(base).__contains__)
    assert all(isinstance(path, TreePath) for pair in files for path in pair)
    assert all(str(after) == before.replace(old, new, 1) for before, after in files)
    return {str(it.new) for it in files}


def move(root: Path, base: Mapping[str, Content] = OLD, wanted: Mapping[str, Content] = NEW) -> set[str]:
    """Let *base*, which we wrote, become *wanted* as far as it is by moving ``lib/old`` to ``lib/new``; return what was moved."""
    ours = ours_in(base)
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(root.parent)) as writer:
        return moved_by(writer, base, wanted, "lib/old", "lib/new")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    lay_out(tmp_path / "alpha", OLD)
    return tmp_path / "alpha"


def test_a_directory_is_the_very_directory_that_it_was_and_its_files_have_a_new_time(root: Path) -> None:
    inodes = {path: (root / path).lstat().st_ino for path in ("lib/old", "lib/old/p", *OLD)}
    for path in OLD:
        os.utime(root / path, (1, 1), follow_symlinks=False)
    assert move(root) == set(NEW)
    assert read_back(root) == NEW
    assert {path: (root / path.replace("old", "new")).lstat().st_ino for path in inodes} == inodes
    assert all((root / path).lstat().st_mtime > 10**9 for path in NEW)


def test_the_directory_above_goes_if_it_is_empty_then(root: Path) -> None:
    lay_out(root, {"kept": "1"})
    ours = ours_in(OLD)
    wanted = {path.replace("lib/old", "src/x/new"): content for path, content in OLD.items()}
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(root.parent)) as writer:
        assert moved_by(writer, OLD, wanted, "lib/old", "src/x/new") == set(wanted)
    assert read_back(root) == {**wanted, "kept": "1"}


# What is found, and which of the directories move all the same: the whole, or some below it.
FOUND: dict[str, tuple[dict[str, Node], set[str]]] = {
    "an edit at the top": ({"lib/old/a": "x"}, {"lib/new/p", "lib/new/q"}),
    "an edit of the same size": ({"lib/old/a": "9"}, {"lib/new/p", "lib/new/q"}),
    "an edit below": ({"lib/old/p/b.py": "x"}, {"lib/new/q"}),
    "a program now": ({"lib/old/a": Program("1")}, {"lib/new/p", "lib/new/q"}),
    "no program now": ({"lib/old/run": "2"}, {"lib/new/p", "lib/new/q"}),
    "a link now": ({"lib/old/a": Link("run")}, {"lib/new/p", "lib/new/q"}),
    "another link": ({"lib/old/p/at": Link("other")}, {"lib/new/q"}),
    "no link now": ({"lib/old/p/at": "b.py"}, {"lib/new/q"}),
    "a pipe": ({"lib/old/a": Pipe()}, {"lib/new/p", "lib/new/q"}),
    "a file of hers": ({"lib/old/q/r/note": "x"}, {"lib/new/p"}),
    "a folder of hers": ({"lib/old/p/hers/x": "x"}, {"lib/new/q"}),
    "an empty folder of hers": ({"lib/old/p/empty": Folder()}, {"lib/new/q"}),
    "a name that is no text": ({"lib/old/p/\udcff": "x"}, {"lib/new/q"}),
    "a compiled module beside": ({"lib/old/p/b.pyc": "x"}, {"lib/new/q"}),
    "a file of hers where compiled modules are": ({"lib/old/p/__pycache__/hers": "x"}, {"lib/new/q"}),
    "a compiled module of another": ({"lib/old/p/__pycache__/x.cpython-311.pyc": "x"}, {"lib/new/q"}),
    "something at the new place": ({"lib/new/hers": "x"}, {"lib/new/p", "lib/new/q"}),
    "something below the new place": ({"lib/new/q/hers": "x"}, {"lib/new/p", "lib/new/q/r"}),
    "a file at the new place": ({"lib/new": "x"}, set()),
    "a link at the new place": ({"lib/new": Link("old")}, set()),
    "a file below the new place": ({"lib/new/p": "x"}, {"lib/new/q"}),
}


@pytest.mark.parametrize("case", FOUND)
def test_a_directory_with_anything_else_in_it_stays_and_others_move(case: str, root: Path) -> None:
    found, expected = FOUND[case]
    for path in found:
        if (root / path).is_symlink() or (root / path).is_file():
            (root / path).unlink()
    lay_out(root, found)
    before = read_back(root)
    moved = move(root)
    assert moved == {path for path in NEW if any(path.startswith(f"{folder}/") for folder in expected)}
    gone = {path.replace("lib/new", "lib/old", 1) for path in moved}
    after = {path: node for path, node in before.items() if path not in gone} | {path: NEW[path] for path in moved}
    assert {path: node for path, node in read_back(root).items() if "/old/" not in path or node != Folder()} == {
        path: node for path, node in after.items() if node != Folder() or "/old/" not in path
    }


def test_a_directory_whose_files_have_other_names_stays(root: Path) -> None:
    os.link(root / "lib/old/p/b.py", root / "another")
    assert move(root) == {"lib/new/q/r/c"}


def test_a_file_that_is_gone_keeps_nothing_from_moving(root: Path) -> None:
    (root / "lib/old/p/b.py").unlink()
    assert move(root) == NEW.keys() - {"lib/new/p/b.py"}
    assert not (root / "lib/old").exists()


def test_an_empty_directory_at_the_new_place_is_nothing(root: Path) -> None:
    lay_out(root, {"lib/new": Folder()})
    assert move(root) == set(NEW)


def test_what_python_has_made_of_the_sources_goes(root: Path) -> None:
    lay_out(root, {"lib/old/p/__pycache__/b.cpython-311.pyc": "x", "lib/old/p/__pycache__/b.cpython-312.pyc": "x"})
    assert move(root) == set(NEW)
    assert read_back(root) == NEW


@pytest.mark.parametrize("at", ["lib", "lib/old", "lib/old/p"])
def test_nothing_is_reached_through_a_link(root: Path, at: str) -> None:
    (root / at).rename(root.parent / "elsewhere")
    (root / at).symlink_to(root.parent / "elsewhere")
    outside = read_back(root.parent / "elsewhere")
    moved = move(root)
    assert moved <= {"lib/new/q/r/c"}
    assert read_back(root.parent / "elsewhere") == outside


def test_what_is_not_wanted_there_does_not_move(root: Path) -> None:
    assert move(root, wanted={**NEW, "lib/new/p/b.py": "4"}) == {"lib/new/q/r/c"}
    assert (root / "lib/old/p/b.py").read_text() == "3"


@pytest.mark.parametrize("new", ["lib/old/lib", "lib/old/p/q/r"])
def test_a_directory_does_not_move_into_itself(root: Path, new: str) -> None:
    ours = ours_in(OLD)
    wanted = {path.replace("lib/old", new, 1): content for path, content in OLD.items()}
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(root.parent)) as writer:
        assert moved_by(writer, OLD, wanted, "lib/old", new) == set()
    assert OLD.items() <= read_back(root).items()


def test_what_is_in_the_way_is_saved_and_told(root: Path) -> None:
    lay_out(root, {"src": "hers"})
    ours = ours_in(OLD)
    wanted = {path.replace("lib/old", "src/new"): content for path, content in OLD.items()}
    expected = {old: entry_of(content) for old, content in OLD.items()}
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(root.parent)) as writer:
        files, saved = writer.move_directory(
            "lib/old", "src/new", lambda old, _: expected[old], directories_above(OLD).__contains__
        )
    assert {str(it.new) for it in files} == set(wanted)
    assert [(one.path, one.saved_as.read_text()) for one in saved] == [("src", "hers")]


def test_a_disk_that_refuses_a_directory_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ours = ours_in(OLD)
    wanted = {path.replace("lib/old", "src/new"): content for path, content in OLD.items()}
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(root.parent)) as writer:
        monkeypatch.setattr(os, "mkdir", refuse)
        with pytest.raises(WorktreeError, match=r"src/new: .*free some space"):
            moved_by(writer, OLD, wanted, "lib/old", "src/new")
        monkeypatch.undo()
    assert read_back(root) == OLD


@pytest.mark.parametrize("error", [errno.EPERM, errno.EXDEV, errno.EBUSY, errno.ENOENT])
def test_where_a_directory_cannot_be_renamed_everything_stays(
    root: Path, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "rename", refuse)
    assert move(root) == set()
    monkeypatch.undo()
    assert read_back(root) == OLD


def test_another_directory_that_took_the_place_of_the_one_that_was_looked_at_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MovingDirectories.move

    def exchanged(self: MovingDirectories, *args: Any) -> Any:
        (root / "lib/old").rename(root / "hers")
        lay_out(root, {"lib/old/x": "x"})
        return real(self, *args)

    monkeypatch.setattr(MovingDirectories, "move", exchanged)
    assert move(root) == set()
    assert (root / "lib/old/x").read_text() == "x"
    assert (root / "hers/a").read_text() == "1"


@pytest.mark.parametrize("moment", ["open", "scandir", "fstat", "read", "utime", "rename"])
@pytest.mark.parametrize("how", ["in place", "by another file", "beside"])
def test_an_edit_at_any_moment_is_somewhere_afterwards(
    moment: str, how: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, moment)
    place = root / "lib/old/p/b.py"

    def edit(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(os, moment, real)
        if how == "in place":
            place.write_text("her edit")
        elif how == "by another file":
            make_node(root / "beside", "her edit")
            (root / "beside").replace(place)
        else:
            make_node(place.with_name("note"), "her edit")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, moment, edit)
    move(root)
    assert "her edit" in read_back(root).values()
    assert {"1", Program("2")} <= set(read_back(root).values())


def test_a_file_costs_exactly(root: Path) -> None:
    more = {f"lib/old/p/{number}": "more" for number in range(10)}
    costs = []
    for base in (OLD, {**OLD, **more}):
        lay_out(root, {path: content for path, content in base.items() if not (root / path).is_symlink()})
        wanted = {path.replace("lib/old", "lib/new"): content for path, content in base.items()}
        counted = calls_of(lambda base=base, wanted=wanted: move(root, base, wanted))
        costs.append(counted)
        (root / "lib/new").rename(root / "lib/old")
    costs[1].subtract(costs[0])
    assert {name: number for name, number in costs[1].items() if number} == dict.fromkeys(
        ("open", "fstat", "read", "utime", "close", "geteuid"), 10
    )
