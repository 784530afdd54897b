"""What a laptop's working tree is now, and what the head says that it was.

Invariant: looking changes nothing in the tree and nothing in the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple, cast

from synccore.diff import Difference, diff
from synccore.digest import Digest
from synccore.errors import ErrorKind, IntegrityError, InvalidInputError, WorktreeError
from synccore.head import Head
from synccore.intake import Intake, ReadFile
from synccore.keys import repo_name
from synccore.manifest import Entry, FileKind, Manifest, chunks_of, digests_of
from synccore.places import ObjectRef, Place
from synccore.problem import Problem, ProblemKind
from synccore.provenance import Provenance, SnapshotId
from synccore.treepath import TreePath
from synccore.trees import EMPTY_TREE, tree_of
from synccore.worktree.chosen import NOTHING_CHOSEN, Chosen
from synccore.worktree.renamed import renamed
from synccore.worktree.scan import NOTHING, Scan, Unread, link_notes, scan, statuses
from synccore.worktree.selection import AskingFacts, Selecting, collisions
from synccore.worktree.statcache import Fingerprints, StatCache, load_stat_cache, store_stat_cache

# So many chunks are looked for among all digests of a tree, at 0.1 ms each for 30,000, before a set of them is made, which takes 30.
_LOOKED_FOR = 64

# git has to read what has another time, as we have, and a core that it keeps busy is one that we lack: 30,000 touched files, two cores,
# take 1.9 s of processors with it and 1.2 without. So many it reads in 30 ms.
_MANY_TOUCHED = 1000


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

    Attributes:
        asking: what git was asked, as soon as the first change was seen: it needs 70 ms for 30,000 files, on another core.

    Raises:
        InvalidInputError: the name cannot be, or there is no such directory.
        WorktreeError: the disk or git refused.
    """

    def __init__(
        self, source: Source, cache_path: Path, now_ns: Callable[[], int], *, asked: ExitStack | None = None
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
            now = statuses(source.root, self.cache.paths, self.cache.fingerprints, partial(self._ask_early, asked))
            selection = selecting.finish(self.cache.chosen, self.cache.paths)
        self._selected, self._chosen = len(selection.paths), selecting.chosen
        self.is_git = selection.is_git
        self.scan: Scan = scan(source.root, selection.paths, selection.executable, self.cache, now)
        self.problems = selection.problems + self.scan.problems
        self._paths = selection.paths

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
        cache, changes = self._merged(intake)
        if cache is not self.cache:
            # Without it the next look takes longer, and that is all: no reason to stop an upload, of all things, on a full disk.
            with suppress(WorktreeError):
                store_stat_cache(
                    self._cache_path, self.source.root, cache, read_from_ns=self._since_ns, read_until_ns=self._now_ns()
                )
        return View(cache, self.cache, changes)

    def _merged(self, intake: Intake) -> tuple[StatCache, Changes]:
        """Return what the tree is now, as the next look will find it, and what differs from the last."""
        old, scan, read = self.cache, self.scan, intake.read
        unread = {item.path for item in scan.unread}
        # What the store lacks was read again although its status has not changed.
        files = len(scan.kept) + sum(item.path in unread for item in read)
        # What was listed and is not there may come back without git's answers being others.
        chosen = self._chosen if files == self._selected else NOTHING_CHOSEN
        if scan.is_as_cached and not read and chosen == old.chosen:
            return old, Changes()
        if files == len(old.paths):
            # Mostly they are all there or none is: of a renamed directory's 11,694 one is looked for, and not 10 ms long all of them.
            rows = [row for row in takewhile(_is_row, (old.row_of(item.path) for item in read)) if row is not None]
            if len(rows) == len(read):
                found = {row: (item.entry, item.found) for row, item in zip(rows, read, strict=True)}
                return old.with_rows(found, chosen=chosen), Changes(rows)
        return self._rearranged(intake, chosen)

    def _rearranged(self, intake: Intake, chosen: Chosen) -> tuple[StatCache, Changes]:
        """Put the tree together anew: paths came or went.

        No entry of what stayed is made for it: one more file among 30,000 takes 24 ms with the comparison that follows, and not 43.
        """
        old, read = self.cache, intake.read
        row_of: dict[str, int] = {old.paths[row]: row for row in self.scan.kept}
        row_of.update((item.path, number) for number, item in enumerate(read, start=len(old.paths)))
        paths = [path for path in self._paths if path in row_of]
        rows = [row_of[path] for path in paths]
        cache = old.rearranged(paths, rows, [(item.entry, item.found) for item in read], chosen=chosen)
        went = sorted(set(range(len(old.paths))).difference(rows))
        return cache, Changes((), went, {item.path: item.entry for item in read})


def _is_row(row: int | None) -> bool:
    return row is not None


def _count_touched(now: Fingerprints, before: Fingerprints) -> int:
    """Tell how many of the files that were there *before* have another time *now*."""
    gone = now.column(0).count(NOTHING.mode)
    return sum(1 for one, other in zip(now.column(2), before.column(2), strict=True) if one != other) - gone


class Changes(NamedTuple):
    """How a look differs from the last one.

    Attributes:
        rows: where the same path, in the same row, was read anew.
        went: rows of the last look whose path went, or was read anew and is in another row.
        came: what was read at paths that came or are in another row.
    """

    rows: Collection[int] = ()
    went: Sequence[int] = ()
    came: Mapping[TreePath, Entry] = {}


class View:
    """A working tree as it was read; its entries are made when they are asked for.

    Args:
        cache: what was found.
        before: what had been found the last time.
        changes: how they differ.
    """

    def __init__(self, cache: StatCache, before: StatCache, changes: Changes) -> None:
        self._cache = cache
        self._before = before
        self._changes = changes
        self._compared: tuple[Base, Difference] | None = None

    @property
    def tree(self) -> dict[TreePath, Entry]:
        """The entries, in path order."""
        return self._cache.tree

    @property
    def paths(self) -> Sequence[TreePath]:
        """Where they are, in order."""
        paths = self._cache.paths
        return cast("Sequence[TreePath]", paths) if paths and isinstance(paths[0], TreePath) else list(self.tree)

    def entry(self, path: str) -> Entry:
        """Return the entry at *path*, where there is one."""
        row = self._cache.row_of(path)
        if row is None:
            raise KeyError(path)
        return self._cache.entry(row)

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
            if base.snapshot == self._before.snapshot:
                difference = self._difference_from_last()
            else:
                difference = diff(base.tree, self.tree)
            self._compared = base, difference
        return self._compared[1]

    def _difference_from_last(self) -> Difference:
        rows, went, came = self._changes
        before, now = self._before, self._cache
        same = dict(zip(TreePath.many([now.paths[row] for row in sorted(rows)]), sorted(rows), strict=True))
        gone = dict(zip(TreePath.many([before.paths[row] for row in went]), went, strict=True))
        return diff(before.entries({**same, **gone}), {**now.entries(same), **came})


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
    def paths(self) -> Sequence[str]:
        """Where they are, in order."""
        return self._cache.paths if self.snapshot == self._cache.snapshot else sorted(self._stored.tree)

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
    colliding = collisions(view.paths) if removed or len(changed) > len(was) else ()
    known = collisions(base.tree) if colliding else ()
    return link_notes(root, links) + tuple(problem for problem in colliding if problem not in known)
