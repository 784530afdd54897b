"""What the disk refuses is said with its path and its remedy."""

from __future__ import annotations

import errno
import itertools
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.errors import ErrorKind, WorktreeError
from synccore.manifest import FileKind
from synccore.testing.disk_tree import Content, Folder, Pipe, apply, lay_out, ours_in, read_back, write
from synccore.treepath import TreePath
from synccore.worktree.disk_error import worktree_error
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "quota",
    errno.EROFS: "read-only",
    errno.EACCES: "check who owns it",
    errno.EPERM: "immutable",
    errno.EMFILE: "ulimit -n",
    errno.ENFILE: "machine",
    errno.ENAMETOOLONG: "shorten",
    errno.ENOTDIR: "move it away",
    errno.ENOENT: "run this again",
    errno.EIO: "fault",
}


@pytest.mark.parametrize("number", REMEDIES, ids=errno.errorcode.get)
def test_each_refusal_names_path_cause_and_remedy(number: int) -> None:
    error = worktree_error(OSError(number, os.strerror(number)), Path("/home/x/a"), "write")
    assert error.kind is ErrorKind.WORKTREE
    assert error.facts == {"path": "/home/x/a", "errno": number}
    assert error.message.startswith(f"cannot write /home/x/a: {os.strerror(number)}; ")
    assert REMEDIES[number] in error.message


def test_a_refusal_without_a_remedy_is_said_all_the_same() -> None:
    assert worktree_error(OSError(errno.EBUSY, "busy"), "a", "write").message == "cannot write a: busy"


@contextmanager
def limit(what: int, soft: int) -> Iterator[None]:
    """Have a soft limit of this process be *soft*; it binds root as well."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


@pytest.mark.parametrize("local", [None, "1", "x"], ids=["absent", "ours", "edited"])
def test_a_file_that_does_not_fit_leaves_what_was_there(local: str | None, tmp_path: Path) -> None:
    """The kernel takes a first part of the data and refuses the rest, as on a full disk."""
    root = tmp_path / "alpha"
    lay_out(root, {} if local is None else {"p/a": local})
    before = read_back(root)
    data = b"x" * 200_000
    with TreeWriter(root, ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        with limit(resource.RLIMIT_FSIZE, 100_000), pytest.raises(WorktreeError, match="ulimit -f") as caught:
            writer.write(TreePath("p/a"), FileKind.FILE, data, digest_of(data))
        assert caught.value.facts == {"path": str(root / "p" / "a"), "errno": errno.EFBIG}
    assert read_back(root) == (before or {"p": Folder()})
    assert read_back(tmp_path) == {f"alpha/{path}": node for path, node in (before or {"p": Folder()}).items()}


@pytest.mark.parametrize(
    "call", ["open", "write", "close", "link", "rename", "mkdir", "unlink", "rmdir", "stat", "utime"]
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
def test_whatever_call_fails_the_error_is_ours_and_a_second_run_completes_the_work(
    call: str, number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real: Callable[..., object] = getattr(os, call)
    base: dict[str, Content] = {"p/gone": "1", "q/a": "1", "ours": "1"}
    target: dict[str, Content] = {"new/b": "2", "q/a": "2", "ours": "2"}
    for turn in itertools.count(1):
        home = tmp_path / str(turn)
        root = home / "alpha"
        lay_out(root, {"p/gone": "1", "q/a": "x", "ours": "1"})
        calls = 0

        def fail_at_its_turn(*args: object, turn: int = turn, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls != turn:
                return real(*args, **kwargs)
            if call == "close":
                real(*args, **kwargs)
            raise OSError(number, os.strerror(number))

        error = None
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail_at_its_turn)
            try:
                apply(root, base, target, RescueFolder(home))
            except WorktreeError as raised:
                error = raised
        assert error is None or str(home) in str(error.facts["path"])
        assert read_back(root).get("q/a") == "x" or "x" in saved_texts(home)
        assert call == "unlink" or not [path for path in read_back(root) if ".synccode-tmp" in path]

        apply(root, base, target, RescueFolder(home))
        now = read_back(root)
        assert {path: now[path] for path in target} == target
        assert saved_texts(home).count("x") == 1
        if calls < turn:
            assert turn > 1
            return


def saved_texts(home: Path) -> list[object]:
    return list(read_back(home / ".rescued").values()) if (home / ".rescued").exists() else []


def test_too_many_open_files_is_said_and_nothing_is_half_done(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"a": "1"})
    ours = ours_in({"a": "1"})
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(tmp_path)) as writer:
        lowest_free = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest_free)
        with limit(resource.RLIMIT_NOFILE, lowest_free + 3), pytest.raises(WorktreeError, match="ulimit -n"):
            write(writer, "/".join("abcdefghijklmnop") + "/x", "2")
        write(writer, "b", "2")
    assert read_back(root)["b"] == "2"


def test_an_edit_that_cannot_be_saved_is_not_overwritten(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(tmp_path, {"alpha/a": "x", "alpha/p": Pipe(), ".rescued": "in the way"})
    for target in ({"a": "2"}, {"p/b": "2"}):
        with pytest.raises(WorktreeError) as caught:
            apply(root, {"a": "1"}, target, RescueFolder(tmp_path))
        assert caught.value.facts["path"] == str(tmp_path / ".rescued")
    with pytest.raises(WorktreeError):
        apply(root, {"a": "1"}, {}, RescueFolder(tmp_path))
    assert read_back(root) == {"a": "x", "p": Pipe()}
