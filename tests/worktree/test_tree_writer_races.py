"""Edits that fall between the writer's look and its act."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from synccore.errors import ErrorKind, WorktreeError
from synccore.testing.disk_tree import (
    Content,
    Folder,
    Link,
    Node,
    Pipe,
    Program,
    apply,
    lay_out,
    make_node,
    ours_in,
    read_back,
    write,
)
from synccore.treepath import TreePath
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter

Interrupt = Callable[[str, Callable[[], None]], None]


@pytest.fixture
def just_before(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Have something happen once, just before the first call of a function of `os`."""

    def arrange(name: str, happen: Callable[[], None]) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(os, name, real)
            happen()
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    return arrange


def settle(root: Path, tree: Mapping[str, Node]) -> None:
    """Make *tree*, and wait for the next tick of the file system's clock.

    A new file often has the number of the one just removed, and within a tick its times as well.
    """
    lay_out(root, tree)
    clock = root.with_name("clock")
    clock.write_text("")
    start = clock.stat().st_ctime_ns
    while clock.stat().st_ctime_ns == start:
        clock.write_text("")


def put(place: Path, node: Node) -> None:
    """Put *node* at *place* as an editor does, in the place of what is there."""
    if place.is_dir() and not place.is_symlink():
        place.rmdir()
    else:
        place.unlink(missing_ok=True)
    make_node(place, node)


