"""Blocks of new trees are shared out, and whatever becomes of those who help, each is done once and whole."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.building import DONE, Building, Piece, Pieces, join, order, site
from synccore.building_processes import BuildingProcesses
from synccore.bundle import pack_block
from synccore.digest import digest_of
from synccore.errors import ErrorKind, IntegrityError, SyncError
from synccore.manifest import FileKind
from synccore.places import InlineBlock
from synccore.progress import Progress
from synccore.pull import pull
from synccore.repository import Frame
from synccore.testing.hostile import (
    HostileStore,
    Item,
    head_rows,
    place_rows,
    record_rows,
    repo_rows,
    snapshot_of_items,
    tree_rows,
)
from synccore.testing.invariants import assert_is_at_head, assert_nothing_unfinished
from synccore.testing.killing import on_a_disk_for_files_up_to
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import NodeTree, executable, link, nodes, noise, read
from synccore.treepath import TreePath

pytestmark = pytest.mark.vm

HELPERS = """
import os, resource, signal
from synccore import building

def eager(messages):
    next(messages)
    for message in messages:
        yield building.DONE

def dying(messages):
    next(messages)
    for number, message in enumerate(messages):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield building.DONE

def lying(messages):
    for message in messages:
        yield b"what?"

def hanging(messages):
    for message in messages:
        os.read(os.pipe()[0], 1)

def failing(messages):
    raise ValueError

def killed(messages):
    # In the middle of a file, of the third block.
    real, count = os.write, [0]
    def write(handle, data):
        count[0] += 1
        if count[0] == 5:
            real(handle, bytes(data)[:9])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(handle, data)
    os.write = write
    return building.join(messages)

def without_room(messages):
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    return building.join(messages)

def noting(messages):
    real, sites = building.Building, []
    def noted():
        for message in messages:
            if sites or sites.append(message):
                root = building.wire.unpack(sites[0], "")[0][1]
                with open(os.path.join(os.path.dirname(root), "helped"), "a") as file:
                    file.write("x")
            yield message
    return building.join(noted())
