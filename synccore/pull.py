"""Bring the trees of a machine to what the head names.

Invariant: one conditional get decides whether there is anything to do, and if there is not, nothing else happens: no file
of a tree is opened, no lock is taken, nothing is written and none of the format's modules is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synccore.backends.base import Reader, Unchanged
from synccore.errors import ErrorKind, NotFoundError
from synccore.keys import head_key
from synccore.progress import ProgressListener, ignore_progress
from synccore.pullreport import PullReport, unchanged
from synccore.worktree.machine import MachineMemory, State

_LOCK_WAIT_SECONDS = 30.0


def go_on() -> None:
    """Let a pull go on."""


def pull(
    home: Path,
    *,
    user: str,
    backend: Reader,
    store: str,
    now_ns: Callable[[], int],
    lock_wait_seconds: float = _LOCK_WAIT_SECONDS,
    progress: ProgressListener = ignore_progress,
    before_writing: Callable[[], None] = go_on,
) -> PullReport:
    """Bring every tree under *home* to what the head of *user* names.

    Somebody's edits are saved under ``home/.rescued`` before they are replaced.

    Args:
        home: the directory that holds the trees, each under its repository's name.
        user: whose head.
        backend: the storage.
        store: what *backend* is, so that another store is not taken for it; the base URL.
        now_ns: the clock, in nanoseconds since 1970.
        lock_wait_seconds: how long to wait for another pull that is at work.
        progress: hears of files written.
        before_writing: called once, when all is planned and before anything in a tree is touched; not called where there
            is nothing to do. What it raises ends the pull, which then has changed nothing.

    Raises:
        NotFoundError: `NO_HEAD`: the user has uploaded nothing; `NO_BUCKET`.
        IntegrityError: an object is damaged; nothing of it was used.
        WorktreeError: the disk refused; a later run completes the rest.
        BackendError, UnavailableError: as the storage says.
    """
    memory = MachineMemory(home)
    identity = f"{store} {user}"
    state = memory.load(identity)
    trees = state.kept(home)
    is_whole = not state.is_after_restart and all((home / repo).is_dir() for repo in trees)
    known = state.version if is_whole else None
    try:
        found = backend.get(head_key(user), unless=known)
    except NotFoundError as error:
        if error.kind is ErrorKind.NO_BUCKET:
            raise
        raise NotFoundError(
            ErrorKind.NO_HEAD, f"user {user} has uploaded nothing to {store} yet", user=user, store=store
        ) from error
    if isinstance(found, Unchanged):
        memory.note_contact()
        return PullReport(repos=tuple(unchanged(repo, tree) for repo, tree in sorted(trees.items())))
    from synccore.catchup import catch_up

    return catch_up(
        home,
        user=user,
        backend=backend,
        identity=identity,
        found=found,
        was=state,
        now_ns=now_ns,
        lock_wait_seconds=lock_wait_seconds,
        progress=progress,
        before_writing=before_writing,
    )


def what_is_here(home: Path, *, user: str, store: str) -> State:
    """Return what this machine remembers of its trees, without asking anybody."""
    return MachineMemory(home).load(f"{store} {user}")
