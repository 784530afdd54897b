"""What the writer does to a tree, case by case."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.errors import ErrorKind, WorktreeError
from synccore.manifest import FileKind
from synccore.testing.disk_tree import (
    Content,
    Folder,
    Link,
    Node,
    Pipe,
    Program,
    apply,
    lay_out,
    marks,
    ours_in,
    read_back,
    write,
)
from synccore.treepath import TreePath
from synccore.worktree.outcome import Effect, Outcome
from synccore.worktree.rescue import Reason, RescueFolder
from synccore.worktree.tree_writer import TreeWriter


def open_handles() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def saved_in(rescue: RescueFolder) -> dict[str, Reason]:
    return {str(one.path): one.reason for one in rescue.saved}


# name: (what we wrote, what is there, what shall be, what is there then, what was saved and why)
CASES: dict[str, tuple[Mapping[str, Content], Mapping[str, Node], Mapping[str, Content], Mapping[str, Node], dict[str, Reason]]] = {
    "a new file": ({}, {}, {"a": "1"}, {"a": "1"}, {}),
    "a new file in new directories": ({}, {}, {"p/q/a": "1"}, {"p/q/a": "1"}, {}),
    "an empty file": ({}, {}, {"a": ""}, {"a": ""}, {}),
    "a program": ({}, {}, {"a": Program("1")}, {"a": Program("1")}, {}),
    "a link, also one that leads out": ({}, {}, {"a": Link("/mnt/data")}, {"a": Link("/mnt/data")}, {}),
    "a name that is not ASCII": ({}, {}, {"é/ü": "1"}, {"é/ü": "1"}, {}),
    "our file changes": ({"a": "1"}, {"a": "1"}, {"a": "2"}, {"a": "2"}, {}),
    "our file becomes a program": ({"a": "1"}, {"a": "1"}, {"a": Program("1")}, {"a": Program("1")}, {}),
    "our program becomes a file": ({"a": Program("1")}, {"a": Program("1")}, {"a": "1"}, {"a": "1"}, {}),
    "our file becomes a link": ({"a": "1"}, {"a": "1"}, {"a": Link("b")}, {"a": Link("b")}, {}),
    "our link becomes a file": ({"a": Link("b")}, {"a": Link("b")}, {"a": "1"}, {"a": "1"}, {}),
    "our link changes": ({"a": Link("b")}, {"a": Link("b")}, {"a": Link("c")}, {"a": Link("c")}, {}),
    "our file goes": ({"a": "1"}, {"a": "1"}, {}, {}, {}),
    "our file goes, with its empty directories": ({"p/q/a": "1"}, {"p/q/a": "1"}, {}, {}, {}),
    "our file goes, a stranger's stays": ({"p/a": "1"}, {"p/a": "1", "p/b": "x"}, {}, {"p/b": "x"}, {}),
    "our file goes, a stranger's empty directory stays": ({"p/a": "1"}, {"p/a": "1", "p/e": Folder()}, {}, {"p/e": Folder()}, {}),
    "our file is gone already": ({"p/a": "1"}, {"p": Folder()}, {}, {}, {}),
    "our file and its directory are gone already": ({"p/q/a": "1"}, {"p": Folder()}, {}, {}, {}),
    "an edit where something changes": ({"a": "1"}, {"a": "x"}, {"a": "2"}, {"a": "2"}, {"a": Reason.EDITED}),
    "an edit where something goes": ({"p/a": "1"}, {"p/a": "x"}, {}, {}, {"p/a": Reason.EDITED}),
    "an edit that equals the target": ({"a": "1"}, {"a": "2"}, {"a": "2"}, {"a": "2"}, {}),
    "an edit of the mode alone": ({"a": "1"}, {"a": Program("1")}, {"a": "2"}, {"a": "2"}, {"a": Reason.EDITED}),
    "an edit of a link": ({"a": Link("b")}, {"a": Link("x")}, {"a": Link("c")}, {"a": Link("c")}, {"a": Reason.EDITED}),
    "a link with the text of our file": ({"a": "b"}, {"a": Link("b")}, {"a": "2"}, {"a": "2"}, {"a": Reason.EDITED}),
    "a stranger's file in the place": ({}, {"a": "x"}, {"a": "2"}, {"a": "2"}, {"a": Reason.NOT_OURS}),
    "a stranger's link in the place": ({}, {"a": Link("x")}, {"a": "2"}, {"a": "2"}, {"a": Reason.NOT_OURS}),
    "a pipe in the place": ({"a": "1"}, {"a": Pipe()}, {"a": "2"}, {"a": "2"}, {"a": Reason.SPECIAL_FILE}),
    "a pipe where something goes": ({"a": "1"}, {"a": Pipe()}, {}, {}, {"a": Reason.SPECIAL_FILE}),
    "a pipe for a directory": ({}, {"p": Pipe()}, {"p/a": "2"}, {"p/a": "2"}, {"p": Reason.SPECIAL_FILE}),
    "an empty directory in the place": ({}, {"a": Folder()}, {"a": "2"}, {"a": "2"}, {}),
    "hollow directories in the place": ({}, {"a/b/c": Folder(), "a/d": Folder()}, {"a": "2"}, {"a": "2"}, {}),
    "a directory of bytecode in the place": ({}, {"a/__pycache__/m.cpython-311.pyc": "x"}, {"a": "2"}, {"a": "2"}, {}),
    "a directory with files in the place": (
        {}, {"a/b/c": "x", "a/d": "y"}, {"a": "2"}, {"a": "2"}, {"a": Reason.DIRECTORY_IN_THE_WAY}
    ),
    "a directory with a link in the place": (
        {}, {"a/b": Link("/etc")}, {"a": "2"}, {"a": "2"}, {"a": Reason.DIRECTORY_IN_THE_WAY}
    ),
    "a directory where something goes": ({"a": "1"}, {"a/b": "x"}, {}, {"a/b": "x"}, {}),
    "our directory becomes a file": ({"a/b": "1"}, {"a/b": "1"}, {"a": "2"}, {"a": "2"}, {}),
    "our edited directory becomes a file": ({"a/b": "1"}, {"a/b": "x"}, {"a": "2"}, {"a": "2"}, {"a/b": Reason.EDITED}),
    "our file becomes a directory": ({"a": "1"}, {"a": "1"}, {"a/b": "2"}, {"a/b": "2"}, {}),
    "our edited file becomes a directory": ({"a": "1"}, {"a": "x"}, {"a/b": "2"}, {"a/b": "2"}, {"a": Reason.EDITED}),
    "a stranger's file for a directory": ({}, {"p/a": "x"}, {"p/a/b": "2"}, {"p/a/b": "2"}, {"p/a": Reason.NOT_OURS}),
    "a dangling link for a directory": ({}, {"p": Link("nowhere")}, {"p/a": "2"}, {"p/a": "2"}, {"p": Reason.NOT_OURS}),
    "what is not concerned": ({}, {"x": "1", "p/y": "2"}, {"a": "3"}, {"x": "1", "p/y": "2", "a": "3"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_tree_becomes_the_target_and_nothing_of_anybodys_is_lost(case: str, tmp_path: Path) -> None:
    base, local, target, expected, saved = CASES[case]
    root = tmp_path / "alpha"
    lay_out(root, local)
    rescue = RescueFolder(tmp_path)

    outcomes = apply(root, base, target, rescue)

    assert read_back(root) == expected
    assert saved_in(rescue) == saved
    assert [one for outcome in outcomes for one in outcome.rescued] == list(rescue.saved)
    for one in rescue.saved:
        original = {path: node for path, node in local.items() if path == one.path or path.startswith(f"{one.path}/")}
        found = read_back(one.saved_as.parent)
        assert {f"{one.path.parent}/{path}".lstrip("/"): node for path, node in found.items()} == original


@pytest.mark.parametrize("case", CASES)
def test_doing_it_a_second_time_changes_and_saves_nothing(case: str, tmp_path: Path) -> None:
    base, local, target, expected, _ = CASES[case]
    root = tmp_path / "alpha"
    lay_out(root, local)
    apply(root, base, target, RescueFolder(tmp_path))
    before = marks(root)
    again = RescueFolder(tmp_path)

    outcomes = apply(root, base, target, again)

    assert {outcome.effect for outcome in outcomes} <= {Effect.ALREADY_THERE, Effect.ABSENT}
    assert not again.saved
    assert marks(root) == before
    assert read_back(root) == expected


def test_each_outcome_says_what_was_done(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"gone": "1", "same": "1", "changed": "1"})
    outcomes = apply(
        root, {"gone": "1", "never": "1"}, {"same": "1", "changed": "2", "new": "3"}, rescue := RescueFolder(tmp_path)
    )
    assert outcomes == [
        Outcome(Effect.REMOVED),
        Outcome(Effect.ABSENT),
        Outcome(Effect.WRITTEN, rescue.saved),
        Outcome(Effect.WRITTEN),
        Outcome(Effect.ALREADY_THERE),
    ]


def test_several_things_in_the_way_of_one_file_are_all_reported(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"p": "x"})
    with TreeWriter(root, ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        first = write(writer, "p/q", "1")
        (root / "p" / "q").unlink()
        lay_out(root, {"p/q/deep": "y"})
        second = write(writer, "p/q", "2")
    assert [str(one.path) for one in first.rescued] == ["p"]
    assert [str(one.path) for one in second.rescued] == ["p/q"]
    assert first.rescued[0].saved_as.read_text() == "x"
    assert (second.rescued[0].saved_as / "deep").read_text() == "y"


def test_all_contents_that_we_may_have_written_count_as_ours(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"a": "second"})
    ours = {path: ours_in({"a": "first"})[path] + ours_in({"a": "second"})[path] for path in ours_in({"a": ""})}
    rescue = RescueFolder(tmp_path)
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=rescue) as writer:
        write(writer, "a", "third")
    assert read_back(root) == {"a": "third"}
    assert not rescue.saved


def test_modes_are_what_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        apply(tmp_path / "alpha", {}, {"p/a": "1", "p/b": Program("1")}, RescueFolder(tmp_path))
    finally:
        os.umask(before)
    modes = {place.name: place.stat().st_mode & 0o777 for place in (tmp_path / "alpha").rglob("*")}
    assert modes == {"p": 0o750, "a": 0o640, "b": 0o750}


OLD_SECONDS = [1_000_000_000, 4_000_000_000]


@pytest.mark.parametrize("old_second", OLD_SECONDS, ids=["long ago", "in the future"])
@pytest.mark.parametrize("local", ["1", "x"], ids=["ours", "edited"])
def test_a_rewritten_file_has_a_time_in_a_later_second(old_second: int, local: str, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"a": local})
    os.utime(root / "a", ns=(0, old_second * 10**9 + 999_999_999))

    apply(root, {"a": "1"}, {"a": "2"}, RescueFolder(tmp_path))

    assert int((root / "a").stat().st_mtime) > old_second
    if old_second == max(OLD_SECONDS):
        assert (root / "a").stat().st_mtime_ns == (old_second + 1) * 10**9


def test_each_of_many_rewritings_in_a_row_has_a_later_second(tmp_path: Path) -> None:
    seconds = []
    for count in range(5):
        apply(tmp_path / "alpha", {"a": str(count - 1)}, {"a": str(count)}, RescueFolder(tmp_path))
        seconds.append(int((tmp_path / "alpha" / "a").stat().st_mtime))
    assert seconds == sorted(set(seconds))


def test_a_new_file_has_the_time_at_which_it_was_made(tmp_path: Path) -> None:
    lay_out(tmp_path, {"clock": ""})
    apply(tmp_path / "alpha", {}, {"a": "1"}, RescueFolder(tmp_path))
    lay_out(tmp_path, {"clock2": ""})
    earlier, new, later = ((tmp_path / name).stat().st_mtime_ns for name in ("clock", "alpha/a", "clock2"))
    assert earlier <= new <= later


def test_paths_may_come_in_any_order(tmp_path: Path) -> None:
    target = {"a/b/c": "1", "z": "2", "a/x": "3", "b/b/b": "4", "a/b/d": "5", "0": "6"}
    with TreeWriter(tmp_path / "alpha", ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        for path, content in target.items():
            write(writer, path, content)
    assert read_back(tmp_path / "alpha") == target


def test_a_write_into_a_directory_that_was_emptied_before_makes_it_again(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"p/q/a": "1"})
    ours = ours_in({"p/q/a": "1"})
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(tmp_path)) as writer:
        writer.remove(TreePath("p/q/a"))
        write(writer, "b", "2")
        assert read_back(root) == {"b": "2"}
        write(writer, "p/q/c", "3")
    assert read_back(root) == {"b": "2", "p/q/c": "3"}


def test_the_root_stays_though_it_is_empty(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"a": "1"})
    apply(root, {"a": "1"}, {}, RescueFolder(tmp_path))
    assert read_back(tmp_path) == {"alpha": Folder()}


def test_no_handle_stays_open(tmp_path: Path) -> None:
    before = open_handles()
    root = tmp_path / "alpha"
    lay_out(root, {"p/q/a": "x", "d/e": "y"})
    apply(root, {"p/q/b": "1"}, {"p/q/a": "2", "d": "3", "p/r/s/t": Link("u")}, RescueFolder(tmp_path))

    def write_until_it_fails() -> None:
        with (
            TreeWriter(root, ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer,
            writer.begin(TreePath("p/large"), FileKind.FILE, 10) as large,
        ):
            large.write_at(0, b"12345")
            write(writer, "p/r/s/v", Link(""))

    with pytest.raises(WorktreeError):
        write_until_it_fails()
    assert open_handles() == before
    assert "p/large" not in read_back(root)


def test_a_closed_writer_touches_nothing(tmp_path: Path) -> None:
    with TreeWriter(tmp_path / "alpha", ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        write(writer, "a", "1")
    writer.close()
    # The numbers of its handles are those of another directory by now.
    lay_out(tmp_path / "other", {"a": "1"})
    others = [os.open(tmp_path / "other", os.O_RDONLY) for _ in range(3)]
    for path in ("a", "b", "p/b"):
        with pytest.raises(WorktreeError):
            write(writer, path, "2")
        with pytest.raises(WorktreeError):
            writer.remove(TreePath(path))
    for handle in others:
        os.close(handle)
    assert read_back(tmp_path) == {"alpha/a": "1", "other/a": "1"}


def test_a_link_whose_target_has_a_nul_byte_is_refused(tmp_path: Path) -> None:
    with TreeWriter(tmp_path / "alpha", ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        with pytest.raises(WorktreeError, match="NUL") as caught:
            writer.write(TreePath("a"), FileKind.SYMLINK, b"x\0y", digest_of(b"x\0y"))
        assert caught.value.facts["path"] == str(tmp_path / "alpha" / "a")
    assert read_back(tmp_path) == {"alpha": Folder()}


@pytest.mark.parametrize("there", ["x", Link("elsewhere")], ids=["a file", "a link"])
def test_a_root_that_is_no_directory_is_refused(there: Node, tmp_path: Path) -> None:
    lay_out(tmp_path, {"alpha": there, "elsewhere/inside": "1"})
    with pytest.raises(WorktreeError) as caught:
        TreeWriter(tmp_path / "alpha", ours=lambda _: (), rescue=RescueFolder(tmp_path))
    assert caught.value.kind is ErrorKind.WORKTREE
    assert caught.value.facts["path"] == str(tmp_path / "alpha")
    assert read_back(tmp_path) == {"alpha": there, "elsewhere/inside": "1"}


def test_a_system_without_directory_handles_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("synccore.worktree.directory_chain._CAN_WALK_BY_HANDLES", False)
    with pytest.raises(WorktreeError, match="Linux or macOS"):
        TreeWriter(tmp_path / "alpha", ours=lambda _: (), rescue=RescueFolder(tmp_path))
    assert read_back(tmp_path) == {}
