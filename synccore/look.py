"""What a laptop's working tree is now, and what the head says that it was.

Invariant: looking changes nothing in the tree and nothing in the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from synccore.diff import Difference, diff
from synccore.digest import Digest
from synccore.errors import ErrorKind, IntegrityError, InvalidInputError, WorktreeError
from synccore.head import Head
from synccore.intake import FILES_FOR_HANDS, Intake, ReadFile
from synccore.keys import repo_name
from synccore.manifest import Entry, FileKind, Manifest, chunks_of, digests_of
from synccore.places import ObjectRef, Place
from synccore.problem import Problem, ProblemKind
from synccore.provenance import Provenance, SnapshotId
from synccore.snapshot import snapshot_id
from synccore.treepath import TreePath
from synccore.trees import EMPTY_TREE, tree_of
from synccore.worktree.chosen import NOTHING_CHOSEN
from synccore.worktree.renamed import renamed
from synccore.worktree.scan import NOTHING, Scan, Unread, link_notes, scan, statuses
from synccore.worktree.selection import AskingFacts, Selecting, collisions
from synccore.worktree.statcache import Fingerprints, StatCache, load_stat_cache, store_stat_cache

# So many chunks are looked for among all digests of a tree, at 0.1 ms each for 30,000, before a set of them is made, which takes 30.
_LOOKED_FOR = 64

# git has to read what has another time, as we have, and a core that it keeps busy is one that we lack: 30,000 touched files, two cores,
# take 1.9 s of processors with it and 1.2 without. So many it reads in 30 ms.
_MANY_TOUCHED = 1000

# A line of git's own list has 72 bytes and a path.
_LARGE_LIST_BYTES = 150 * FILES_FOR_HANDS


class Source(NamedTuple):
    """A working tree to push.

    Attributes:
        repo: the name it has in the store.
        root: where it is.
        exclusion: a regular expression matched at the beginning of relative paths; what matches is left out.
    """

    repo: str
    root: Path
    exclusion: str | None = None


class Look:
    """One look at the tree of *source*.

    Args:
        source: what to look at.
        cache_path: where its stat cache is kept.
        now_ns: a clock that is read before the first file is, and after the last.
        asked: where what git is asked about a tree that has changed is given up; ``None`` if it is not to be asked.
        at_many: called when it is seen that there will be much to read, while git still lists it.

    Attributes:
        asking: what git was asked, as soon as the first change was seen: it needs 70 ms for 30,000 files, on another core.

    Raises:
        InvalidInputError: the name cannot be, or there is no such directory.
        WorktreeError: the disk or git refused.
    """

    def __init__(
        self,
        source: Source,
        cache_path: Path,
        now_ns: Callable[[], int],
        *,
        asked: ExitStack | None = None,
        at_many: Callable[[], object] = lambda: None,
    ) -> None:
        self.source = source
        self.repo = repo_name(source.repo)
        self._cache_path = cache_path
        self._now_ns = now_ns
        self._since_ns = now_ns()
        if not source.root.is_dir():
            raise InvalidInputError(
                ErrorKind.BAD_INPUT, f"repository {self.repo}: {source.root} is not a directory", path=str(source.root)
            )
        with Selecting(source.root, exclusion=source.exclusion) as selecting:
            # While git lists what there is, we look at what was there the last time, which mostly is the same.
            self.cache: StatCache = load_stat_cache(cache_path, source.root)
            self.asking: AskingFacts | None = None
            self._selecting, self._touched = selecting, 0
            if not self.cache.paths and _has_many(source.root):
                # What begins while git has a processor to itself need not share one later: 30 ms for 30,000 files.
                at_many()
                if asked is not None:
                    self.ask(asked)
            now = statuses(source.root, self.cache.paths, self.cache.fingerprints, partial(self._ask_early, asked))
            selection = selecting.finish(self.cache.chosen, self.cache.paths)
        self._selected, self._chosen = len(selection.paths), selecting.chosen
        self.is_git = selection.is_git
        self.scan: Scan = scan(source.root, selection.paths, selection.executable, self.cache, now)
        self.problems = selection.problems + self.scan.problems

    def ask(self, asked: ExitStack) -> AskingFacts:
        """Ask git about the tree, if it was not asked yet; it is given up where *asked* ends."""
        if self.asking is None:
            self.asking = asked.enter_context(AskingFacts(self.source.root, beside=self._selecting))
        return self.asking

    def _ask_early(self, asked: ExitStack | None, now: Fingerprints, before: Fingerprints) -> None:
        """Ask git about a tree of which a part is *now* other than *before*, unless git would have too much to read."""
        self._touched += _count_touched(now, before)
        if asked is not None and not self.is_touched:
            self.ask(asked)

    @property
    def is_touched(self) -> bool:
        """Whether so many files have another time that git would read them all for an answer that perhaps nobody needs."""
        return self.asking is None and self._touched > _MANY_TOUCHED

    @property
    def count(self) -> int:
        """How many files there are."""
        root = self.source.root
        unseen = sum(item.found is None and not os.path.lexists(root / item.path) for item in self.scan.unread)
        return len(self.scan.kept) + len(self.scan.unread) - unseen

    def unstored(self, base: Base, is_stored: Callable[[Digest], bool]) -> Iterator[Unread]:
        """Yield what the scan knows and the store has not got: it was read by a look that led to no upload.

        Args:
            base: what the head has of this tree; if that is the last look, there is nothing.
            is_stored: tells of a chunk whether any tree of the head has it.
        """
        if base.snapshot == self.cache.snapshot:
            return
        for path, (found, entry) in self.scan.known.items():
            if not all(is_stored(chunk.digest) for chunk in chunks_of(entry)):
                yield Unread(path, entry.kind, found)

    def renamed(self, base: Base, is_stored: Callable[[Digest], bool]) -> Iterator[ReadFile]:
        """Yield what need not be read, because it is known from another path and the store has it; arguments as for `unstored`."""
        are_stored = base.snapshot == self.cache.snapshot
        for item, entry in renamed(self.scan):
            if item.found and (are_stored or all(is_stored(chunk.digest) for chunk in chunks_of(entry))):
                yield ReadFile(item.path, entry, item.found)

    def finish(self, intake: Intake) -> View:
        """Put together what the scan knew and what *intake* has read, and keep it for the next look."""
        cache, rows = self._merged(intake)
        if cache is not self.cache:
            # Without it the next look takes longer, and that is all: no reason to stop an upload, of all things, on a full disk.
            with suppress(WorktreeError):
                store_stat_cache(
                    self._cache_path, self.source.root, cache, read_from_ns=self._since_ns, read_until_ns=self._now_ns()
                )
        return View(cache, self.cache, rows)

    def _merged(self, intake: Intake) -> tuple[StatCache, Collection[int] | None]:
        """Return what the tree is now, as the next look will find it, and the rows that differ; ``None`` if paths came or went."""
        old, scan, read = self.cache, self.scan, intake.paths
        unread = {item.path for item in scan.unread}
        # What the store lacks was read again although its status has not changed.
        files = len(scan.kept) + len(unread.intersection(read))
        # What was listed and is not there may come back without git's answers being others.
        chosen = self._chosen if files == self._selected else NOTHING_CHOSEN
        if scan.is_as_cached and not read and chosen == old.chosen:
            return old, ()
        if files == len(old.paths):
            rows = [row for row in map(old.row_of, read) if row is not None]
            if len(rows) == len(read):
                found = {row: (item.entry, item.found) for row, item in zip(rows, intake.read, strict=True)}
                return old.with_rows(found, chosen=chosen), rows
        tree, prints = self._rebuilt(intake)
        return StatCache.of(tree, prints, snapshot_id(tree), chosen=chosen), None

    def _rebuilt(self, intake: Intake) -> tuple[dict[TreePath, Entry], Fingerprints]:
        """Put the tree together anew: paths came or went."""
        old = self.cache
        paths, entries, prints = list(old.tree), list(old.tree.values()), old.fingerprints.rows()
        found = {paths[row]: (entries[row], prints[row]) for row in self.scan.kept}
        fresh = Fingerprints.from_bytes(bytes(intake.prints)).rows()
        found.update(zip(intake.paths, zip(intake.entries, fresh, strict=True), strict=True))
        # Nearly in order: what is kept is, and of what was read only large files come late.
        ordered = sorted(found)
        return (
            {path: found[path][0] for path in ordered},
            Fingerprints.from_bytes(b"".join([found[path][1] for path in ordered])),
        )


def _has_many(root: Path) -> bool:
    """Tell whether *root* surely is a tree of many files, by the size of git's own list."""
    try:
        return (root / ".git/index").stat().st_size > _LARGE_LIST_BYTES
    except OSError:
        return False


