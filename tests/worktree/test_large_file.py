"""Files that come in pieces."""

from __future__ import annotations

import os
import random
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.errors import IntegrityError, InvalidInputError, WorktreeError
from synccore.manifest import FileKind
from synccore.testing.disk_tree import Folder, lay_out, marks, ours_in, read_back
from synccore.treepath import TreePath
from synccore.worktree.fresh_tree import FreshTree
from synccore.worktree.outcome import Effect, Outcome
from synccore.worktree.rescue import Reason, RescueFolder
from synccore.worktree.tree_writer import TreeWriter

A = TreePath("p/a")


@contextmanager
def writing(home: Path) -> Iterator[tuple[TreeWriter, RescueFolder]]:
    """Have a writer of the tree ``alpha``, where we wrote ``p/a`` as "1"."""
    ours = ours_in({A: "1"})
    rescue = RescueFolder(home)
    with TreeWriter(home / "alpha", ours=lambda path: ours.get(path, ()), rescue=rescue) as writer:
        yield writer, rescue


@contextmanager
def beginning(home: Path, *, fresh: bool) -> Iterator[TreeWriter | FreshTree]:
    """Have what begins large files of ``alpha``: of the tree as above, or of a fresh one."""
    if fresh:
        with FreshTree(home / "alpha") as tree:
            yield tree
    else:
        with writing(home) as (writer, _):
            yield writer