"""

# Each file is a block; but for the small ones, which share one.
TREE: NodeTree = {
    **{f"d{number % 3}/large{number}": noise(900_000, number) for number in range(12)},
    **nodes({"d0/a.py": "1", "d0/run": executable("2"), "link": link("d0/a.py"), "empty": ""}),
}


@pytest.fixture(autouse=True)
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have two who help with whatever there is; returns what chooses how they do it."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr("synccore.building_processes._processors", lambda: 3)
    monkeypatch.setattr("synccore.building_processes._FILES_EACH", 1)
    return lambda name: monkeypatch.setattr("synccore.building_processes._JOIN", f"helpers:{name}")


class Shared(NamedTuple):
    """Who did which blocks; ours with whether another may have done a part."""

    ours: list[tuple[int, bool]]
    theirs: list[int]


def shared(runs: Iterator[list[int]], *, never: frozenset[int] = frozenset()) -> Shared:
    done = Shared([], [])

    def order(block: int) -> bytes | None:
        return None if block in never else b"do it"

    with BuildingProcesses(2) as processes, processes.sharing(b"here", runs, order, done.theirs.append) as ours:
        for block in ours:
            done.ours.append(block)
    return done


def runs_of(count: int) -> Iterator[list[int]]:
    """Have so many blocks in runs of eight, with an empty one between."""
    for start in range(0, count, 8):
        yield list(range(start, min(start + 8, count)))
        yield []


def ours_alone(done: Shared) -> list[int]:
    return [block for block, _ in done.ours]


def other_threads() -> set[threading.Thread]:
    return set(threading.enumerate()) - {threading.current_thread()}


@pytest.mark.parametrize("name", ["eager", "dying", "lying", "failing"])
def test_each_block_is_done_by_somebody_and_by_nobody_else(name: str, helpers: Callable[[str], None]) -> None:
    helpers(name)
    before = other_threads()
    done = shared(runs_of(200))
    assert Counter(ours_alone(done) + done.theirs) == Counter(range(200))
    assert other_threads() == before


def test_what_was_asked_and_not_done_is_done_here_as_something_that_may_be_there(
    helpers: Callable[[str], None],
) -> None:
    helpers("dying")
    before = other_threads()
    theirs: list[int] = []
    with (
        BuildingProcesses(2) as processes,
        processes.sharing(b"here", runs_of(200), lambda _: b"do it", theirs.append) as ours,
    ):
        # Each dies of its third.
        for thread in other_threads() - before:
            thread.join()
        done = list(ours)
    again = [block for block, is_again in done if is_again]
    # Two of each are done; of the second nobody may hear, because there is nobody any more to be sent the next.
    assert 2 <= len(theirs) <= 4
    assert len(again) >= 2
    assert sorted(theirs + [block for block, _ in done]) == list(range(200))


def test_what_is_not_for_others_is_done_here(helpers: Callable[[str], None]) -> None:
    helpers("eager")
    never = frozenset(range(0, 200, 3))
    done = shared(runs_of(200), never=never)
    assert never <= set(ours_alone(done))
    assert Counter(ours_alone(done) + done.theirs) == Counter(range(200))


def test_what_the_blocks_raise_is_raised_here_and_nobody_is_left(helpers: Callable[[str], None]) -> None:
    helpers("eager")
    before = other_threads()

    def blocks() -> Iterator[list[int]]:
        yield from runs_of(20)
        raise SyncError(ErrorKind.BACKEND, "gone")

    with pytest.raises(SyncError, match="gone"):
        shared(blocks())
    assert other_threads() == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_here_nobody_is_waited_for(error: type[BaseException], helpers: Callable[[str], None]) -> None:
    helpers("hanging")

    def fail() -> None:
        with (
            BuildingProcesses(2) as processes,
            processes.sharing(b"here", runs_of(99), lambda _: b"do it", print) as ours,
        ):
            next(ours)
            raise error

    with pytest.raises(error):
        fail()


@pytest.mark.parametrize(
    ("processors", "files", "expected"), [(1, 9999, 0), (2, 9999, 1), (64, 9999, 3), (64, 2, 2), (2, 0, 0)]
)
def test_there_are_as_many_as_are_worth_it(
    processors: int, files: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synccore.building_processes._processors", lambda: processors)
    with BuildingProcesses(files) as processes:
        assert len(processes._besides) == expected


# Whole downloads


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose store has a tree that nobody has."""
    lab = Lab(tmp_path / "lab", MemoryBackend())
    lab.laptop.lay(alpha=TREE, beta=nodes({"b.py": "1"}))
    lab.laptop.push()
    return lab


def test_a_first_download_has_help(lab: Lab, helpers: Callable[[str], None]) -> None:
    helpers("noting")
    report = lab.machine.pull()
    assert [sorted(repo.written) for repo in report.repos] == [sorted(TREE), ["b.py"]]
    assert set((lab.machine.memory_folder / "helped").read_text()) == {"x"}
    assert_is_at_head(lab.machine, lab)


@pytest.mark.parametrize("name", ["killed", "without_room", "failing", "lying", "missing"])
def test_a_first_download_is_whole_whatever_becomes_of_the_help(
    name: str, lab: Lab, helpers: Callable[[str], None]
) -> None:
    helpers(name)
    lab.machine.pull()
    assert lab.machine.trees()["alpha"] == TREE
    assert_is_at_head(lab.machine, lab)
    assert_nothing_unfinished(lab.machine)


def test_a_large_file_is_made_here_while_others_are_made_elsewhere(lab: Lab) -> None:
    tree: NodeTree = {**TREE, "d1/largest": noise(7_000_000, 99)}
    lab.laptop.lay(alpha=tree)
    lab.laptop.push()
    lab.machine.pull()
    assert lab.machine.trees()["alpha"] == tree


