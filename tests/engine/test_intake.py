"""Reading a tree for the first time: whatever stands there, from memory or from a slow disk."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synccore import wire
from synccore.backends.base import Version
from synccore.backends.memory import MemoryBackend
from synccore.beside import Beside
from synccore.bundle import open_block, pack_block
from synccore.digest import Digest, digest_of
from synccore.intake import Intake, take_in
from synccore.keys import Key
from synccore.manifest import FileKind, digests_of
from synccore.outlet import Outlet
from synccore.problem import ProblemKind
from synccore.reading import Claims
from synccore.reading_processes import ReadingProcesses
from synccore.repository import ObjectWriter
from synccore.testing.trees import NodeTree, entries, executable, lay, link, noise
from synccore.treepath import TreePath
from synccore.worktree.scan import Unread
from synccore.worktree.statcache import fingerprint

SMALL: NodeTree = {f"d{number % 7}/{number:03}.py": b"x = %d\n" % number * (number % 40) for number in range(300)}
TREE: NodeTree = {**SMALL, "a": link("d0/000.py"), "large": noise(3_000_000), "run": executable("run"), "z": b""}


def unread(paths: Iterable[str]) -> list[Unread]:
    return [Unread(TreePath(path), None, None) for path in sorted(paths)]


def read_all(
    root: Path,
    paths: Iterable[str],
    processes: Callable[[], ReadingProcesses] | None = None,
    known: frozenset[Digest] = frozenset(),
) -> tuple[Intake, int]:
    """Take in *paths* of *root*, at which nobody has looked, and return what was found and how much was packed."""
    intake = Intake()
    claims = Claims(known.__contains__, lambda: known)
    blocks = list(take_in(root, unread(paths), claims, intake, processes))
    packed = sum(block.plain_bytes for block in blocks)
    # What two have packed in the same instant is stored twice, which is harmless.
    twice = [chunk for block in blocks for chunk in block.chunks]
    return intake, packed - sum(chunk.size_bytes for chunk in twice) + sum(chunk.size_bytes for chunk in set(twice))


Reading = Callable[[Iterable[str]], tuple[Intake, int]]


@pytest.fixture
def three_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two processes help with trees as small as ours."""
    monkeypatch.setattr("synccore.intake.FILES_FOR_PROCESSES", 10)
    monkeypatch.setattr("synccore.reading_processes._processors", lambda: 3)


@pytest.fixture
def processes(three_processors: None) -> Iterator[ReadingProcesses]:
    with ReadingProcesses() as processes:
        yield processes


@pytest.fixture(params=["from memory", "from a disk", "by several processes"])
def reading(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    if request.param == "from a disk":
        waits = itertools.count(step=10_000)
        monkeypatch.setattr("synccore.intake._waits", lambda: next(waits))
    if request.param == "by several processes":
        processes = request.getfixturevalue("processes")
        return lambda paths: read_all(tmp_path, paths, lambda: processes)
    return lambda paths: read_all(tmp_path, paths)


def found(intake: Intake) -> list[tuple[str, FileKind, Digest]]:
    """Return what was read, which is to be all of `TREE` and each once, in path order."""
    return sorted((item.path, item.entry.kind, item.entry.digest) for item in intake.read)


def expected() -> list[tuple[str, FileKind, Digest]]:
    return sorted((path, entry.kind, entry.digest) for path, entry in entries(TREE).items())


def content_bytes() -> int:
    return sum({entry.digest: entry.size_bytes for entry in entries(TREE).values()}.values())


def test_everything_is_read_and_packed_once(tmp_path: Path, reading: Reading) -> None:
    lay(tmp_path, TREE)
    intake, packed_bytes = reading(TREE)
    assert intake.problems == []
    assert found(intake) == expected()
    assert packed_bytes == content_bytes()
    for item in intake.read:
        assert item.found == fingerprint(os.lstat(tmp_path / item.path))


@pytest.mark.vm
def test_what_is_gone_is_passed_over_and_what_is_no_file_is_named(tmp_path: Path, reading: Reading) -> None:
    lay(tmp_path, TREE)
    (tmp_path / "run").unlink()
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    intake, _ = reading([*TREE, "pipe", "socket", "d1", "gone/away"])
    assert [(item.path, item.kind) for item in intake.problems] == [
        ("pipe", ProblemKind.SPECIAL_FILE),
        ("socket", ProblemKind.SPECIAL_FILE),
    ]
    assert {item.path for item in intake.read} == TREE.keys() - {"run"}


def test_a_disk_that_does_not_know_modes_leaves_the_kind_to_its_caller(tmp_path: Path) -> None:
    lay(tmp_path, {"a": "1", "b": executable("2"), "c": link("a")})
    told = [Unread(TreePath(path), FileKind.FILE, None) for path in "bc"]
    intake = Intake()
    list(take_in(tmp_path, [Unread(TreePath("a"), FileKind.EXECUTABLE, None), *told], Claims(lambda _: True), intake))
    assert [(item.path, item.entry.kind) for item in intake.read] == [
        ("a", FileKind.EXECUTABLE),
        ("b", FileKind.FILE),
        ("c", FileKind.SYMLINK),
    ]
    assert intake.read[0].entry.digest == digest_of(b"1")


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_what_a_hand_has_taken_and_not_answered_when_it_is_killed_is_read_by_the_others(
    answers: int, tmp_path: Path, processes: ReadingProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, TREE)
    heard = itertools.count()
    receive = Beside.receive

    def receive_or_kill(beside: Beside) -> bytes:
        if next(heard) >= answers:
            beside.end()
        return receive(beside)

    monkeypatch.setattr(Beside, "receive", receive_or_kill)
    intake, packed_bytes = read_all(tmp_path, TREE, lambda: processes)
    assert (found(intake), intake.problems, packed_bytes) == (expected(), [], content_bytes())


@pytest.mark.parametrize("answer", [b"", b"\xc1", wire.pack((0, None, (b"", (), b"", b""), (), (), None))])
def test_a_hand_that_says_what_makes_no_sense_is_done_without(
    answer: bytes, tmp_path: Path, processes: ReadingProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, TREE)
    monkeypatch.setattr(Beside, "receive", lambda _beside: answer)
    intake, packed_bytes = read_all(tmp_path, TREE, lambda: processes)
    assert (found(intake), packed_bytes) == (expected(), content_bytes())


@pytest.mark.usefixtures("three_processors")
def test_where_no_hand_can_be_had_everything_is_read_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, TREE)
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with ReadingProcesses() as processes:
        intake, packed_bytes = read_all(tmp_path, TREE, lambda: processes)
    assert (found(intake), packed_bytes) == (expected(), content_bytes())