@pytest.mark.parametrize("fresh", [False, True], ids=["ordinary", "fresh"])
def test_pieces_from_several_threads_make_the_file(fresh: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a table's column
    data = random.Random(1).randbytes(3_000_001)
    starts = list(range(0, len(data), 100_000))
    random.Random(2).shuffle(starts)
    with beginning(tmp_path, fresh=fresh) as writer:
        large = writer.begin(A, FileKind.EXECUTABLE, len(data))

        def work(mine: list[int]) -> None:
            for start in mine:
                large.write_at(start, memoryview(data)[start : start + 100_000])

        threads = [threading.Thread(target=work, args=(starts[number::4],)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcome = large.finish(digest_of(data))
    assert outcome == Outcome(Effect.WRITTEN)
    assert (tmp_path / "alpha" / A).read_bytes() == data
    assert (tmp_path / "alpha" / A).stat().st_mode & 0o100
    assert len(list((tmp_path / "alpha").rglob("*"))) == 2


def test_small_files_may_be_written_meanwhile(tmp_path: Path) -> None:
    with writing(tmp_path) as (writer, _):
        large = writer.begin(A, FileKind.FILE, 3)
        writer.write(TreePath("b"), FileKind.FILE, b"2", digest_of(b"2"))
        large.write_at(0, b"one")
        assert "p/a" not in read_back(tmp_path / "alpha")
        large.finish(digest_of(b"one"))
        assert read_back(tmp_path / "alpha") == {"p/a": "one", "b": "2"}


def test_its_directory_survives_the_removal_of_everything_else_in_it(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"p/a": "1"})
    with writing(tmp_path) as (writer, _):
        large = writer.begin(TreePath("p/new"), FileKind.FILE, 3)
        writer.remove(A)
        writer.write(TreePath("b"), FileKind.FILE, b"2", digest_of(b"2"))
        large.write_at(0, b"one")
        large.finish(digest_of(b"one"))
    assert read_back(tmp_path / "alpha") == {"p/new": "one", "b": "2"}


def test_an_empty_file_needs_no_piece(tmp_path: Path) -> None:
    with writing(tmp_path) as (writer, _):
        writer.begin(A, FileKind.FILE, 0).finish(digest_of(b""))
    assert read_back(tmp_path / "alpha") == {"p/a": ""}


def test_it_replaces_ours_in_a_later_second_and_saves_an_edit(tmp_path: Path) -> None:
    for local, saved in (("1", []), ("x", [Reason.EDITED])):
        place = tmp_path / "alpha" / A
        lay_out(tmp_path / "alpha", {A: local})
        before = place.stat()
        with writing(tmp_path) as (writer, rescue):
            large = writer.begin(A, FileKind.FILE, 3)
            large.write_at(0, b"one")
            outcome = large.finish(digest_of(b"one"))
        assert place.read_text() == "one"
        assert int(place.stat().st_mtime) > int(before.st_mtime)
        assert [one.reason for one in outcome.rescued] == saved
        assert outcome.rescued == rescue.saved


def test_what_stood_in_the_way_of_its_directory_is_in_its_outcome(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"p": "x"})
    with writing(tmp_path) as (writer, _):
        large = writer.begin(A, FileKind.FILE, 3)
        large.write_at(0, b"one")
        outcome = large.finish(digest_of(b"one"))
    assert [str(one.path) for one in outcome.rescued] == ["p"]


def test_a_file_that_is_there_already_is_not_touched(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {A: "one"})
    before = marks(tmp_path / "alpha")
    with writing(tmp_path) as (writer, _):
        large = writer.begin(A, FileKind.FILE, 3)
        large.write_at(0, b"one")
        assert large.finish(digest_of(b"one")) == Outcome(Effect.ALREADY_THERE)
    after = marks(tmp_path / "alpha")
    assert after[A] == before[A]
    assert read_back(tmp_path / "alpha") == {A: "one"}


@pytest.mark.parametrize("data", [b"onf", b"on", b""], ids=["flipped", "short", "nothing"])
@pytest.mark.parametrize("fresh", [False, True], ids=["ordinary", "fresh"])
def test_other_bytes_than_announced_change_nothing(fresh: bool, data: bytes, tmp_path: Path) -> None:  # noqa: FBT001 - as above
    if not fresh:
        lay_out(tmp_path / "alpha", {A: "1"})
    with beginning(tmp_path, fresh=fresh) as writer:
        large = writer.begin(A, FileKind.FILE, 3)
        large.write_at(0, data)
        with pytest.raises(IntegrityError, match="expected SHA-256") as caught:
            large.finish(digest_of(b"one"))
        assert caught.value.facts["path"] == str(tmp_path / "alpha" / A)
        with pytest.raises(InvalidInputError):
            large.finish(digest_of(b"one"))
    assert read_back(tmp_path / "alpha") == ({"p": Folder()} if fresh else {A: "1"})
    assert not (tmp_path / ".rescued").exists()


@pytest.mark.parametrize(("offset", "data"), [(-1, b"x"), (3, b"x"), (0, b"four"), (2, b"xy")])
def test_a_piece_that_lies_outside_is_refused(offset: int, data: bytes, tmp_path: Path) -> None:
    with writing(tmp_path) as (writer, _), writer.begin(A, FileKind.FILE, 3) as large:
        with pytest.raises(InvalidInputError, match="was to have 3 bytes"):
            large.write_at(offset, data)
        large.write_at(0, b"one")
        large.finish(digest_of(b"one"))
    assert read_back(tmp_path / "alpha") == {A: "one"}


def test_given_up_it_leaves_nothing_and_takes_nothing_more(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {A: "1"})
    with writing(tmp_path) as (writer, _):
        with writer.begin(A, FileKind.FILE, 3) as large:
            large.write_at(0, b"one")
        large.abandon()
        for late in (lambda: large.write_at(0, b"x"), lambda: large.finish(digest_of(b"one"))):
            with pytest.raises(InvalidInputError, match="finished or abandoned"):
                late()
        assert read_back(tmp_path / "alpha") == {A: "1"}


def test_what_is_unfinished_when_the_writer_closes_is_given_up(tmp_path: Path) -> None:
    with writing(tmp_path) as (writer, _):
        large = writer.begin(A, FileKind.FILE, 3)
        large.write_at(0, b"one")
    assert read_back(tmp_path / "alpha") == {"p": Folder()}
    with pytest.raises(InvalidInputError, match="finished or abandoned"):
        large.finish(digest_of(b"one"))


def test_given_up_during_a_write_it_keeps_its_handle_until_that_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = os.pwrite
    seen: list[str] = []

    def give_up_and_write(handle: int, data: bytes, offset: int) -> int:
        large.abandon()
        with (tmp_path / "other").open("w"):
            written = real(handle, data, offset)
        seen.append((tmp_path / "other").read_text())
        return written

    with writing(tmp_path) as (writer, _):
        large = writer.begin(A, FileKind.FILE, 3)
        monkeypatch.setattr(os, "pwrite", give_up_and_write)
        large.write_at(0, b"one")
    assert seen == [""]


def test_a_link_does_not_come_in_pieces(tmp_path: Path) -> None:
    with writing(tmp_path) as (writer, _), pytest.raises(InvalidInputError):
        writer.begin(A, FileKind.SYMLINK, 3)


def test_no_room_is_known_before_the_first_byte_comes(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    lay_out(tmp_path / "alpha", {A: "1"})
    with writing(tmp_path) as (writer, _):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(WorktreeError, match="ulimit -f") as caught:
                writer.begin(A, FileKind.FILE, 100_001)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.facts["path"] == str(tmp_path / "alpha" / A)
    assert read_back(tmp_path / "alpha") == {A: "1"}