def _count_touched(now: Fingerprints, before: Fingerprints) -> int:
    """Tell how many of the files that were there *before* have another time *now*."""
    gone = now.column(0).count(NOTHING.mode)
    return sum(1 for one, other in zip(now.column(2), before.column(2), strict=True) if one != other) - gone


class View:
    """A working tree as it was read; its entries are made when they are asked for.

    Args:
        cache: what was found.
        before: what had been found the last time.
        rows: where they differ; ``None`` if paths came or went, and anything may.
    """

    def __init__(self, cache: StatCache, before: StatCache, rows: Collection[int] | None) -> None:
        self._cache = cache
        self._before = before
        self._rows = rows
        self._compared: tuple[Base, Difference] | None = None

    @property
    def tree(self) -> dict[TreePath, Entry]:
        """The entries, in path order."""
        return self._cache.tree

    @property
    def snapshot(self) -> SnapshotId:
        """Their id."""
        return self._cache.snapshot

    @property
    def files(self) -> int:
        """How many they are."""
        return len(self._cache.paths)

    @cached_property
    def size_bytes(self) -> int:
        """The sum of their sizes."""
        return self._cache.size_bytes

    def difference_from(self, base: Base) -> Difference:
        """Return what makes this out of *base*; if that is what had been found the last time, nothing else is looked at."""
        if self._compared is None or self._compared[0] is not base:
            rows = self._rows
            if rows is None or base.snapshot != self._before.snapshot:
                difference = diff(base.tree, self.tree)
            else:
                path_of = self._cache.paths.__getitem__
                was = {TreePath(path_of(row)): self._before.entry(row) for row in sorted(rows)}
                difference = diff(
                    was, {path: self._cache.entry(row) for path, row in zip(was, sorted(rows), strict=True)}
                )
            self._compared = base, difference
        return self._compared[1]