def test_another_process_packs_nothing_that_is_stored(tmp_path: Path, processes: ReadingProcesses) -> None:
    lay(tmp_path, TREE)
    known = frozenset(digest for tree in (TREE,) for digest in digests_of(entries(tree)))
    intake, packed_bytes = read_all(tmp_path, SMALL, lambda: processes, known)
    assert ([item.path for item in sorted(intake.read)], packed_bytes) == (sorted(SMALL), 0)


def test_processes_read_one_tree_after_the_other(
    tmp_path: Path, processes: ReadingProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        lay(tmp_path / name, TREE)
        intake, packed_bytes = read_all(Path(name), TREE, lambda: processes)
        assert (found(intake), packed_bytes) == (expected(), content_bytes())


def test_what_was_looked_at_before_is_read_as_it_is_now(tmp_path: Path, processes: ReadingProcesses) -> None:
    lay(tmp_path, TREE)
    kinds = {path: kind for path, kind, _ in expected()}
    seen = [
        item._replace(kind=kinds[item.path], found=fingerprint(os.lstat(tmp_path / item.path))) for item in unread(TREE)
    ]
    (tmp_path / "d1/001.py").write_bytes(b"edited")
    intake = Intake()
    list(take_in(tmp_path, seen, Claims(lambda _: False), intake, lambda: processes))
    edited = [
        (path, kind, digest_of(b"edited") if path == "d1/001.py" else digest) for path, kind, digest in expected()
    ]
    assert found(intake) == edited


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_processes_end_when_the_reading_is_left(
    error: type[BaseException], tmp_path: Path, processes: ReadingProcesses
) -> None:
    lay(tmp_path, {f"{number:04}": noise(20_000, number) for number in range(1000)})
    started = [beside.process_id for beside in processes.besides]
    blocks = take_in(
        tmp_path, unread(path.name for path in tmp_path.iterdir()), Claims(lambda _: False), Intake(), lambda: processes
    )

    def leave() -> None:
        with closing(blocks):
            # The first block is read before anybody else is given something.
            for _ in range(3):
                next(blocks)
            raise error

    with pytest.raises(error):
        leave()
    assert len(started) == 2
    for process in started:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


TEXT: NodeTree = {
    f"{number:03}.py": b"".join(b"name_%d = %d\n" % (n, n * number) for n in range(900)) for number in range(99)
}


def test_whoever_is_keeping_up_gets_blocks_sooner_and_larger(tmp_path: Path, processes: ReadingProcesses) -> None:
    lay(tmp_path, TEXT)

    def packed(*, is_keeping_up: bool, call: Callable[[], ReadingProcesses] | None) -> tuple[set[Digest], int]:
        taking = take_in(
            tmp_path,
            unread(TEXT),
            Claims(lambda _: False),
            Intake(),
            call,
            is_keeping_up=lambda: is_keeping_up,
        )
        blocks = list(taking)
        contents = [open_block(block.frame, block.plain_bytes, block.checksum, "a block") for block in blocks]
        assert sum(map(len, contents)) == sum(block.plain_bytes for block in blocks)
        return {chunk.digest for block in blocks for chunk in block.chunks}, sum(len(block.frame) for block in blocks)

    well, quickly = packed(is_keeping_up=False, call=None), packed(is_keeping_up=True, call=None)
    assert quickly[0] == well[0] == {digest_of(data) for data in TEXT.values() if isinstance(data, bytes)}
    assert quickly[1] > well[1]
    # Of smaller blocks, as two processes and we make them, some are too small for it to make a difference.
    assert packed(is_keeping_up=True, call=lambda: processes)[0] == well[0]


def test_an_outlet_keeps_up_while_nothing_is_under_way() -> None:
    class Slow(MemoryBackend):
        def __init__(self) -> None:
            super().__init__()
            self.let_go = threading.Event()

        def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
            assert self.let_go.wait(60)
            return super().put(key, data, replacing=replacing, digest=digest)

    backend = Slow()
    with Outlet(ObjectWriter(backend, "ann")) as outlet:
        assert outlet.is_keeping_up()
        data = noise(3_000)
        outlet.add([pack_block([(digest_of(data), data)])])
        assert outlet.is_keeping_up()
        outlet.flush()
        assert not outlet.is_keeping_up()
        backend.let_go.set()
        outlet.wait()
        assert outlet.is_keeping_up()
