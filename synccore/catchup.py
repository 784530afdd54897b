"""Doing what a moved head asks for: fetch what differs, write it, remember it.

Invariant: nothing in a tree is touched before its plan is made and the first of its contents has arrived, and the state is
recorded after the last file, so that whatever is interrupted is completed or healed by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synccore import wire
from synccore.backends.base import Found, Reader, Unchanged
from synccore.begun import parse_begun
from synccore.carryout import Done, Task, carry_out
from synccore.digest import Digest
from synccore.errors import IntegrityError
from synccore.head import Head, RepoHead, decode_head
from synccore.journal import Change, Delta, decode_delta
from synccore.keys import head_key
from synccore.manifest import Manifest, decode_checked_before, refuse_file_above_file
from synccore.places import ObjectRef, Place
from synccore.plan import Plan, plan_from_deltas, plan_from_trees
from synccore.progress import ProgressListener
from synccore.provenance import SnapshotId
from synccore.pullreport import PullOutcome, PullReport, RepoPull, unchanged
from synccore.repository import ObjectReader, StoredManifest
from synccore.trees import EMPTY_TREE, chain, changes_above, deltas_above, follow
from synccore.worktree.aftermath import boot_id, unsettled
from synccore.worktree.lock import TreeLock
from synccore.worktree.machine import MachineMemory, State, TreeState
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.staging import sweep_all_staging

if TYPE_CHECKING:
    from synccore.building_processes import BuildingProcesses

# Past this the kept deltas are replaced by a listing, so that reading them stays cheap.
_MAX_DELTA_BYTES = 2**20


def catch_up(
    home: Path,
    *,
    user: str,
    backend: Reader,
    identity: str,
    found: Found,
    was: State,
    now_ns: Callable[[], int],
    lock_wait_seconds: float,
    progress: ProgressListener,
    before_writing: Callable[[], None],
) -> PullReport:
    """Bring the trees under *home* to the head that was *found*; see `synccore.pull.pull`.

    Args:
        home: the directory that holds the trees.
        user: whose head.
        backend: the storage.
        identity: names the store and user in the state.
        found: the head's stored bytes and version.
        was: the state that *found* was asked with.
        now_ns: the clock.
        lock_wait_seconds: how long to wait for another pull.
        progress: hears of files written.
        before_writing: called before anything in a tree is touched; may raise to end the pull.
    """
    memory = MachineMemory(home)
    with TreeLock(memory.lock_path, now_ns=now_ns).held(lock_wait_seconds) as lock:
        if lock.after_crash:
            memory.sweep()
            sweep_all_staging(home)
        state = memory.load(identity)
        if state.version != was.version:
            # Another process was at work while we waited: what we were told may be older than what it has written.
            again = backend.get(head_key(user), unless=state.version)
            if isinstance(again, Unchanged):
                return PullReport(repos=tuple(unchanged(repo, tree) for repo, tree in sorted(state.kept(home).items())))
            found = again
        head = decode_head(found.data, f"head {head_key(user)}")
        objects = ObjectReader(backend, user)
        with _building_processes(home, head, state) as processes:
            tasks = _tasks(home, head, state, memory, objects)
            before_writing()
            done = carry_out(
                tasks,
                memory=memory,
                objects=objects,
                rescue=RescueFolder(home, now_ns=now_ns),
                processes=processes,
                progress=progress,
                after_crash=lock.after_crash,
            )
        trees = {**_stopped(state, head, home), **{task.repo: _remember(task, memory, state) for task in tasks}}
        after = State(identity, found.version, {**_confirmed(state, head), **trees}, boot_id())
        memory.store(after)
        for task in tasks:
            memory.forget_begun(task.repo)
        memory.forget_other_bases(after)
        return PullReport(repos=tuple(_line(repo, after, state, done) for repo in sorted(after.trees)))


def _building_processes(home: Path, head: Head, state: State) -> AbstractContextManager[BuildingProcesses | None]:
    """Have others begin to come who help with the trees that are to be built; they need as long as it takes to plan."""
    files = sum(at.files for repo, at in head.repos.items() if repo not in state.trees and _is_free(home / repo))
    if not files:
        return nullcontext()
    from synccore.building_processes import BuildingProcesses

    return BuildingProcesses(files)


def _confirmed(state: State, head: Head) -> dict[str, TreeState]:
    """Return the trees that the head names and that need nothing."""
    return {
        repo: tree._replace(is_stopped=False, provenance=head.repos[repo].provenance)
        for repo, tree in state.trees.items()
        if repo in head.repos
    }


def _stopped(state: State, head: Head, home: Path) -> dict[str, TreeState]:
    """Return the trees that the head does not name any more; they stay as they are, and are forgotten when they go."""
    gone = {repo: tree._replace(is_stopped=True) for repo, tree in state.trees.items() if repo not in head.repos}
    return state._replace(trees=gone).kept(home)


def _line(repo: str, after: State, before: State, done: dict[str, Done]) -> RepoPull:
    line = unchanged(repo, after.trees[repo])
    if repo not in done:
        return line
    what = done[repo]
    if repo in before.trees and not (what.written or what.removed) and line.snapshot == before.trees[repo].snapshot:
        return line
    return line._replace(
        outcome=PullOutcome.UPDATED if repo in before.trees else PullOutcome.CREATED,
        written=tuple(what.written),
        removed=tuple(what.removed),
        saved=tuple(what.saved),
    )


# Planning


def _tasks(home: Path, head: Head, state: State, memory: MachineMemory, objects: ObjectReader) -> list[Task]:
    """Plan every tree that is not what the head names; the listings that are needed come in one round.

    One that an unfinished run was at is none, though its last recorded state may be the very one that the head names again.
    """
    unfinished = memory.unfinished()
    moved = {
        repo: at
        for repo, at in head.repos.items()
        if repo not in state.trees
        or state.trees[repo].snapshot != at.snapshot
        or state.is_after_restart
        or repo in unfinished
        or not (home / repo).is_dir()
    }
    here = _Here(home, head, state, memory, objects)
    planned = {repo: _task_by_deltas(repo, at, here) for repo, at in moved.items()}
    listed = [at.manifest for repo, at in moved.items() if planned[repo] is None and at.manifest is not None]
    # Of what nothing stands here and nothing has changed since its listing, all is going to be fetched.
    whole = {
        at.manifest
        for repo, at in moved.items()
        if at.manifest is not None and _is_free(home / repo) and not changes_above(head.records, repo, at.base)
    }
    manifests = {stored.ref: stored for stored in objects.load_manifests(listed, expect_all=whole)}
    return [planned[repo] or _task_by_trees(repo, at, here, manifests) for repo, at in moved.items()]


class _Here(NamedTuple):
    """What planning looks at."""

    home: Path
    head: Head
    state: State
    memory: MachineMemory
    objects: ObjectReader


def _task_by_deltas(repo: str, at: RepoHead, here: _Here) -> Task | None:
    """Plan along the journal; ``None`` if it does not lead here from what this machine has."""
    root, tree = here.home / repo, here.state.trees.get(repo)
    if here.state.is_after_restart:
        return None
    if tree is None or not root.is_dir() or tree.delta_bytes > _MAX_DELTA_BYTES or here.memory.begun(repo) is not None:
        return None
    changes = chain(here.head.records, repo, tree.snapshot, at.snapshot)
    if changes is None:
        return None
    deltas = [decode_delta(change, f"a record of {repo} in the head") for change in changes]
    if any(delta.manifest is not None for delta in deltas):
        return None
    plan = _plan_along(deltas, repo, tree, here)
    if plan is None:
        return None
    return Task(
        repo=repo,
        root=root,
        target=at,
        plan=plan,
        places=_LatePlaces(deltas, lambda: _target(repo, at, here.head, _listing(at, here.objects)).places, what=repo),
        is_fresh=False,
        manifest=None,
        changes=changes,
    )


def _plan_along(deltas: list[Delta], repo: str, tree: TreeState, here: _Here) -> Plan | None:
    """Plan along *deltas* from the state *tree*; ``None`` if what they move is not known here."""
    what = f"what the records say of {repo} in the head"
    if not any(delta.moves for delta in deltas):
        plan = plan_from_deltas(deltas)
        # Of what the deltas do not name nothing is known here: if a file of that is to be a directory, it is saved as an edit is.
        refuse_file_above_file(plan.writes, what)
        return plan
    base = _base(repo, tree, here.memory)
    if base.snapshot != tree.snapshot:
        return None
    return plan_from_trees(base.tree, follow(base, deltas, here.head.repos[repo].snapshot, what).tree)


class _LatePlaces(dict[Digest, Place]):
    """Where the chunks are that *deltas* bring; where those of files that only move are is found out when one is to be fetched all the same.

    That is when somebody has edited one of them. What was kept here of the listing may name what has been pruned since.
    """

    def __init__(self, deltas: Iterable[Delta], load: Callable[[], dict[Digest, Place]], *, what: str) -> None:
        super().__init__()
        for delta in deltas:
            self.update(delta.places)
        self._load = load
        self._what = what

    def __missing__(self, digest: Digest) -> Place:
        self.update(self._load())
        place = self.get(digest)
        if place is None:
            wire.damaged(f"repository {self._what} in the head", f"does not say where the chunk {digest.hex()} is")
        return place


def _listing(at: RepoHead, objects: ObjectReader) -> StoredManifest | None:
    """Load the listing that the tree of *at* starts from; ``None`` for the empty tree."""
    return next(iter(objects.load_manifests([] if at.manifest is None else [at.manifest])), None)


def _target(repo: str, at: RepoHead, head: Head, stored: StoredManifest | None) -> Manifest:
    """Return the tree that *head* names for *repo*, which starts from the listing *stored*, ``None`` being the empty one."""
    deltas = deltas_above(head.records, repo, at.base)
    start = EMPTY_TREE if stored is None else stored.manifest
    return follow(start, deltas, at.snapshot, f"repository {repo} in the head")


def _task_by_trees(repo: str, at: RepoHead, here: _Here, manifests: dict[ObjectRef, StoredManifest]) -> Task:
    """Plan from the whole listing of what this machine has to that of what the head names."""
    root = here.home / repo
    stored = manifests[at.manifest] if at.manifest is not None else None
    target = _target(repo, at, here.head, stored)
    is_fresh = _is_free(root)
    base = {} if is_fresh else _base(repo, here.state.trees.get(repo), here.memory).tree
    begun = {} if is_fresh else parse_begun(here.memory.begun(repo))
    if begun is None:
        begun = dict.fromkeys([*base, *target.tree], frozenset())
    elif here.state.is_after_restart:
        # What was cut counts as begun: it is compared, and written again where it is not what it should be.
        cut = unsettled(root, base, last_heard_ns=here.memory.last_contact_ns())
        begun = {**dict.fromkeys(cut, frozenset()), **begun}
    return Task(
        repo=repo,
        root=root,
        target=at,
        plan=plan_from_trees(base, target.tree, begun=begun),
        places=target.places,
        is_fresh=is_fresh,
        manifest=b"" if stored is None else stored.data,
        changes=changes_above(here.head.records, repo, at.base),
    )


def _is_free(root: Path) -> bool:
    """Tell whether nothing stands at *root*, so that a whole tree can appear there."""
    return not root.exists() or (root.is_dir() and not any(root.iterdir()))


def _base(repo: str, tree: TreeState | None, memory: MachineMemory) -> Manifest:
    """Return the listing of what was last written here; the empty one if that is not known for sure."""
    if tree is None:
        return EMPTY_TREE
    kept = memory.manifest(repo, tree.base)
    what = f"the kept listing of {repo}"
    try:
        start = decode_checked_before(kept, what) if kept else EMPTY_TREE
        packed = memory.changes(repo, tree.base, tree.delta_bytes)
        deltas = [decode_delta(Change(repo, None, None, plain, frame), what) for plain, frame in packed]
        return follow(start, deltas, tree.snapshot, what)
    except IntegrityError:
        # Without it all that stands there counts as somebody's: what differs from the target is saved, nothing is lost.
        return EMPTY_TREE


def _remember(task: Task, memory: MachineMemory, state: State) -> TreeState:
    """Keep what a later run needs to know about the tree that *task* has made."""
    before = state.trees.get(task.repo)
    if task.manifest is None and before is not None:
        base, start = before.base, before.delta_bytes
    else:
        base, start = memory.new_base(task.repo, task.manifest or b""), 0
    end = memory.append_changes(task.repo, base, start, [(item.plain_bytes, item.frame) for item in task.changes])
    return TreeState(
        snapshot=SnapshotId(task.target.snapshot),
        provenance=task.target.provenance,
        files=task.target.files,
        size_bytes=task.target.size_bytes,
        base=base,
        delta_bytes=end,
    )
