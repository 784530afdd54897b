"""Carrying out plans: fetch what the trees lack, check it, and write it.

What only moved is not fetched: it stands here already, at a path that is about to be removed, and gets its new name.

Invariant: nothing in a tree is touched before the first of its contents has arrived, and no content is written that was not
compared with its digest.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

import xxhash

from synccore import wire
from synccore.bundle import open_block, take_chunk
from synccore.digest import Digest, digest_of
from synccore.errors import IntegrityError, SyncError
from synccore.head import RepoHead
from synccore.journal import Change, Known, known_of
from synccore.manifest import Chunk, Entry, FileKind
from synccore.moves import heads
from synccore.places import Block, InlineBlock, Place, StoredBlock
from synccore.plan import Plan, moved_from
from synccore.progress import Progress, ProgressListener
from synccore.pullreport import Saved
from synccore.repository import ObjectReader
from synccore.treepath import TreePath, directories_above
from synccore.worktree.at_hand import chunks_at_hand, content_at_hand, open_at_hand
from synccore.worktree.large_file import LargeFile
from synccore.worktree.machine import MachineMemory
from synccore.worktree.outcome import Effect, Outcome
from synccore.worktree.rescue import Rescued, RescueFolder
from synccore.worktree.staging import new_staging, put_in_place, sweep_staging
from synccore.worktree.tree_writer import TreeWriter

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


class _Run:
    """A task being carried out."""

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
        if not self.task.is_fresh:
            self._moved = moved_from(self.task.plan)
        moved = self._moved
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
        here: dict[Digest, int] = {}
        if not self.task.is_fresh:
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


def carry_out(
    tasks: list[Task],
    *,
    memory: MachineMemory,
    objects: ObjectReader,
    rescue: RescueFolder,
    progress: ProgressListener,
    after_crash: bool,
) -> dict[str, Done]:
    """Fetch and write everything; all trees together, so that one round of requests serves them all.

    With *after_crash* the temporary files of a killed run are removed from the trees, whether its notes are there or not.
    """
    stagings: dict[str, Path] = {}
    try:
        runs = _carry_out(
            tasks,
            stagings,
            memory=memory,
            objects=objects,
            rescue=rescue,
            progress=progress,
            after_crash=after_crash,
        )
        for task in tasks:
            if task.is_fresh:
                # From here until the state is recorded nothing else says that the tree is ours.
                memory.note_begun(task.repo, _pack_begun(task.plan, None))
                put_in_place(stagings[task.repo], task.root)
    except BaseException:
        # The room is given back at once; if even that fails, the next run does it.
        with suppress(SyncError):
            for task in tasks:
                if task.is_fresh:
                    sweep_staging(task.root)
        raise
    return {run.task.repo: run.done for run in runs}


def _carry_out(
    tasks: list[Task],
    stagings: dict[str, Path],
    *,
    memory: MachineMemory,
    objects: ObjectReader,
    rescue: RescueFolder,
    progress: ProgressListener,
    after_crash: bool,
) -> list[_Run]:
    with ExitStack() as stack:
        runs = []
        for task in tasks:
            root = task.root
            if task.is_fresh:
                sweep_staging(root)
                root = stagings[task.repo] = new_staging(root)
            else:
                before = memory.begun(task.repo)
                memory.note_begun(task.repo, _pack_begun(task.plan, parse_begun(before)))
            writer = TreeWriter(root, ours=_ours(task.plan), rescue=rescue, repo=task.repo, fresh=task.is_fresh)
            runs.append(_Run(task, stack.enter_context(writer)))
            if not task.is_fresh and (after_crash or before is not None):
                writer.sweep()
        _write(runs, objects, progress)
        return runs


def _ours(plan: Plan) -> Callable[[TreePath], frozenset[Known]]:
    nothing: frozenset[Known] = frozenset()
    return lambda path: plan.ours.get(path, nothing)


def _write(runs: list[_Run], objects: ObjectReader, progress: ProgressListener) -> None:
    _fetch(_by_block(chain.from_iterable([run.wants() for run in runs])), runs, objects, progress)
    for run in runs:
        run.end()
    _fetch(_by_block(chain.from_iterable([run.late for run in runs])), runs, objects, progress)


def _by_block(wants: Iterable[tuple[Block, _Want]]) -> dict[Block, list[_Want]]:
    """Put together what is wanted of each block."""
    found: dict[Block, list[_Want]] = {}
    last, mine = None, []
    for block, want in wants:
        # Neighbours are mostly in the same block, and to hash one takes longer than all else here.
        if block is not last:
            last, mine = block, found.setdefault(block, [])
        mine.append(want)
    return found


def _fetch(
    wants: dict[Block, list[_Want]], runs: list[_Run], objects: ObjectReader, progress: ProgressListener
) -> None:
    """Fetch blocks and hand out their chunks, which the threads that open them have checked."""
    total = sum(len(run.task.plan.writes) for run in runs)
    for block, contents in _opened(wants, objects):
        for want, data in zip(wants[block], contents, strict=True):
            run = want.run
            if not run.has_begun:
                run.begin()
            run.take(want, data)
        progress(Progress(phase="write", done=sum(len(run.done.written) for run in runs), total=total, unit="files"))


def _opened(wants: dict[Block, list[_Want]], objects: ObjectReader) -> Iterator[tuple[Block, list[bytes]]]:
    """Yield every block with what is wanted of it: those of bundles as they arrive, then those that came with the head."""

    def checked(block: Block, plain: bytes) -> list[bytes]:
        return [
            take_chunk(plain, offset, Chunk(digest, size_bytes), f"content of {run.task.repo}/{path}")
            for run, path, _, digest, size_bytes, offset, _ in wants[block]
        ]

    blocks = list(wants)
    yield from objects.load_blocks((block for block in blocks if isinstance(block, StoredBlock)), checked)
    for block in blocks:
        if isinstance(block, InlineBlock):
            plain = open_block(block.frame, block.plain_bytes, block.checksum, "an inline block of the head")
            yield block, checked(block, plain)


def _pack_begun(plan: Plan, before: dict[TreePath, frozenset[Known]] | None) -> bytes:
    rows = [(path, entry.kind, entry.digest) for path, entry in plan.writes.items()]
    # What is removed is not as it was either: it may have to come back.
    rows += [(path, *known) for path in plan.removes for known in plan.ours[path]]
    rows += [(path, *known) for path, states in (before or {}).items() for known in states]
    body = wire.pack(rows)
    return xxhash.xxh3_64_digest(body) + body


def parse_begun(data: bytes | None) -> dict[TreePath, frozenset[Known]] | None:
    """Return the paths that an unfinished run may have touched, each with what of ours may stand there because of it.

    Args:
        data: its note; ``None`` if there is none.

    Returns:
        Nothing where there is no note; ``None`` if it is damaged, so that the run may have touched anything.
    """
    if data is None:
        return {}
    what = "the note of an unfinished run"
    found: dict[TreePath, set[Known]] = {}
    body = data[8:]
    if data[:8] != xxhash.xxh3_64_digest(body):
        return None
    try:
        for item in wire.rows(wire.unpack(body, what), what):
            path, kind, digest = wire.row(item, 3, what)
            known = Known(FileKind(wire.uint(kind, what, most=max(FileKind))), wire.digest(digest, what))
            found.setdefault(wire.path(path, what), set()).add(known)
    except IntegrityError:
        return None
    return {path: frozenset(states) for path, states in found.items()}
