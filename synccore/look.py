"""What a laptop's working tree is now, and what the head says that it was.

Invariant: looking changes nothing in the tree and nothing in the store.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from itertools import count, takewhile
from operator import ne
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synccore.digest import Digest
from synccore.errors import ErrorKind, InvalidInputError, WorktreeError
from synccore.gitfacts import MAX_DIFFERING, Differing, Doubtful
from synccore.intake import FILES_FOR_PROCESSES, Intake, ReadFile
from synccore.keys import repo_name
from synccore.manifest import FileKind, chunks_of
from synccore.problem import Problem, ProblemKind
from synccore.view import Base, Changes, View
from synccore.workers import join
from synccore.worktree import status_rows
from synccore.worktree.chosen import Chosen
from synccore.worktree.collisions import collisions
from synccore.worktree.foreseen import foreseen
from synccore.worktree.grounds import Grounds, KnownList, circumstances
from synccore.worktree.renamed import renamed
from synccore.worktree.scan import NOTHING, Scan, Unread, link_notes, scan, statuses
from synccore.worktree.statcache import (
    NO_FINGERPRINTS,
    Fingerprints,
    StatCache,
    believable,
    load_stat_cache,
    store_stat_cache,
)

if TYPE_CHECKING:
    from synccore.worktree.ahead import Ahead, StatusesAhead
    from synccore.worktree.asking_facts import AskingFacts
    from synccore.worktree.selection import Selecting

# Git takes longer to list so many files than we to look at them, by as much as an answer from not too far away takes.
_LARGE = 8192

# Where so many files are to be read git is asked when they have been: it has to look at them as we do, and may have to read them, on a core that we
# lack meanwhile (30,000 touched files, two cores: 1.9 s of processors with it, 1.2 without), perhaps for an answer that nobody needs; and what
# was read of so many takes its time to be sent.
_MUCH_TO_READ = 64

# Nobody edits so many files and keeps the size of each.
_MANY_TO_EDIT = 16

# A line of git's own list has 72 bytes and a path.
_LARGE_LIST_BYTES = 150 * FILES_FOR_PROCESSES


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
        ahead: the same look, begun before the engine was there.
        at_same: called when it seems that nothing has changed, though that is not certain yet: of a large tree half of what was there the last
            time is found unchanged, or all and git is still listing, or of many files nothing but the times has changed.
        at_many: called when it is seen that there will be much to read.
        at_leisure: called then, if git still lists it.

    Attributes:
        is_complete: whether all is known that a look shows.
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
        ahead: Ahead | None = None,
        at_same: Callable[[StatCache], object] = lambda _cache: None,
        at_many: Callable[[], object] = lambda: None,
        at_leisure: Callable[[], object] = lambda: None,
    ) -> None:
        self.source = source
        self.repo = repo_name(source.repo)
        self._cache_path = cache_path
        self._now_ns = now_ns
        self._since_ns = now_ns()
        self._unkept: tuple[StatCache, int] | None = None
        self._early_grounds: tuple[Grounds | None, Fingerprints] | None = None
        self._keeping: threading.Thread | None = None
        self.asking: AskingFacts | None = None
        self.is_complete = False
        if not source.root.is_dir():
            raise InvalidInputError(
                ErrorKind.BAD_INPUT, f"repository {self.repo}: {source.root} is not a directory", path=str(source.root)
            )
        begun, others, holding = ahead.take() if ahead is not None else (None, None, b"")
        if ahead is not None:
            self._since_ns = min(self._since_ns, ahead.since_ns)
        self.cache: StatCache = load_stat_cache(cache_path, source.root)
        with begun or self._list(holding) as selecting:
            # While git lists what there is, we look at what was there the last time, which mostly is the same.
            self._selecting, self._touched = selecting, 0
            if not self.cache.paths and _has_many(source.root):
                # What begins while git has a processor to itself need not share one later: 30 ms for 30,000 files.
                at_many()
                at_leisure()
                if asked is not None:
                    self.ask(asked)
            now, above = self._statuses(others, partial(self._ask_early, asked), at_same)
            if self._touched >= FILES_FOR_PROCESSES:
                at_many()
            if self._seems_the_same(now):
                at_same(self.cache)
            rows, moved = foreseen(source.root, self.cache, now)
            selection = selecting.finish(self.cache.chosen, self.cache.paths, above, foreseen=rows)
        self._selected, self._chosen, self._above = len(selection.paths), selecting.chosen, selecting.above
        self.is_git = selection.is_git
        self.scan: Scan = scan(
            source.root, selection.paths, selection.executable, self.cache, now, foreseen=rows, moved=moved
        )
        self.problems = selection.problems + self.scan.problems
        self._paths, self._now = selection.paths, now
        self.is_complete = True

    def _list(self, holding: bytes) -> Selecting | KnownList:
        """Return the list of the last look if git would make it again, and have it make one if not; *holding* as `Ahead.holds`."""
        root, cache, exclusion = self.source.root, self.cache, self.source.exclusion
        grounds = cache.grounds
        if grounds is not None and grounds.circumstances == circumstances(exclusion):
            with suppress(OSError, ValueError):
                if cache.mark == (holding or status_rows.holds(str(root), str(self._cache_path))):
                    return KnownList(cache, grounds)

        from synccore.worktree.selection import Selecting

        return Selecting(root, exclusion=exclusion)

    def _statuses(
        self,
        ahead: StatusesAhead | None,
        at_change: Callable[[Fingerprints, Fingerprints], object],
        at_same: Callable[[StatCache], object],
    ) -> tuple[Fingerprints, bytes]:
        """Look at the paths of the last look, and at the directories above them, if nobody has."""
        cache = self.cache
        names = cache.paths if self._is_list_known else [*cache.paths, *cache.chosen.directories]
        known = ahead if ahead is not None and cache.mark and ahead.is_of(cache.mark) else None
        if known is not None and len(cache.paths) >= _LARGE and _is_half_the_same(known, cache):
            at_same(cache)
        now = statuses(self.source.root, names, cache.fingerprints, at_change, known)
        paths = len(cache.paths)
        return Fingerprints.from_bytes(now.part(0, paths)), now.part(paths, len(names))

    def _seems_the_same(self, now: Fingerprints) -> bool:
        """Tell whether all files of a large tree are as they were, or many of any tree in all but their times: mostly they were only touched."""
        before = self.cache.fingerprints
        if now == before:
            return len(before) >= _LARGE
        many = max(_MANY_TO_EDIT, len(before) // 2)
        return self._touched >= many and all(now.column(number) == before.column(number) for number in (0, 1))

    @property
    def _is_list_known(self) -> bool:
        return isinstance(self._selecting, KnownList)

    def ask(self, asked: ExitStack) -> AskingFacts:
        """Ask git about the tree, if it was not asked yet; it is given up where *asked* ends."""
        if self.asking is None:
            from synccore.worktree.asking_facts import AskingFacts

            among = self._may_differ() if self.is_complete else None
            self.asking = asked.enter_context(AskingFacts(self.source.root, beside=self._selecting, among=among))
        return self.asking

    def _may_differ(self) -> Doubtful | None:
        """Name all that git tracks and that may differ from the commit from which the last look's did; ``None`` if that may be anything.

        Git's answer about the last look holds for what has changed neither here nor among what git tracks since.
        """
        known, cache, listing = self.cache.differing, self.cache, self._selecting.git_listing
        if known is None or listing is None or not known.tracked or listing.tracked() != known.tracked:
            return None
        kept, sizes = set(self.scan.kept), self._now.column(1)
        changed = [row for row in range(len(cache.paths)) if row not in kept]
        gone = frozenset([cache.paths[row] for row in changed if sizes[row] == NOTHING.size_bytes])
        # What git tracks it lists even if it is gone, and says that it differs.
        gone = gone.intersection(self._paths) if gone else gone
        doubtful = {cache.paths[row] for row in changed}.union(known.paths) - gone
        return Doubtful(known.commit, tuple(sorted(doubtful)), gone) if len(doubtful) <= MAX_DIFFERING else None

    def _tracked(self) -> bytes:
        """Return a digest of what git tracks if all of that is in the list; otherwise nothing."""
        listing = self._selecting.git_listing
        is_all = listing is not None and self._chosen.key and listing.count() == self._selected
        return listing.tracked() if listing is not None and is_all else b""

    def _ask_early(self, asked: ExitStack | None, now: Fingerprints, before: Fingerprints) -> None:
        """Ask git about a tree of which a part is *now* other than *before*, unless there is much to read."""
        gone = now.column(0).count(NOTHING.mode)
        self._touched += sum(map(ne, now.column(2), before.column(2))) - gone
        # Where it may be enough to ask about few paths, it is not known yet which.
        known = self.cache.differing
        if asked is not None and (known is None or not known.tracked) and not self.has_much_to_read:
            self.ask(asked)

    @property
    def has_much_to_read(self) -> bool:
        """Whether so many files are new, or have another time, that git had better be asked when they have been read; unless it is asked already."""
        fresh = len(self.scan.unread) if self.is_complete and not self.cache.paths else 0
        return self.asking is None and max(self._touched, fresh) > _MUCH_TO_READ

    @property
    def count(self) -> int:
        """How many files there are."""
        root = self.source.root
        unseen = sum(item.found is None and not os.path.lexists(root / item.path) for item in self.scan.unread)
        return len(self.scan.kept) + len(self.scan.moved) + len(self.scan.unread) - unseen

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

    def finish(self, intake: Intake, meanwhile: ExitStack | None = None) -> View:
        """Put together what the scan knew and what *intake* has read, and keep it for the next look.

        Args:
            intake: what was read.
            meanwhile: at its end the next look's cache is kept, if `keep` was not called before: with 30,000 files that takes 10 ms, in
                which most of what follows has to wait for the network; ``None`` keeps it at once.
        """
        cache, changes = self._merged(intake)
        if cache is not self.cache or (cache.chosen.directories and not self._is_list_known):
            self._unkept = cache, self._now_ns()
            if meanwhile is None or cache is self.cache:
                self.keep(None)
            if meanwhile is None:
                self._settle()
            else:
                meanwhile.callback(self._settle)
        return View(cache, self.cache, changes)

    def keep(self, differing: Differing | None) -> None:
        """Begin to keep what was found, along with what git has found to *differ* by now; only what is said first counts."""
        if self._unkept is not None:
            cache, until_ns = self._unkept
            self._unkept = None
            if differing is not None:
                cache.differing = differing._replace(tracked=self._tracked())
            elif (cache.snapshot, cache.chosen) == (self.cache.snapshot, self.cache.chosen):
                cache.differing = self._still_differing()
            self._keeping = threading.Thread(target=self._keep, args=(cache, until_ns), name="keep")
            self._keeping.start()

    def _still_differing(self) -> Differing | None:
        """Return git's answer about the last look if it holds for the same files still: it does not where something else was staged since."""
        known, listing = self.cache.differing, self._selecting.git_listing
        return known if known is not None and listing is not None and listing.tracked() == known.tracked else None

    def _settle(self) -> None:
        self.keep(None)
        if self._keeping is not None:
            join(self._keeping)

    def _keep(self, cache: StatCache, until_ns: int) -> None:
        # Without it the next look takes longer, and that is all: no reason to stop an upload, of all things, on a full disk.
        with suppress(WorktreeError, UnicodeEncodeError):
            before = self.cache.grounds, self.cache.above
            cache.grounds, cache.above = self._early_grounds or self._grounds()
            until_ns = max(until_ns, self._now_ns()) if cache.grounds is not None else until_ns
            bounds = {"read_from_ns": self._since_ns, "read_until_ns": until_ns}
            if cache is not self.cache or (cache.grounds, believable(cache.above, **bounds)) != before:
                store_stat_cache(self._cache_path, self.source.root, cache, **bounds)

    def find_grounds(self) -> None:
        """Find out now what the list followed from, and not when all else is done."""
        if self._early_grounds is None:
            with suppress(WorktreeError, UnicodeEncodeError):  # as in `_keep`
                self._early_grounds = self._grounds()

    def _grounds(self) -> tuple[Grounds | None, Fingerprints]:
        """Return what the list followed from, and what was found there and at the directories above it."""
        directories = self._chosen.directories
        if not directories:
            return None, NO_FINGERPRINTS
        if isinstance(self._selecting, KnownList):
            return self.cache.grounds, self.cache.above
        listing, above = self._selecting.git_listing, self._above
        if listing is None or not above:
            return None, Fingerprints.from_bytes(above)

        from synccore.worktree.finding_grounds import find_grounds

        root, sizes = self.source.root, Fingerprints.from_bytes(above).column(1)
        # Of a tracked file that is gone the directory may be gone too.
        there = [name for name, size in zip(directories, sizes, strict=True) if size != NOTHING.size_bytes]
        grounds = find_grounds(root, self.source.exclusion, there, listing)
        return grounds, Fingerprints.from_bytes(above + (statuses(root, grounds.names).to_bytes() if grounds else b""))

    def _merged(self, intake: Intake) -> tuple[StatCache, Changes]:
        """Return what the tree is now, as the next look will find it, and what differs from the last."""
        old, scan, read = self.cache, self.scan, intake.paths
        unread = {item.path for item in scan.unread}
        # What the store lacks was read again although its status has not changed.
        files = len(scan.kept) + len(scan.moved) + len(unread.intersection(read))
        # What was listed and is not there may come back without git's answers being others; only the directories would tell.
        chosen = self._chosen if files == self._selected else self._chosen._replace(key=b"")
        if scan.is_as_cached and not read and chosen == old.chosen:
            return old, Changes()
        if files == len(old.paths) and not scan.moved:
            # Mostly they are all there or none is: of a renamed directory's 11,694 one is looked for, and not 10 ms long all of them.
            rows = [row for row in takewhile(_is_row, map(old.row_of, read)) if row is not None]
            if len(rows) == len(read):
                found = {row: (item.entry, item.found) for row, item in zip(rows, intake.read, strict=True)}
                return old.with_rows(found, chosen=chosen), Changes(rows)
        return self._rearranged(intake, chosen) if scan.kept or scan.moved else self._made(intake, chosen)

    def _made(self, intake: Intake, chosen: Chosen) -> tuple[StatCache, Changes]:
        """Put the tree together of what was read: nothing stayed."""
        fresh, paths = Fingerprints.from_bytes(bytes(intake.prints)).rows(), intake.paths
        order = sorted(range(len(paths)), key=paths.__getitem__)
        tree = dict(zip(map(paths.__getitem__, order), map(intake.entries.__getitem__, order), strict=True))
        prints = Fingerprints.from_bytes(b"".join(map(fresh.__getitem__, order)))
        went = range(len(self.cache.paths))
        return StatCache.of(tree, prints, chosen=chosen), Changes((), went, tree)

    def _rearranged(self, intake: Intake, chosen: Chosen) -> tuple[StatCache, Changes]:
        """Put the tree together anew: paths came or went.

        No entry of what stayed is made for it: one more file among 30,000 takes 24 ms with the comparison that follows, and not 43.
        """
        old, moved = self.cache, self.scan.moved
        row_of: dict[str, int] = {old.paths[row]: row for row in self.scan.kept}
        row_of.update(moved.items())
        row_of.update(zip(intake.paths, count(len(old.paths))))
        paths = [path for path in self._paths if path in row_of]
        rows = [row_of[path] for path in paths]
        prints = Fingerprints.from_bytes(bytes(intake.prints))
        cache = old.rearranged(paths, rows, intake.entries, prints, chosen=chosen)
        went = sorted(set(range(len(old.paths))).difference(rows).union(moved.values()))
        came = old.entries(moved)
        came.update(zip(intake.paths, intake.entries, strict=True))
        return cache, Changes((), went, came)


def _is_half_the_same(ahead: StatusesAhead, cache: StatCache) -> bool:
    """Tell whether the other process has found as much unchanged: mostly all is, and to look at the rest takes as long as an answer from near by."""
    done = min(ahead.rows_done(), len(cache.paths))
    return 2 * done >= len(cache.paths) and ahead.rows(0, done) == cache.fingerprints.part(0, done)


def _is_row(row: int | None) -> bool:
    return row is not None


def _has_many(root: Path) -> bool:
    """Tell whether *root* surely is a tree of many files, by the size of git's own list."""
    try:
        return (root / ".git/index").stat().st_size > _LARGE_LIST_BYTES
    except OSError:
        return False


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
    colliding = collisions(view.paths, view.directories) if removed or len(changed) > len(was) else ()
    known = collisions(base.tree) if colliding else ()
    return link_notes(root, links) + tuple(problem for problem in colliding if problem not in known)
