"""Taking a repository out of the head.

Invariant: no object is deleted and no tree is touched: machines keep their copy and say that it is no longer updated, and
the last snapshot stays in the history.
"""

from __future__ import annotations

from contextlib import suppress

from synccore.backends.base import Unchanged
from synccore.draft import next_head
from synccore.errors import ConflictError, ErrorKind, NotFoundError, WorktreeError
from synccore.head import Head
from synccore.journal import Counts, Delta, Record, encode_change
from synccore.provenance import SnapshotId
from synccore.refs import HeadAt, NoHead, move_head, read_head
from synccore.store import Store
from synccore.worktree.laptop import Seen

_ATTEMPTS = 5
_LOCK_WAIT_SECONDS = 30.0
_NOTHING = Delta(None, Counts(0, 0, 0, 0, 0), None, {}, {}, {}, {})


def delete(repo: str, *, store: Store) -> SnapshotId:
    """Stop synchronising *repo* and return the last snapshot of it: one get and one conditional put.

    Raises:
        NotFoundError: the head does not have it.
        ConflictError: the head moved whenever it was to be replaced.
        WorktreeError: another upload or deletion is at work on this machine.
        SyncError: as the storage says.
    """
    with store.state.alone(_LOCK_WAIT_SECONDS):
        for _ in range(_ATTEMPTS):
            at = read_head(store.backend, store.user)
            if not isinstance(at, HeadAt) or repo not in at.head.repos:
                raise _unknown(repo, at)
            try:
                moved = _move(repo, at, store)
            except ConflictError:
                continue
            seen = store.state.seen()
            left = {name: it for name, it in seen.snapshots.items() if name != repo} if seen else {}
            # The repository is out of the head, whatever this disk says to remembering that; the next upload finds out anew.
            with suppress(WorktreeError):
                store.state.keep_seen(Seen(moved, left), settled=[repo])
            return at.head.repos[repo].snapshot
    raise ConflictError(ErrorKind.VERSION_MOVED, f"the head of {store.user} moved {_ATTEMPTS} times meanwhile")


def _unknown(repo: str, at: HeadAt | NoHead | Unchanged) -> NotFoundError:
    known = ", ".join(sorted(at.head.repos)) if isinstance(at, HeadAt) and at.head.repos else "none"
    return NotFoundError(ErrorKind.NOT_FOUND, f"repository {repo} is not synchronised; these are: {known}", repo=repo)


def _move(repo: str, at: HeadAt, store: Store) -> HeadAt:
    head = _without(repo, at.head, store)
    return move_head(store.backend, store.user, head, replacing=at.version, patience=store.patience)


def _without(repo: str, head: Head, store: Store) -> Head:
    change = encode_change(repo, head.repos[repo].snapshot, None, _NOTHING)
    record = Record(head.sequence + 1, store.now_ns() // 1_000_000, store.author, (change,))
    return next_head(head, {name: at for name, at in head.repos.items() if name != repo}, record)
