"""Moving between file systems, which a rename refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synccore.rescued import list_saved, restore
from synccore.testing.disk_tree import Content, Folder, Link, Node, Pipe, Program, apply, lay_out, read_back
from synccore.worktree.directory_chain import OPEN_DIRECTORY
from synccore.worktree.relocation import relocate
from synccore.worktree.rescue import RescueFolder

TREES: dict[str, dict[str, Node]] = {
    "a file": {"a": "1"},
    "a program": {"a": Program("1")},
    "a link": {"a": Link("/nowhere")},
    "a large file": {"a": "0123456789" * 250_000},
    "an empty directory": {"a": Folder()},
    "a directory": {"a/b/c": "1", "a/b/d": Program("2"), "a/e": Link("b"), "a/f": Folder()},
}


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every rename between two directories fail as between two file systems."""
    real = os.rename

    def rename(old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        if src_dir_fd != dst_dir_fd:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", rename)


@pytest.fixture
def handles(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Give the open directories ``here`` and ``there``."""
    opened = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        opened.append(os.open(tmp_path / name, OPEN_DIRECTORY))
    yield opened[0], opened[1]
    for handle in opened:
        os.close(handle)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("tree", TREES)
def test_everything_arrives_and_nothing_stays(tree: str, handles: tuple[int, int], tmp_path: Path) -> None:
    lay_out(tmp_path / "here", TREES[tree])
    is_file = (tmp_path / "here" / "a").is_file()
    if is_file:
        os.utime(tmp_path / "here" / "a", (1, 2))
    relocate(handles[0], b"a", handles[1], b"a")
    assert read_back(tmp_path / "there") == TREES[tree]
    assert read_back(tmp_path / "here") == {}
    if is_file:
        assert (tmp_path / "there" / "a").stat().st_mtime == 2


@pytest.mark.usefixtures("apart")
def test_what_cannot_be_copied_stays(handles: tuple[int, int], tmp_path: Path) -> None:
    lay_out(tmp_path / "here", {"a/pipe": Pipe()})
    with pytest.raises(OSError, match="cannot be moved to another file system"):
        relocate(handles[0], b"a", handles[1], b"a")
    assert read_back(tmp_path / "here") == {"a/pipe": Pipe()}


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("call", ["fsync", "close"])
def test_a_file_that_changes_while_it_is_copied_stays(
    call: str, handles: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lay_out(tmp_path / "here", {"a": "1"})
    real = getattr(os, call)

    def edit_and_go_on(handle: int) -> None:
        (tmp_path / "here" / "a").write_text("22")
        real(handle)

    monkeypatch.setattr(os, call, edit_and_go_on)
    with pytest.raises(OSError, match="changes while"):
        relocate(handles[0], b"a", handles[1], b"a")
    monkeypatch.undo()
    assert read_back(tmp_path / "here") == {"a": "22"}
    assert read_back(tmp_path / "there") == {}


@pytest.mark.usefixtures("apart")
def test_an_edit_is_saved_on_another_file_system_too(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"a": "x", "d/e": "y"})
    rescue = RescueFolder(tmp_path)
    apply(tmp_path / "alpha", {"a": "1"}, {"a": "2", "d": "3"}, rescue)
    assert read_back(tmp_path / "alpha") == {"a": "2", "d": "3"}
    assert read_back(rescue.saved[0].saved_as.parent) == {"a": "x", "d/e": "y"}


@pytest.mark.usefixtures("apart")
def test_a_link_that_changes_while_it_is_copied_stays(
    handles: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lay_out(tmp_path / "here", {"a": Link("1")})
    real = os.symlink

    def copy_and_edit(*args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(os, "symlink", real)
        real(*args, **kwargs)
        (tmp_path / "here" / "a").unlink()
        lay_out(tmp_path / "here", {"a": Link("22")})

    monkeypatch.setattr(os, "symlink", copy_and_edit)
    with pytest.raises(OSError, match="changes while"):
        relocate(handles[0], b"a", handles[1], b"a")
    assert read_back(tmp_path / "here") == {"a": Link("22")}
    assert read_back(tmp_path / "there") == {}


@pytest.mark.usefixtures("apart")
def test_an_edit_comes_back_from_another_file_system_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"a": "x", "l": Link("y"), "d/e": "z"})
    target: dict[str, Content] = {"a": "1", "d": "2", "l": "3"}
    apply(tmp_path / "alpha", {}, target, RescueFolder(tmp_path))
    real = os.link

    def link(name: bytes, new_name: bytes, **kwargs: Any) -> None:
        if not name.startswith(b".synccode-tmp-"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        real(name, new_name, **kwargs)

    monkeypatch.setattr(os, "link", link)
    restore(tmp_path, list_saved(tmp_path))
    assert read_back(tmp_path / "alpha") == {"a": "x", "l": Link("y"), "d/e": "z"}
    saved = {
        edit.name: read_back(edit.rescued.saved_as.parent)[edit.rescued.path.name] for edit in list_saved(tmp_path)
    }
    assert saved == {f"alpha/{path}": node for path, node in target.items()}