class Base:
    """What the head says a repository is; its listing is loaded when it is asked for.

    Args:
        head: the head, or None if there is none.
        repo: which repository.
        cache: the last look at the tree: if the head is at that snapshot, its listing is known already.
        load_manifest: loads a manifest.
        may_be_lost: whether a listing that cannot be had counts as that of the empty tree.
    """

    def __init__(
        self,
        head: Head | None,
        repo: str,
        cache: StatCache,
        load_manifest: Callable[[ObjectRef], Manifest],
        *,
        may_be_lost: bool = False,
    ) -> None:
        self._may_be_lost = may_be_lost
        self._head = head
        self._repo = repo
        self._cache = cache
        self._load_manifest = load_manifest
        self._looked_for = 0

    @property
    def snapshot(self) -> SnapshotId | None:
        """The snapshot that the head is at, or None."""
        at = self._head.repos.get(self._repo) if self._head else None
        return at.snapshot if at else None

    @property
    def provenance(self) -> Provenance | None:
        """Who made that snapshot, or None."""
        at = self._head.repos.get(self._repo) if self._head else None
        return at.provenance if at else None

    @property
    def tree(self) -> Mapping[TreePath, Entry]:
        """Its entries."""
        return self._cache.tree if self.snapshot == self._cache.snapshot else self._stored.tree

    @property
    def files(self) -> int:
        """How many they are."""
        return len(self._cache.paths) if self.snapshot == self._cache.snapshot else len(self._stored.tree)

    @property
    def places(self) -> Mapping[Digest, Place]:
        """Where its chunks are."""
        return self._stored.places

    @cached_property
    def digests(self) -> frozenset[Digest]:
        """Every chunk of it."""
        return frozenset(digests_of(self.tree))

    def has(self, digest: Digest) -> bool:
        """Tell whether *digest* is that of a chunk of it; the first few are looked for without its listing."""
        if self._looked_for < _LOOKED_FOR and self.snapshot == self._cache.snapshot:
            self._looked_for += 1
            return self._cache.have_chunk(digest)
        return digest in self.digests

    @cached_property
    def _stored(self) -> Manifest:
        if self._head is None or self.snapshot is None:
            return EMPTY_TREE
        try:
            return tree_of(self._head, self._repo, self._load_manifest)
        except IntegrityError:
            if self._may_be_lost:
                return EMPTY_TREE
            raise


def surprises(root: Path, view: View, base: Base) -> tuple[Problem, ...]:
    """Name what an upload of *view* would bring that may surprise: no file at all, links that leave the tree, names that collide.

    What the head has already is not named again. An earlier look makes no difference, whether or not it led to an upload.

    Args:
        root: where the tree is; the links are read there once more.
        view: what would be uploaded.
        base: what the head has.
    """
    if view.snapshot == base.snapshot:
        return ()
    if not view.files:
        return (Problem(ProblemKind.EMPTY_TREE, str(root), "has no file that takes part: is this the right folder?"),)
    removed, changed, was = view.difference_from(base)
    links = [path for path, entry in changed.items() if entry.kind is FileKind.SYMLINK]
    colliding = collisions(view.tree) if removed or len(changed) > len(was) else ()
    known = collisions(base.tree) if colliding else ()
    return link_notes(root, links) + tuple(problem for problem in colliding if problem not in known)
