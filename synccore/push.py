"""Carry working trees into the store: look, read what changed, store what is missing, move the head.

Invariant: the head is moved last, and once, for all repositories together; whatever is interrupted before that has
changed nothing that a reader can see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from enum import Enum
from functools import cache, cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from synccore.asking_head import AskingHead
from synccore.digest import Digest
from synccore.draft import Draft, RepoDraft, UnplacedError, draft_head
from synccore.errors import ConflictError, ErrorKind, IntegrityError, InvalidInputError, WorktreeError
from synccore.gitfacts import GitFacts
from synccore.intake import FILES_FOR_PROCESSES, Intake, ReadFile, take_in
from synccore.journal import Counts
from synccore.look import Look, Source, surprises
from synccore.outlet import Outlet
from synccore.problem import Problem, ProblemKind
from synccore.progress import Progress, ProgressListener, ignore_progress
from synccore.provenance import SnapshotId
from synccore.reading import Claims
from synccore.refs import HeadAt, NoHead, move_head
from synccore.store import Store
from synccore.view import Base, View
from synccore.worktree.laptop import Seen
from synccore.worktree.scan import Unread

if TYPE_CHECKING:
    from synccore.reading_processes import ReadingProcesses
    from synccore.worktree.ahead import Ahead
    from synccore.worktree.asking_facts import AskingFacts
    from synccore.worktree.statcache import StatCache

_GUARD_FILES = 100
_GUARD_SHARE = 0.5
_LOCK_WAIT_SECONDS = 30.0
_MOVE_ATTEMPTS = 5
_READ_ATTEMPTS = 3

_NOTHING_AHEAD: Mapping[str, Ahead] = {}

_BLOCKING = frozenset({ProblemKind.UNREADABLE, ProblemKind.UNSTABLE})


class PushOutcome(str, Enum):
    """What a push did for one repository."""

    UNCHANGED = "unchanged"
    PUBLISHED = "published"


class RepoPush(NamedTuple):
    """What a push did for one repository.

    Attributes:
        repo: its name.
        outcome: whether there was anything to do.
        snapshot: the snapshot that the store has now.
        previous: the one it had before, or ``None``.
        counts: what differs from the previous snapshot, and how large the tree is.
        git: what the snapshot's record says of git; ``None`` where nothing was published or there is no git.
        notes: what the user should know, such as a socket that was left out or a link that leaves the tree.
    """

    repo: str
    outcome: PushOutcome
    snapshot: SnapshotId
    previous: SnapshotId | None
    counts: Counts
    git: GitFacts | None
    notes: tuple[Problem, ...]


class PushReport(NamedTuple):
    """What a push did.

    Attributes:
        repos: one line each, in the order asked for.
        folded: whether the journal was moved out of the head on the way.
    """

    repos: tuple[RepoPush, ...]
    folded: bool


class _Order(NamedTuple):
    """What `push` was asked for; its arguments."""

    sources: Sequence[Source]
    store: Store
    force: bool
    repair: bool
    progress: ProgressListener
    ahead: Mapping[str, Ahead]
    asking_head: AskingHead


class _Item:
    """One repository on its way: how it was found, how it was read, and what git is asked about it meanwhile."""

    def __init__(self, look: Look, view: View, notes: tuple[Problem, ...], asking: AskingFacts | None) -> None:
        self.look = look
        self.view = view
        self.notes = notes
        self._asking = asking

    @cached_property
    def git(self) -> GitFacts | None:
        """What git says of it."""
        if self._asking is not None:
            facts = self._asking.finish()
            self.look.keep(self._asking.differing)
            return facts
        if not self.look.is_git:
            return None

        from synccore.worktree.asking_facts import git_facts

        return git_facts(self.look.source.root)


def push(
    sources: Sequence[Source],
    *,
    store: Store,
    force: bool = False,
    repair: bool = False,
    progress: ProgressListener = ignore_progress,
    ahead: Mapping[str, Ahead] = _NOTHING_AHEAD,
    asking_head: AskingHead | None = None,
) -> PushReport:
    """Make the head name *sources* as they are on the disk now, all together.

    Costs one conditional get if nothing changed, and one conditional put after an everyday edit.

    Args:
        sources: what to push; other repositories of the user stay as they are.
        store: where to.
        force: replace snapshots that this machine has never seen, and accept that most files of a tree have vanished.
        repair: store every content and listing of *sources* anew, changed or not: what is stored may be damaged.
        progress: hears of files read.
        ahead: looks at some of *sources* that were begun already, by repository.
        asking_head: a question to *store* that may have been begun already.

    Raises:
        ConflictError: `UNSEEN_SNAPSHOT`: the head has a snapshot that this machine has never seen.
        WorktreeError: `DELETION_GUARD`; `PROBLEMS`: a file could not be read; or the disk refused. Nothing was published.
        InvalidInputError: a name cannot be, or there is no such directory.
        SyncError: as the storage says.
    """
    repeated = {source.repo for source in sources if sum(other.repo == source.repo for other in sources) > 1}
    if repeated:
        raise InvalidInputError(ErrorKind.BAD_INPUT, f"repository {min(repeated)} is given twice")
    order = _Order(sources, store, force, repair, progress, ahead, asking_head or AskingHead(store))
    with store.state.alone(_LOCK_WAIT_SECONDS):
        seen = store.state.seen()
        at = seen.at if seen is not None and not repair else store.read_head()
        for _ in range(_READ_ATTEMPTS):
            try:
                return _push(order, seen, at)
            except UnplacedError:  # noqa: PERF203 - an attempt is a whole upload
                at = store.read_head()
            except IntegrityError:
                # What an old head needs may have been pruned; what the newest needs may not.
                newer = store.newer_head(at)
                if newer is None:
                    raise
                at = newer
    raise _moved_too_often(store, _READ_ATTEMPTS)


def _push(order: _Order, seen: Seen | None, at: HeadAt | NoHead) -> PushReport:
    """Push what *order* says, read against the head *at*; *seen* is what this machine has seen last.

    Raises:
        UnplacedError: they have to be read again, against the newest head.
    """
    store = order.store
    with Outlet(store.objects) as outlet, ExitStack() as asked:
        processes = _processes(asked)
        looks = _looks(order, seen, at, asked=asked, processes=processes)
        bases = [_base(store, at, look, repair=order.repair) for look in looks]
        if not order.force:
            for look, base in zip(looks, bases, strict=True):
                _guard_deletions(look, base)
        # What is to be stored anew is read as if nothing were stored.
        against = [_base(store, NoHead(), look) for look in looks] if order.repair else bases
        asking = [_begin_asking(look, base, asked) for look, base in zip(looks, bases, strict=True)]
        items = _read(looks, against, asking, asked=asked, outlet=outlet, processes=processes, progress=order.progress)
        return _publish(order, seen, at, items, bases, outlet=outlet)


def _looks(
    order: _Order,
    seen: Seen | None,
    at: HeadAt | NoHead,
    *,
    asked: ExitStack,
    processes: Callable[[], ReadingProcesses],
) -> list[Look]:
    """Look at all trees, and ask whether the head has moved as soon as that seems to be all that is left to find out."""
    sources, store = order.sources, order.store
    looks: list[Look] = []

    def is_stored(repo: str, cache: StatCache) -> bool:
        there = at.head.repos.get(repo) if isinstance(at, HeadAt) else None
        return there is not None and there.snapshot == cache.snapshot

    def at_same(cache: StatCache) -> None:
        repo = sources[len(looks)].repo
        are_same = all(look.scan.is_as_cached and is_stored(look.repo, look.cache) for look in looks)
        if seen is not None and at is seen.at and repo == sources[-1].repo and are_same and is_stored(repo, cache):
            order.asking_head.begin(seen.at)

    for source in sources:
        cache_path = store.state.stat_cache_path(source.repo)
        looks.append(
            Look(
                source,
                cache_path,
                store.now_ns,
                asked=asked,
                ahead=order.ahead.get(source.repo),
                at_same=at_same,
                at_many=processes,
                at_leisure=lambda: processes().prepare(),
            )
        )
    return looks


def _processes(stack: ExitStack) -> Callable[[], ReadingProcesses]:
    """Return what calls for processes when it is first asked for them, and has them end where *stack* does."""

    @cache
    def processes() -> ReadingProcesses:
        from synccore.reading_processes import ReadingProcesses

        return stack.enter_context(ReadingProcesses())

    return processes


def _base(store: Store, at: HeadAt | NoHead, look: Look, *, repair: bool = False) -> Base:
    head = at.head if isinstance(at, HeadAt) else None
    return Base(head, look.repo, look.cache, store.load_manifest, may_be_lost=repair)


def _guard_deletions(look: Look, base: Base) -> None:
    """Stop if a tree looks as if it had been lost and not edited: empty, or less than half of what was many files.

    What was renamed is no loss, so it is the number of files that counts.

    Raises:
        WorktreeError: `DELETION_GUARD`.
    """
    if base.snapshot is None or (look.scan.is_as_cached and base.snapshot == look.cache.snapshot):
        return
    before = base.files
    now = look.count
    if (before and not now) or (before >= _GUARD_FILES and now < _GUARD_SHARE * before):
        raise WorktreeError(
            ErrorKind.DELETION_GUARD,
            f"repository {look.repo}: {look.source.root} has {now} files now, of {before} that the store has",
            path=str(look.source.root),
            repo=look.repo,
        )


def _begin_asking(look: Look, base: Base, asked: ExitStack) -> AskingFacts | None:
    """Ask git about a tree that will probably be uploaded, unless it is asked already or there is much to read first."""
    if not look.is_git or look.has_much_to_read or (look.scan.is_as_cached and look.cache.snapshot == base.snapshot):
        return None
    return look.ask(asked)


def _read(
    looks: list[Look],
    bases: list[Base],
    asking: list[AskingFacts | None],
    *,
    asked: ExitStack,
    outlet: Outlet,
    processes: Callable[[], ReadingProcesses],
    progress: ProgressListener,
) -> list[_Item]:
    """Read what the scans could not vouch for.

    Raises:
        WorktreeError: `PROBLEMS`: a file could not be read; everything else was, and is remembered.
    """

    def is_stored(digest: Digest) -> bool:
        return any(base.has(digest) for base in bases)

    claims = Claims(is_stored, lambda: chain.from_iterable(base.digests for base in bases))
    items = []
    unreadable: list[tuple[str, Problem]] = []
    renamed = [list(look.renamed(base, is_stored)) for look, base in zip(looks, bases, strict=True)]
    unread = [
        _but_for(known, [*look.scan.unread, *look.unstored(base, is_stored)])
        for look, base, known in zip(looks, bases, renamed, strict=True)
    ]
    total = sum(map(len, unread)) + sum(map(len, renamed))
    done = 0
    for look, base, known, to_read, begun in zip(looks, bases, renamed, unread, asking, strict=True):
        intake, question, is_much = Intake(read=known), begun, len(to_read) >= FILES_FOR_PROCESSES
        for block in take_in(look.source.root, to_read, claims, intake, processes, is_keeping_up=outlet.is_keeping_up):
            outlet.add([block])
            if is_much:
                # Others read meanwhile; at the end, where it takes 45 ms of 30,000 files, they would have nothing to do.
                look.find_grounds()
            progress(Progress(phase="read", done=done + len(intake.paths), total=total, unit="files"))
        done += len(intake.paths)
        if look is looks[-1]:
            outlet.end_contents()
        view = look.finish(intake, asked)
        if question is None and look.is_git and view.snapshot != base.snapshot:
            question = look.ask(asked)
        problems = look.problems + tuple(intake.problems)
        unreadable += [(look.repo, problem) for problem in problems if problem.kind in _BLOCKING]
        items.append(_Item(look, view, problems + surprises(look.source.root, view, base), question))
    if unreadable:
        repo, first = unreadable[0]
        more = f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        raise WorktreeError(
            ErrorKind.PROBLEMS,
            f"repository {repo}: {first.path} {first.detail}{more}; nothing was uploaded",
            path=first.path,
            problems=[problem for _, problem in unreadable],
        )
    return items


def _but_for(known: list[ReadFile], unread: list[Unread]) -> list[Unread]:
    """Return what is *unread*, by a scan and then by others, and not *known*, in path order."""
    paths = {item.path for item in known}
    return sorted([item for item in unread if item.path not in paths])


def _publish(
    order: _Order, seen: Seen | None, at: HeadAt | NoHead, items: list[_Item], bases: list[Base], *, outlet: Outlet
) -> PushReport:
    """Move the head to what *items* are, again on top of another writer's move if need be.

    Raises:
        UnplacedError: the move of the other was one after which *items* have to be read again.
    """
    store = order.store
    for _ in range(_MOVE_ATTEMPTS):
        unseen = None if order.force else _unseen(items, bases, seen, store)
        pending = [] if unseen else _pending(items, bases, repair=order.repair)
        if pending:
            order.asking_head.settle()
            moved = _move(pending, outlet, store=store, at=at)
            if moved is not None:
                draft, there = moved
                _keep_seen(store, seen, there, items)
                return _report(items, pending, folded=draft.folded)
            at = store.read_head()
        else:
            newer = order.asking_head.finish(at) if seen is not None and at is seen.at else None
            if newer is None:
                if unseen is not None:
                    raise unseen
                if isinstance(at, HeadAt):
                    _keep_seen(store, seen, at, items)
                return _report(items, [], folded=False)
            at = newer
        # Whoever moved the head may have been a prune that has chosen what we stored before we read the head it left.
        if not store.objects.are_safe(outlet.sent):
            raise UnplacedError
        bases = [_base(store, at, item.look, repair=order.repair) for item in items]
    raise _moved_too_often(store, _MOVE_ATTEMPTS)


def _moved_too_often(store: Store, times: int) -> ConflictError:
    return ConflictError(
        ErrorKind.VERSION_MOVED, f"the head of {store.user} moved {times} times while this upload tried to move it"
    )


def _keep_seen(store: Store, seen: Seen | None, at: HeadAt, items: list[_Item]) -> None:
    """Remember the head *at*, in which *items* are as they are here; other repositories of it were not compared.

    A disk that refuses this does not make undone what the head says: the next upload finds out anew, and knows its own by
    what was noted before the head was moved.
    """
    here = {item.look.repo: item.view.snapshot for item in items}
    now = Seen(at, {**(seen.snapshots if seen else {}), **here})
    if now != seen:
        with suppress(WorktreeError):
            store.state.keep_seen(now, settled=here)


def _move(
    pending: list[RepoDraft], outlet: Outlet, *, store: Store, at: HeadAt | NoHead
) -> tuple[Draft, HeadAt] | None:
    """Store what *pending* needs and move the head; ``None`` if somebody else was faster."""
    draft = draft_head(
        pending,
        at.head if isinstance(at, HeadAt) else None,
        outlet=outlet,
        objects=store.objects,
        load_manifest=store.load_manifest,
        author=store.author,
        at_ms=store.now_ns() // 1_000_000,
    )
    outlet.wait()
    replacing = at.version if isinstance(at, HeadAt) else None
    store.state.note_sent({item.repo: item.view.snapshot for item in pending})
    try:
        moved = move_head(store.backend, store.user, draft.head, replacing=replacing, patience=store.patience)
    except ConflictError:
        return None
    with suppress(WorktreeError):  # as in `_keep_seen`
        for manifest in draft.manifests:
            store.state.keep_manifest(manifest.ref, manifest.data)
    return draft, moved


def _unseen(items: list[_Item], bases: list[Base], seen: Seen | None, store: Store) -> ConflictError | None:
    """Say what is wrong with replacing a snapshot that this machine has never had; ``None`` if none would be replaced."""
    for item, base in zip(items, bases, strict=True):
        repo, there = item.look.repo, base.snapshot
        known = seen.snapshots.get(repo) if seen is not None else None
        if there is None or there in (known, item.view.snapshot) or there in store.state.sent(repo):
            continue
        by = base.provenance
        if by is None:
            continue
        difference = item.view.difference_from(base)
        return ConflictError(
            ErrorKind.UNSEEN_SNAPSHOT,
            f"repository {repo}: the store has snapshot {there.hex()[:12]}, which {by.author.user} uploaded from "
            f"{by.author.host} at {_utc(by.at_ms)} and which this machine has never seen; this upload would replace "
            f"{len(difference.was)} of its files, delete {len(difference.removed)} "
            f"and add {len(difference.changed) - len(difference.was)}",
            repo=repo,
            snapshot=there.hex(),
            user=by.author.user,
            host=by.author.host,
            at_ms=by.at_ms,
        )
    return None


def _utc(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at_ms // 1000))


def _pending(items: list[_Item], bases: list[Base], *, repair: bool) -> list[RepoDraft]:
    """Return what differs from the head, or all if it is to be stored anew."""
    return [
        RepoDraft(
            repo=item.look.repo,
            view=item.view,
            base=base,
            beside=bases,
            asked=item,
            is_whole=repair,
        )
        for item, base in zip(items, bases, strict=True)
        if repair or item.view.snapshot != base.snapshot
    ]


def _report(items: list[_Item], moved: list[RepoDraft], *, folded: bool) -> PushReport:
    drafts = {draft.repo: draft for draft in moved}
    repos = tuple(_repo_report(item, drafts.get(item.look.repo)) for item in items)
    return PushReport(repos=repos, folded=folded)


def _repo_report(item: _Item, draft: RepoDraft | None) -> RepoPush:
    view = item.view
    counts = Counts(0, 0, 0, view.files, view.size_bytes)
    return RepoPush(
        repo=item.look.repo,
        outcome=PushOutcome.UNCHANGED if draft is None else PushOutcome.PUBLISHED,
        snapshot=view.snapshot,
        previous=view.snapshot if draft is None else draft.base.snapshot,
        counts=counts if draft is None else draft.counts,
        git=None if draft is None else draft.git,
        notes=item.notes,
    )
