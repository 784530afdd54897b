"""Taking a repository out of the head.

Invariant: no object is deleted and no tree is touched: machines keep their copy and say that it is no longer updated, and
the last snapshot stays in the history.
"""

from __future__ import annotations

from synccore.draft import next_head
from synccore.errors import ConflictError, ErrorKind, NotFoundError
from synccore.head import Head
from synccore.journal import Counts, Delta, Record, encode_change
from synccore.provenance import SnapshotId
from synccore.refs import HeadAt, move_head, read_head
from synccore.store import Store
from synccore.worktree.laptop import Seen

_ATTEMPTS = 5
_NOTHING = Delta(None, Counts(0, 0, 0, 0, 0), None, {}, {}, {}, {})


def delete(repo: str, *, store: Store) -> SnapshotId:
    """Stop synchronising *repo* and return the last snapshot of it: one get and one conditional put.

    Raises:
        NotFoundError: the head does not have it.
        ConflictError: the head moved whenever it was to be replaced.
        SyncError: as the storage says.
    """
    for _ in range(_ATTEMPTS):
        at = read_head(store.backend, store.user)
        if not isinstance(at, HeadAt) or repo not in at.head.repos:
            known = ", ".join(sorted(at.head.repos)) if isinstance(at, HeadAt) and at.head.repos else "none"
            raise NotFoundError(
                ErrorKind.NOT_FOUND, f"repository {repo} is not synchronised; these are: {known}", repo=repo
            )
        last = at.head.repos[repo].snapshot
        try:
            moved = move_head(store.backend, store.user, _without(repo, at.head, store), replacing=at.version)
        except ConflictError:
            continue
        seen = store.state.seen()
        store.state.keep_seen(
            Seen(moved, {name: it for name, it in seen.snapshots.items() if name != repo} if seen else {})
        )
        return last
    raise ConflictError(ErrorKind.VERSION_MOVED, f"the head of {store.user} moved {_ATTEMPTS} times meanwhile")


def _without(repo: str, head: Head, store: Store) -> Head:
    change = encode_change(repo, head.repos[repo].snapshot, None, _NOTHING)
    record = Record(head.sequence + 1, store.now_ns() // 1_000_000, store.author, (change,))
    return next_head(head, {name: at for name, at in head.repos.items() if name != repo}, record)