# What is there when the writer looks (we wrote "1"), and what somebody puts there before the new content is written.
MOMENTS: dict[str, tuple[Node | None, Node]] = {
    "ours is edited": ("1", "x"),
    "ours gets the size of its successor": ("1", "3"),
    "ours becomes a program": ("1", Program("1")),
    "ours becomes a link": ("1", Link("x")),
    "ours becomes an empty directory": ("1", Folder()),
    "a file comes": (None, "x"),
    "a link comes": (None, Link("x")),
    "an edit is edited": ("x", "y"),
    "an edit is undone": ("x", "1"),
    "what we write is written by somebody": ("1", "2"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_edit_after_the_look_is_saved(moment: str, just_before: Interrupt, tmp_path: Path) -> None:
    seen, then = MOMENTS[moment]
    root = tmp_path / "alpha"
    settle(root, {} if seen is None else {"a": seen})
    just_before("write", lambda: put(root / "a", then))
    rescue = RescueFolder(tmp_path)

    apply(root, {"a": "1"}, {"a": "2"}, rescue)

    assert read_back(root) == {"a": "2"}
    if isinstance(then, Folder) or (then in {"1", "2"} and seen != "x"):
        assert not rescue.saved
    else:
        (saved,) = rescue.saved
        assert read_back(saved.saved_as.parent) == {"a": then}


def test_an_edit_that_keeps_size_inode_and_time_is_saved(just_before: Interrupt, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    settle(root, {"a": "1"})
    before = (root / "a").stat()

    def edit() -> None:
        (root / "a").write_text("x")
        os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))

    just_before("write", edit)
    rescue = RescueFolder(tmp_path)
    apply(root, {"a": "1"}, {"a": "2"}, rescue)
    assert read_back(root) == {"a": "2"}
    assert rescue.saved[0].saved_as.read_text() == "x"


def test_an_edit_that_goes_before_it_can_be_saved_is_no_obstacle(just_before: Interrupt, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    settle(root, {"a": "x"})
    just_before("rename", (root / "a").unlink)
    rescue = RescueFolder(tmp_path)
    apply(root, {"a": "1"}, {"a": "2"}, rescue)
    assert read_back(root) == {"a": "2"}
    assert rescue.saved == ()


@pytest.mark.parametrize("then", [None, Link("x"), Folder(), Pipe()], ids=str)
def test_what_is_exchanged_between_look_and_reading_is_judged_anew(
    then: Node | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "alpha"
    settle(root, {"a": "1"})
    real = os.open

    def exchange_and_open(path: Any, flags: int, *rest: Any, **how: Any) -> int:
        if path == b"a" and not flags & os.O_CREAT and (root / "a").is_file():
            (root / "a").unlink()
            if then is not None:
                make_node(root / "a", then)
        return real(path, flags, *rest, **how)

    monkeypatch.setattr(os, "open", exchange_and_open)
    rescue = RescueFolder(tmp_path)
    apply(root, {"a": "1"}, {"a": "2"}, rescue)
    assert read_back(root) == {"a": "2"}
    assert [read_back(one.saved_as.parent) for one in rescue.saved] == ([] if then is None else [{"a": then}])


def test_what_may_not_be_read_is_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    settle(root, {"a": "1"})
    real = os.open

    def open_unless_a(path: Any, flags: int, *rest: Any, **how: Any) -> int:
        if path == b"a":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, flags, *rest, **how)

    monkeypatch.setattr(os, "open", open_unless_a)
    rescue = RescueFolder(tmp_path)
    apply(root, {"a": "1"}, {"a": "2"}, rescue)
    monkeypatch.undo()
    assert read_back(root) == {"a": "2"}
    assert rescue.saved[0].saved_as.read_text() == "1"


def test_a_directory_with_work_in_it_that_comes_after_the_look_is_saved(just_before: Interrupt, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    root.mkdir()
    just_before("write", lambda: lay_out(root, {"a/b": "x"}))
    rescue = RescueFolder(tmp_path)
    apply(root, {}, {"a": "2"}, rescue)
    assert read_back(root) == {"a": "2"}
    assert read_back(rescue.saved[0].saved_as) == {"b": "x"}


def test_an_edit_before_a_removal_is_saved(just_before: Interrupt, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    settle(root, {"a": "1"})
    just_before("read", lambda: put(root / "a", "x"))
    rescue = RescueFolder(tmp_path)
    apply(root, {"a": "1"}, {}, rescue)
    assert read_back(root) == {}
    assert rescue.saved[0].saved_as.read_text() == "x"


def test_a_file_that_comes_into_a_directory_before_it_is_removed_keeps_it(
    just_before: Interrupt, tmp_path: Path
) -> None:
    root = tmp_path / "alpha"
    settle(root, {"p/a": "1"})
    just_before("rmdir", lambda: make_node(root / "p" / "b", "x"))
    apply(root, {"p/a": "1"}, {}, RescueFolder(tmp_path))
    assert read_back(root) == {"p/b": "x"}


def test_a_file_that_comes_into_a_hollow_directory_in_the_way_is_saved(just_before: Interrupt, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    settle(root, {"a/b": Folder()})
    just_before("rmdir", lambda: make_node(root / "a" / "b" / "c", "x"))
    rescue = RescueFolder(tmp_path)
    apply(root, {}, {"a": "2"}, rescue)
    assert read_back(root) == {"a": "2"}
    assert read_back(rescue.saved[0].saved_as) == {"b/c": "x"}


def test_a_directory_that_somebody_makes_first_is_used(just_before: Interrupt, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    root.mkdir()
    just_before("mkdir", lambda: None)
    with TreeWriter(root, ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        just_before("mkdir", lambda: lay_out(root, {"p/x": "1"}))
        write(writer, "p/a", "2")
    assert read_back(root) == {"p/x": "1", "p/a": "2"}


def test_what_never_holds_still_is_given_up_untouched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    settle(root, {"a": "1"})
    ours = ours_in({"a": "1"})
    real, times = os.stat, iter(range(1, 1000))

    def touch_and_stat(*args: Any, **kwargs: Any) -> os.stat_result:
        os.utime(root / "a", (0, next(times)))
        return real(*args, **kwargs)

    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(tmp_path)) as writer:
        monkeypatch.setattr(os, "stat", touch_and_stat)
        with pytest.raises(WorktreeError) as writing:
            write(writer, "a", "2")
        with pytest.raises(WorktreeError) as removing:
            writer.remove(TreePath("a"))
        monkeypatch.undo()
    assert {writing.value.kind, removing.value.kind} == {ErrorKind.UNSTABLE_FILE}
    assert read_back(root) == {"a": "1"}


CALLS = ["open", "write", "close", "stat", "rename", "link", "unlink", "symlink", "utime", "read"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("new", ["2", Link("b")], ids=["file", "link"])
@pytest.mark.parametrize("local", [None, "1", "x"], ids=["absent", "ours", "edited"])
def test_an_interrupt_leaves_the_old_or_the_new_and_no_temporary_file(
    *,
    call: str,
    new: Content,
    local: str | None,
    just_before: Interrupt,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    root = tmp_path / "alpha"
    settle(root, {} if local is None else {"a": local})
    ours = ours_in({"a": "1"})
    rescue = RescueFolder(tmp_path)
    was_interrupted = False
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=rescue) as writer:
        just_before(call, interrupt)
        try:
            write(writer, "a", new)
        except KeyboardInterrupt:
            was_interrupted = True
        monkeypatch.undo()

    now = read_back(root)
    assert now in ([{}] if local != "1" else []) + [{"a": local}, {"a": new}]
    assert was_interrupted or now == {"a": new}
    if local == "x" and now != {"a": "x"}:
        assert rescue.saved[0].saved_as.read_text() == "x"


def without_hard_links(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("then", [None, "x"], ids=["free", "taken meanwhile"])
def test_a_file_system_without_hard_links_will_do(
    then: str | None, just_before: Interrupt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tmp_path / "alpha"
    root.mkdir()
    just_before("write", lambda: None if then is None else make_node(root / "a", then))
    monkeypatch.setattr(os, "link", without_hard_links)
    rescue = RescueFolder(tmp_path)
    apply(root, {}, {"a": "2"}, rescue)
    assert read_back(root) == {"a": "2"}
    assert [one.saved_as.read_text() for one in rescue.saved] == ([] if then is None else [then])
