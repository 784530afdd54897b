"""Reading files that somebody is writing, and the fingerprints that may be believed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.manifest import FileKind
from synccore.treepath import TreePath
from synccore.worktree import scan, status_rows
from synccore.worktree.scan import Content, Unread, UnstableFileError, read_content
from synccore.worktree.statcache import Fingerprint, fingerprint

Meddle = Callable[[int], None]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "busy.log"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def between_reads(monkeypatch: pytest.MonkeyPatch) -> list[Meddle]:
    """Let somebody meddle after each read that the system makes for us; the number of the read is told."""
    meddlers: list[Meddle] = []
    reads = iter(range(1000))
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        for meddle in meddlers:
            meddle(next(reads))
        return data

    monkeypatch.setattr(scan.os, "read", read)
    return meddlers


def content(path: Path) -> Content:
    return read_content(f"{path.parent}/", Unread(TreePath(path.name), FileKind.FILE, fingerprint(os.lstat(path))))


def test_a_file_that_changes_once_while_it_is_read_is_read_again(file: Path, between_reads: list[Meddle]) -> None:
    between_reads.append(lambda number: file.write_bytes(b"two") and None if number == 0 else None)
    found = content(file)
    assert (found.data, found.entry.digest) == (b"two", digest_of(b"two"))


def test_a_file_that_changes_at_every_read_is_given_up(file: Path, between_reads: list[Meddle]) -> None:
    between_reads.append(lambda number: file.write_bytes(b"%d" % number) and None)
    with pytest.raises(UnstableFileError):
        content(file)


def test_a_change_that_leaves_no_trace_in_the_times_is_seen(file: Path, between_reads: list[Meddle]) -> None:
    """Within one tick of the kernel's clock a second write of the same size changes no time stamp."""
    status = file.stat()

    def rewrite(number: int) -> None:
        with file.open("r+b", buffering=0) as handle:
            handle.write(b"%03d" % number)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    between_reads.append(rewrite)
    with pytest.raises(UnstableFileError):
        content(file)


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "is_racy"),
    [
        (1_000_000_001, 1_000_000_001, False),
        (5_000_000_001, 1_000_000_001, True),
        (1_000_000_001, 5_000_000_001, True),
        (4_950_000_001, 1_000_000_001, True),
        (4_000_000_000, 1_000_000_001, True),  # whole seconds: a file system that keeps no more
        (2_000_000_000, 1_000_000_001, False),
        (9_000_000_001, 1_000_000_001, True),  # of the future
    ],
)
def test_an_entry_about_as_new_as_its_reading_is_racy(mtime_ns: int, ctime_ns: int, is_racy: bool) -> None:  # noqa: FBT001
    found = Fingerprint(mode=0, size_bytes=0, mtime_ns=mtime_ns, ctime_ns=ctime_ns, inode=0)
    assert found.is_racy(5_000_000_001) is is_racy


def test_a_change_is_told_with_its_part_as_soon_as_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_rows, "PART", 2)
    names = [f"{number}" for number in range(9)]
    for name in names:
        (tmp_path / name).write_text("1")
    looked_at: list[str] = []
    lstat = os.lstat
    monkeypatch.setattr(scan.os, "lstat", lambda path, **at: looked_at.append(path) or lstat(path, **at))
    before = scan.statuses(tmp_path, names)
    told: list[tuple[int, list[int]]] = []

    def note(now: scan.Fingerprints, was: scan.Fingerprints) -> None:
        told.append((len(looked_at), was.differing(now)))

    looked_at.clear()
    assert scan.statuses(tmp_path, names, before, note) == before
    assert told == []
    (tmp_path / "3").write_text("22")
    (tmp_path / "8").unlink()
    looked_at.clear()
    now = scan.statuses(tmp_path, names, before, note)
    assert told == [(3, [2]), (7, [1])]  # the last part is looked at first, and has three
    assert before.differing(now) == [3, 8]
    assert now[8] == scan.NOTHING


def test_statuses_are_the_same_where_the_system_knows_no_open_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("1")
    expected = scan.statuses(tmp_path, ["a", "b", "gone"])
    monkeypatch.setattr(scan.os, "supports_dir_fd", set())
    assert scan.statuses(tmp_path, ["a", "b", "gone"]) == expected
    assert expected[0] == fingerprint((tmp_path / "a").lstat())


def test_what_is_below_a_directory_that_has_gone_is_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a/b/1", "a/b/2", "a/c/1", "a/c/2", "ab/1", "d/e/1", "d/f/1", "d/f/2"]
    for name in ("ab/1", "d/f/2"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("1")
    looked_at: list[str] = []
    lstat = os.lstat
    monkeypatch.setattr(scan.os, "lstat", lambda path, **at: looked_at.append(path) or lstat(path, **at))
    found = scan.statuses(tmp_path, names)
    assert looked_at == ["a/b/1", "a/b", "a", "ab/1", "d/e/1", "d/e", "d", "d/f/1", "d/f", "d/f/2"]
    assert [number for number in range(len(names)) if found[number] != scan.NOTHING] == [4, 7]


def test_what_cannot_be_looked_at_is_not_taken_for_gone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    found = scan.statuses(tmp_path, ["a/b", "gone", "x" * 300])
    assert found[0] == found[2] != found[1] == scan.NOTHING
    assert found[0].mode == 0