def test_a_tree_that_is_there_changes_while_another_is_built(lab: Lab) -> None:
    lab.machine.pull()
    changed: NodeTree = {**TREE, "d0/a.py": b"2", **{f"n/{number}": noise(800_000, 50 + number) for number in range(4)}}
    lab.laptop.lay(alpha=changed, gamma=TREE)
    lab.laptop.push()
    report = lab.machine.pull()
    assert lab.machine.trees() == {"alpha": changed, "beta": nodes({"b.py": "1"}), "gamma": TREE}
    assert {repo.repo: len(repo.written) for repo in report.repos} == {"alpha": 5, "beta": 0, "gamma": len(TREE)}


def test_progress_comes_to_all_files_and_no_more(lab: Lab) -> None:
    heard: list[Progress] = []
    pull(lab.machine.home, user=USER, backend=lab.backend, store="lab", now_ns=lab.clock, progress=heard.append)
    done = [it.done for it in heard]
    assert done == sorted(done)
    assert done[-1] <= {it.total for it in heard}.pop() == len(TREE) + 1


def spoiled(lab: Lab) -> None:
    """Make the head name a tree of which one file's content is not what its digest says."""
    items = [Item(f"d/{number:02}", noise(2000, number)) for number in range(20)]
    wrong = [item._replace(content=noise(2000, 99)) if item.path == "d/07" else item for item in items]
    hostile = HostileStore(lab.inner)
    ref, offset, stored = hostile.put_bundle([item.content for item in wrong])
    rows = [snapshot_of_items(items), tree_rows(items), place_rows(items, [ref], 1, offset, stored)]
    alpha = repo_rows("alpha", snapshot_of_items(items), hostile.put_manifest(rows), 1)
    hostile.put_head(head_rows(1, [alpha], [record_rows(1)]))


@pytest.mark.parametrize("processors", [1, 3])
def test_damage_is_told_in_the_same_words_with_help_as_without(
    processors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synccore.building_processes._processors", lambda: processors)
    lab = Lab(tmp_path / "lab", MemoryBackend())
    spoiled(lab)
    with pytest.raises(
        IntegrityError, match=r"^content of alpha/d/07 is damaged: the chunk at 14000 is not "
    ) as caught:
        lab.machine.pull()
    assert caught.value.kind is ErrorKind.DAMAGED_OBJECT
    assert_nothing_unfinished(lab.machine)
    assert lab.machine.trees() == {}


def test_a_disk_that_refuses_both_is_told_of_as_it_is_without_help(lab: Lab) -> None:
    said = []
    for processors in (3, 1):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("synccore.building_processes._processors", lambda count=processors: count)
            ended = on_a_disk_for_files_up_to(400_000, lab.machine.pull)
        assert ended.error is not None
        said.append((ended.error.kind, re.sub(r"/[^ ]*", "PATH", ended.error.message)))
        assert_nothing_unfinished(lab.machine)
    remedy = "the file is larger than this file system or `ulimit -f` allows"
    assert said == [(ErrorKind.WORKTREE, f"cannot write PATH File too large; {remedy}")] * 2


# What somebody does who helps


BLOCK = pack_block([(digest_of(data), data) for data in (b"one", b"two")])


def a_message(root: Path, *, spoil: bool = False) -> tuple[bytes, bytes]:
    """Return a site and an order for the files p/a and p/b, the latter of other content than is said."""
    pieces = [
        Piece(TreePath("p/a"), FileKind.FILE, 0, 3, digest_of(b"one")),
        Piece(TreePath("p/b"), FileKind.EXECUTABLE, 3, 3, digest_of(b"too" if spoil else b"two")),
    ]
    inline = InlineBlock(BLOCK.frame, BLOCK.plain_bytes, BLOCK.checksum)
    with Building("alpha", root) as building:
        return site([building]), order(Frame(inline, BLOCK.frame, "a block"), [(0, Pieces(pieces, []))])


def test_who_helps_makes_the_files_and_says_so(tmp_path: Path) -> None:
    assert list(join(iter(a_message(tmp_path / "new")))) == [DONE]
    assert read(tmp_path / "new") == nodes({"p/a": "one", "p/b": executable("two")})


def test_who_helps_writes_nothing_of_a_block_that_is_not_true(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="content of alpha/p/b"):
        list(join(iter(a_message(tmp_path / "new", spoil=True))))
    assert read(tmp_path / "new") == {}
