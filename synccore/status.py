"""What an upload would do, and whether a download would do anything.

Invariant: nothing is written but stat caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synccore.backends.base import Reader
from synccore.diff import Difference
from synccore.head import RepoHead
from synccore.intake import Intake, take_in
from synccore.look import Look, Source, surprises
from synccore.problem import Problem
from synccore.provenance import Provenance, SnapshotId
from synccore.reading import Claims
from synccore.refs import HeadAt, read_head
from synccore.store import Store
from synccore.view import Base
from synccore.worktree.laptop import Seen
from synccore.worktree.machine import MachineMemory, TreeState


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """A laptop's working tree beside the head.

    Attributes:
        repo: its name.
        snapshot: what the tree is now.
        stored: what the head has, ``None`` if it has nothing.
        stored_by: who uploaded that.
        is_seen: whether this machine has had what the head has, so that an upload may replace it.
        difference: what an upload would change.
        files: how many entries the tree has.
        problems: paths that cannot take part, and those whose upload may surprise.
    """

    repo: str
    snapshot: SnapshotId
    stored: SnapshotId | None
    stored_by: Provenance | None
    is_seen: bool
    difference: Difference
    files: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeStatus:
    """A machine's tree beside the head.

    Attributes:
        repo: its name.
        here: what this machine knows of its tree; ``None`` if it has none.
        stored: what the head has; ``None`` if the repository is no longer synchronised.
    """

    repo: str
    here: TreeState | None
    stored: RepoHead | None

    @property
    def is_current(self) -> bool:
        """Whether the tree is what the head names."""
        return self.here is not None and self.stored is not None and self.here.snapshot == self.stored.snapshot


def source_status(sources: Sequence[Source], *, store: Store) -> tuple[SourceStatus, ...]:
    """Compare working trees with the head: one get.

    Raises:
        SyncError: as `synccore.push.push`, but for what only an upload can meet.
    """
    seen = store.state.seen()
    at = store.read_head()
    return tuple(_source_status(source, store, seen, at if isinstance(at, HeadAt) else None) for source in sources)


def _source_status(source: Source, store: Store, seen: Seen | None, at: HeadAt | None) -> SourceStatus:
    look = Look(source, store.state.stat_cache_path(source.repo), store.now_ns)
    base = Base(at.head if at else None, look.repo, look.cache, store.load_manifest)
    intake = Intake()
    for _ in take_in(look.source.root, look.scan.unread, Claims(lambda _digest: True), intake):
        raise AssertionError(source.repo)  # nothing is packed where everything counts as stored
    view = look.finish(intake)
    return SourceStatus(
        repo=look.repo,
        snapshot=view.snapshot,
        stored=base.snapshot,
        stored_by=base.provenance,
        is_seen=base.snapshot in (None, view.snapshot, seen.snapshots.get(look.repo) if seen else None)
        or base.snapshot in store.state.sent(look.repo),
        difference=view.difference_from(base),
        files=view.files,
        problems=look.problems + tuple(intake.problems) + surprises(look.source.root, view, base),
    )


def tree_status(home: Path, *, user: str, backend: Reader, store: str) -> tuple[TreeStatus, ...]:
    """Compare the trees under *home* with the head of *user*: one get.

    Raises:
        SyncError: as the storage says.
    """
    state = MachineMemory(home).load(f"{store} {user}")
    at = read_head(backend, user)
    stored = at.head.repos if isinstance(at, HeadAt) else {}
    return tuple(
        TreeStatus(repo=repo, here=state.trees.get(repo), stored=stored.get(repo))
        for repo in sorted(state.trees.keys() | stored.keys())
    )
