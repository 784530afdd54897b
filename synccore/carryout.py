"""Carrying out plans: fetch what the trees lack, check it, and write it.

What only moved is not fetched: it stands here already, at a path that is about to be removed, and gets its new name.

Invariant: nothing in a tree is touched before the first of its contents has arrived, and no content is written that was not
compared with its digest.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from synccore.begun import pack_begun, parse_begun
from synccore.bundle import take_chunk
from synccore.digest import Digest, digest_of
from synccore.errors import SyncError
from synccore.head import RepoHead
from synccore.journal import Change, Known, known_of
from synccore.manifest import Chunk, Entry
from synccore.moves import heads
from synccore.places import Block, InlineBlock, Place, StoredBlock
from synccore.plan import Plan, moved_from
from synccore.progress import Progress, ProgressListener
from synccore.pullreport import Saved
from synccore.repository import Frame, ObjectReader, opened_ahead
from synccore.treepath import TreePath, directories_above
from synccore.worktree.at_hand import chunks_at_hand, content_at_hand, open_at_hand
from synccore.worktree.large_file import LargeFile
from synccore.worktree.machine import MachineMemory
from synccore.worktree.outcome import Effect, Outcome
from synccore.worktree.rescue import Rescued, RescueFolder
from synccore.worktree.staging import new_staging, put_in_place, sweep_staging
from synccore.worktree.tree_writer import TreeWriter

# What an everyday change needs is imported above, and what trees that are not there yet need where they are met.
if TYPE_CHECKING:
    from synccore.building import Building, Pieces
    from synccore.building_processes import BuildingProcesses

_EMPTY = digest_of(b"")
_WRITTEN, _REMOVED = Outcome(Effect.WRITTEN), Outcome(Effect.REMOVED)

# So few files are moved one by one in less time than it takes to look at the directories.
_FEWEST_MOVED = 4


class Task(NamedTuple):
    """One tree that has to change.

    Attributes:
        repo: its name.
        root: where it is.
        target: what the head says of it.
        plan: what to do.
        places: where the chunks of what is to be written are.
        is_fresh: whether nothing stands at *root*, so that the tree can be built aside and appear at once.
        manifest: the listing that the tree is built from, stored; ``None`` if it continues from the last one.
        changes: the changes since that listing, or since the last state.
    """

    repo: str
    root: Path
    target: RepoHead
    plan: Plan
    places: dict[Digest, Place]
    is_fresh: bool
    manifest: bytes | None
    changes: list[Change]


class Done:
    """What was done to one tree so far."""

    def __init__(self) -> None:
        self.written: list[TreePath] = []
        self.removed: list[TreePath] = []
        self.saved: list[Saved] = []

    def note(self, path: TreePath, outcome: Outcome) -> None:
        """Add what came of *path*."""
        if outcome.effect is Effect.WRITTEN:
            self.written.append(path)
        elif outcome.effect is Effect.REMOVED:
            self.removed.append(path)
        if outcome.rescued:
            self.note_saved(outcome.rescued)

    def note_saved(self, rescued: Iterable[Rescued]) -> None:
        """Add what had to be saved."""
        self.saved += [Saved(path=f"{item.repo}/{item.path}", saved_as=item.saved_as) for item in rescued]


class _Want(NamedTuple):
    """A chunk that a file waits for.

    Attributes:
        run: the task's.
        path: the file's.
        entry: what the file is to be.
        digest: the chunk's.
        size_bytes: the chunk's.
        offset: where it is in its block.
        position: where it belongs in the file.
    """

    run: _Run
    path: TreePath
    entry: Entry
    digest: Digest
    size_bytes: int
    offset: int
    position: int


class _Wanted(NamedTuple):
    """What is wanted of one block.

    Attributes:
        pieces: for trees that are being built, each with its number.
        wants: for all others.
    """

    pieces: list[tuple[int, Pieces]]
    wants: list[_Want]


class _Run:
    """A change of a tree that is there, being carried out."""

    def __init__(self, task: Task, writer: TreeWriter) -> None:
        self.task = task
        self.done = Done()
        self._writer = writer
        self.has_begun = False
        self._large: dict[TreePath, tuple[LargeFile, set[int]]] = {}
        self._at_hand: dict[TreePath, list[tuple[Block, _Want, int]]] = {}
        self._moved: dict[TreePath, TreePath] = {}
        self.late: list[tuple[Block, _Want]] = []

    def wants(self) -> Iterator[tuple[Block, _Want]]:
        """Yield each chunk that has to be fetched, with the block it is in; what is at hand is remembered."""
        moved = self._moved = moved_from(self.task.plan)
        for path, entry in self.task.plan.writes.items():
            if path in moved:
                continue
            if entry.chunks:
                yield from self._wants_of_large(path, entry)
            elif entry.size_bytes:
                yield self._want_of_small(path, entry)

    def _want_of_small(self, path: TreePath, entry: Entry) -> tuple[Block, _Want]:
        block, offset = self.task.places[entry.digest]
        return block, _Want(self, path, entry, entry.digest, entry.size_bytes, offset, 0)

    def _wants_of_large(self, path: TreePath, entry: Entry) -> Iterator[tuple[Block, _Want]]:
        here = chunks_at_hand(self.task.root, path, {chunk.digest for chunk in entry.chunks})
        position = 0
        for digest, size_bytes in entry.chunks:
            block, offset = self.task.places[digest]
            want = _Want(self, path, entry, digest, size_bytes, offset, position)
            if digest in here:
                self._at_hand.setdefault(path, []).append((block, want, here[digest]))
            else:
                yield block, want
            position += size_bytes

    def begin(self) -> None:
        """Remove what has to go, and write what has no content; once, before the first content is written."""
        if self.has_begun:
            return
        self.has_begun = True
        # Before anything is removed, this among it. A source of several gives its name to the last.
        last = {source: path for path, source in self._moved.items()}
        gone = self._move_directories()
        there = set(gone.values())
        for path, source in self._moved.items():
            entry = self.task.plan.writes[path]
            if path in there:
                self.done.note(path, _WRITTEN)
            elif source in gone or last[source] != path or not self._move(source, path, entry):
                self._copy(gone.get(source, source), path, entry)
        for path in self.task.plan.removes:
            self.done.note(path, _REMOVED if path in gone else self._writer.remove(path))
        for path, entry in self.task.plan.writes.items():
            if not entry.size_bytes:
                there_already = path in there
                self.done.note(path, _WRITTEN if there_already else self._writer.write(path, entry.kind, b"", _EMPTY))

    def _move_directories(self) -> dict[TreePath, TreePath]:
        """Move what can be moved by whole directories; return where each of the files has gone."""
        plan = self.task.plan
        above = directories_above(plan.removes)

        def expected(old: str, new: str) -> Entry | None:
            entry = plan.writes.get(cast("TreePath", new))
            is_ours = entry is not None and old in plan.removes and known_of(entry) in plan.ours[cast("TreePath", old)]
            return entry if is_ours else None

        gone: dict[TreePath, TreePath] = {}
        for old, new in _moved_directories(self._moved):
            files, saved = self._writer.move_directory(old, new, expected, above.__contains__)
            gone.update(files)
            self.done.note_saved(saved)
        return gone

    def _move(self, source: TreePath, path: TreePath, entry: Entry) -> bool:
        outcome = self._writer.move(source, path, entry.kind, entry.digest)
        self.done.note(path, outcome)
        return outcome.effect is Effect.WRITTEN

    def _copy(self, source: TreePath, path: TreePath, entry: Entry) -> None:
        data = b"" if entry.chunks else content_at_hand(self.task.root, source, entry)
        if digest_of(data) == entry.digest:
            self.done.note(path, self._writer.write(path, entry.kind, data, entry.digest))
        else:
            self.late += self._wants_of_large(path, entry) if entry.chunks else [self._want_of_small(path, entry)]

    def take(self, want: _Want, data: bytes) -> None:
        """Write a chunk that has arrived and been checked."""
        path, entry = want.path, want.entry
        if not entry.chunks:
            self.done.note(path, self._writer.write(path, entry.kind, data, entry.digest))
            return
        if path not in self._large:
            self._start(path, entry)
        self._put(want, data)

    def end(self) -> None:
        """Write what of large files is at hand; what turns out not to be is in `late` afterwards."""
        self.begin()
        for path, wants in list(self._at_hand.items()):
            self._start(path, wants[0][1].entry)

    def _start(self, path: TreePath, entry: Entry) -> None:
        """Begin the large file *path* with those of its chunks that are at hand."""
        positions: set[int] = set()
        position = 0
        for chunk in entry.chunks:
            positions.add(position)
            position += chunk.size_bytes
        self._large[path] = (self._writer.begin(path, entry.kind, entry.size_bytes), positions)
        wants = self._at_hand.pop(path, [])
        for (block, want, _), data in zip(wants, self._slices(path, wants), strict=True):
            if digest_of(data) == want.digest:
                self._put(want, data)
            else:
                self.late.append((block, want))

    def _slices(self, path: TreePath, wants: list[tuple[Block, _Want, int]]) -> Iterator[bytes]:
        """Read what is at hand of *path*; nothing where it is not there any more."""
        unread = len(wants)
        with suppress(OSError), open_at_hand(self.task.root, path) as handle:
            for _, want, offset in wants:
                data = os.pread(handle, want.size_bytes, offset)  # type: ignore[attr-defined,unused-ignore] # not on Windows
                unread -= 1
                yield data
        yield from [b""] * unread

    def _put(self, want: _Want, data: bytes) -> None:
        file, missing = self._large[want.path]
        file.write_at(want.position, data)
        missing.discard(want.position)
        if not missing:
            del self._large[want.path]
            self.done.note(want.path, file.finish(want.entry.digest))


def _moved_directories(moved: Mapping[TreePath, TreePath]) -> list[tuple[str, str]]:
    """Return the topmost directories that files which have *moved* under their names were in, and where they are now.

    What is below another comes before it: when it has gone, perhaps all of that may.
    """
    homes = Counter(
        (source.parent, path.parent) for path, source in moved.items() if source.name == path.name and source != path
    )
    found: Counter[tuple[str, str]] = Counter()
    for (old, new), count in homes.items():
        if old and new:
            found[heads(old, new)] += count
    return sorted([pair for pair, count in found.items() if count >= _FEWEST_MOVED], reverse=True)


class _Build(NamedTuple):
    """A tree that is not there yet, being built."""

    task: Task
    building: Building

    def done(self) -> Done:
        """Return what was done when all is done."""
        done = Done()
        done.written = list(self.task.plan.writes)
        return done


class _Work(NamedTuple):
    """All that is being carried out."""

    runs: list[_Run]
    builds: list[_Build]

    def done(self) -> dict[str, Done]:
        """Return what was done, by repository."""
        return {
            **{run.task.repo: run.done for run in self.runs},
            **{build.task.repo: build.done() for build in self.builds},
        }


def carry_out(
    tasks: list[Task],
    *,
    memory: MachineMemory,
    objects: ObjectReader,
    rescue: RescueFolder,
    processes: BuildingProcesses | None,
    progress: ProgressListener,
    after_crash: bool,
) -> dict[str, Done]:
    """Fetch and write everything; all trees together, so that one round of requests serves them all.

    Of trees that are not there yet *processes* make files too. With *after_crash* the temporary files of a killed run are removed
    from the others, whether its notes are there or not.
    """
    stagings: dict[str, Path] = {}
    fresh = [task for task in tasks if task.is_fresh]
    try:
        with ExitStack() as stack:
            builds = []
            for task in fresh:
                sweep_staging(task.root)
                root = stagings[task.repo] = new_staging(task.root)
                builds.append(stack.enter_context(_building(task, root)))
            runs = [
                stack.enter_context(_running(task, memory, rescue, after_crash=after_crash))
                for task in tasks
                if not task.is_fresh
            ]
            work = _Work(runs, builds)
            _write(work, objects, processes, progress)
        for task in fresh:
            # From here until the state is recorded nothing else says that the tree is ours.
            memory.note_begun(task.repo, pack_begun(task.plan, None))
            put_in_place(stagings[task.repo], task.root)
    except BaseException:
        # The room is given back at once; if even that fails, the next run does it.
        with suppress(SyncError):
            for task in fresh:
                sweep_staging(task.root)
        raise
    return work.done()


@contextmanager
def _building(task: Task, root: Path) -> Iterator[_Build]:
    """Have the tree that *task* makes begun at *root*."""
    from synccore.building import Building

    with Building(task.repo, root) as building:
        yield _Build(task, building)


@contextmanager
def _running(task: Task, memory: MachineMemory, rescue: RescueFolder, *, after_crash: bool) -> Iterator[_Run]:
    """Have the tree that *task* changes open, free of what an unfinished run has left there."""
    before = memory.begun(task.repo)
    memory.note_begun(task.repo, pack_begun(task.plan, parse_begun(before)))
    with TreeWriter(task.root, ours=_ours(task.plan), rescue=rescue, repo=task.repo) as writer:
        if after_crash or before is not None:
            writer.sweep()
        yield _Run(task, writer)


def _ours(plan: Plan) -> Callable[[TreePath], frozenset[Known]]:
    nothing: frozenset[Known] = frozenset()
    return lambda path: plan.ours.get(path, nothing)


def _write(work: _Work, objects: ObjectReader, processes: BuildingProcesses | None, progress: ProgressListener) -> None:
    fetching = _Fetching(work, objects, progress)
    fetching.fetch(fetching.wanted(chain.from_iterable([run.wants() for run in work.runs]), work.builds), processes)
    for run in work.runs:
        run.end()
    for _, building in work.builds:
        building.write_unplaced()
    late = list(chain.from_iterable([run.late for run in work.runs]))
    if late:
        fetching.fetch(fetching.wanted(late, []), None)


class _Fetching:
    """Fetches blocks and hands out what is in them."""

    def __init__(self, work: _Work, objects: ObjectReader, progress: ProgressListener) -> None:
        self._runs, self._builds = work
        self._objects = objects
        self._progress = progress
        tasks = [run.task for run in work.runs] + [build.task for build in work.builds]
        self._total = sum(len(task.plan.writes) for task in tasks)
        # A list and not a sum, for several threads add to it.
        self._built: list[int] = []

    @staticmethod
    def wanted(wants: Iterable[tuple[Block, _Want]], builds: list[_Build]) -> dict[Block, _Wanted]:
        """Put together what is wanted of each block."""
        found: dict[Block, _Wanted] = {}
        for number, (task, building) in enumerate(builds):
            for block, pieces in building.plan(task.plan.writes, task.places).items():
                found.setdefault(block, _Wanted([], [])).pieces.append((number, pieces))
        for block, want in wants:
            found.setdefault(block, _Wanted([], [])).wants.append(want)
        return found

    def fetch(self, wanted: dict[Block, _Wanted], processes: BuildingProcesses | None) -> None:
        """Fetch the blocks of *wanted*: those of bundles as they arrive, then those that came with the head."""
        stored = self._objects.load_frames(block for block in wanted if isinstance(block, StoredBlock))
        inline = [
            Frame(block, block.frame, "an inline block of the head")
            for block in wanted
            if isinstance(block, InlineBlock)
        ]
        if processes and self._builds:
            self._share(wanted, chain(stored, [inline]), processes)
            return
        if len(wanted) > len(inline):
            for block, plain in opened_ahead(
                chain.from_iterable(stored), lambda block, plain: self._compared(wanted[block], plain)
            ):
                self._hand_out(wanted[block], plain)
        for frame in inline:
            self._hand_out(wanted[frame.block], self._compared(wanted[frame.block], frame.open()))

    def _share(self, wanted: dict[Block, _Wanted], runs: Iterator[list[Frame]], processes: BuildingProcesses) -> None:
        """Do the same with *processes*, which are given what is of trees that are being built, and no large file's."""
        from synccore.building import order, site

        def ordered(frame: Frame) -> bytes | None:
            pieces, wants = wanted[frame.block]
            return None if wants or any(it.large for _, it in pieces) else order(frame, pieces)

        def note(frame: Frame) -> None:
            self._note_built(wanted[frame.block])

        with processes.sharing(site(build.building for build in self._builds), runs, ordered, note) as ours:
            for frame, again in ours:
                mine = wanted[frame.block]
                self._hand_out(mine, self._compared(mine, frame.open()), again=again)

    def _compared(self, wanted: _Wanted, plain: bytes) -> bytes:
        """Compare all that is wanted of a block with its digests; safe from any thread."""
        for number, pieces in wanted.pieces:
            self._builds[number].building.compare(plain, pieces)
        for run, path, _, digest, size_bytes, offset, _ in wanted.wants:
            take_chunk(plain, offset, Chunk(digest, size_bytes), f"content of {run.task.repo}/{path}")
        return plain

    def _hand_out(self, wanted: _Wanted, plain: bytes, *, again: bool = False) -> None:
        """Write all that is wanted of a block that was compared."""
        for number, pieces in wanted.pieces:
            self._builds[number].building.write(plain, pieces, again=again)
        for want in wanted.wants:
            if not want.run.has_begun:
                want.run.begin()
            want.run.take(want, plain[want.offset : want.offset + want.size_bytes])
        self._note_built(wanted)
        done = sum(self._built) + sum(build.building.large_files for build in self._builds)
        done += sum(len(run.done.written) for run in self._runs)
        self._progress(Progress(phase="write", done=done, total=self._total, unit="files"))

    def _note_built(self, wanted: _Wanted) -> None:
        self._built.append(sum(len(pieces.whole) for _, pieces in wanted.pieces))
