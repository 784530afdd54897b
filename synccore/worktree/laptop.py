"""What a laptop remembers between uploads: the head that it last saw, what it tried to upload since, manifests, stat caches.

    <state>/head        the head that was seen last, and which of its snapshots this laptop has had itself
    <state>/sent        snapshots that were about to be published when this was last heard of: perhaps they were
    <state>/manifests/  listings that the head is based on
    <state>/stat/       a stat cache for each tree

Invariant: all of it can be made anew from the store and the trees, but for one thing: which snapshots this machine has had
itself. A machine that has lost that asks before it replaces anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import xxhash

from synccore import wire
from synccore.backends.base import Version
from synccore.digest import digest_of
from synccore.errors import IntegrityError
from synccore.head import decode_head
from synccore.journal import parse_repo
from synccore.places import ObjectRef
from synccore.provenance import SnapshotId
from synccore.refs import HeadAt
from synccore.worktree.ahead import stat_cache_path
from synccore.worktree.atomic import write_atomically
from synccore.worktree.lock import TreeLock

_MAGIC = b"\x89EPLU\x01\x00\x00"
_MAGIC_OF_SENT = b"\x89EPLV\x01\x00\x00"

# What was sent and never heard of is kept until the next upload of that repository that succeeds. More than a few of these
# are of a storage that is out of reach, where only the first can have landed.
_MOST_SENT = 16


class Seen(NamedTuple):
    """What a laptop knows of the store.

    Attributes:
        at: the head that it saw last.
        snapshots: for each repository the last snapshot that the store and this laptop's tree both had. What `at` names
            beside these came from elsewhere, and replacing it would undo somebody's work.
    """

    at: HeadAt
    snapshots: Mapping[str, SnapshotId]


class LaptopState:
    """The memory of one machine for one user of one store.

    Args:
        folder: a directory of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def alone(self, wait_seconds: float) -> Iterator[None]:
        """Be the only one who moves this user's head from this machine; what a killed one left half done is removed.

        Raises:
            WorktreeError: another is at work for longer than *wait_seconds*, or the disk refused.
        """
        with TreeLock(self._folder / "lock").held(wait_seconds) as lock:
            if lock.after_crash:
                self._sweep()
            yield

    def stat_cache_path(self, repo: str) -> Path:
        """Where the stat cache of *repo* is kept."""
        return stat_cache_path(self._folder, repo)

    def seen(self) -> Seen | None:
        """Return what this machine has seen last, if it still knows."""
        try:
            body = _read_checked(self._folder / "head", _MAGIC)
            return None if body is None else _parse_seen(body, "the last seen head")
        except IntegrityError:
            return None

    def keep_seen(self, seen: Seen, *, settled: Iterable[str] = ()) -> None:
        """Remember *seen*, and forget manifests that its head does not need, and what was sent of the repositories *settled*.

        Raises:
            WorktreeError: the disk refused.
        """
        at = seen.at
        _write_checked(self._folder / "head", _MAGIC, wire.pack((at.version, at.data, sorted(seen.snapshots.items()))))
        sent = self._sent()
        left = {repo: snapshots for repo, snapshots in sent.items() if repo not in set(settled)}
        if left != sent:
            self._keep_sent(left)
        needed = {repo.manifest.digest.hex() for repo in at.head.repos.values() if repo.manifest is not None}
        with contextlib.suppress(OSError):
            for path in (self._folder / "manifests").iterdir():
                if path.name not in needed:
                    path.unlink()

    def note_sent(self, snapshots: Mapping[str, SnapshotId]) -> None:
        """Remember, before the head is moved, what it shall say of some repositories: the answer may never come.

        Raises:
            WorktreeError: the disk refused.
        """
        sent = self._sent()
        for repo, snapshot in snapshots.items():
            earlier = [it for it in sent.get(repo, ()) if it != snapshot]
            sent[repo] = (*earlier, snapshot)[-_MOST_SENT:]
        self._keep_sent(sent)

    def sent(self, repo: str) -> tuple[SnapshotId, ...]:
        """Return the snapshots of *repo* that this machine has tried to publish without learning what became of that."""
        return self._sent().get(repo, ())

    def _sweep(self) -> None:
        # RACE: a look that does not hold the lock may lose its stat cache in the making, which costs the next one some time.
        with contextlib.suppress(OSError):
            for path in (*self._folder.glob("*.tmp"), *self._folder.glob("*/*.tmp")):
                path.unlink()

    def _sent(self) -> dict[str, tuple[SnapshotId, ...]]:
        try:
            body = _read_checked(self._folder / "sent", _MAGIC_OF_SENT)
            return {} if body is None else _parse_sent(body, "the note of what was sent")
        except IntegrityError:
            return {}

    def _keep_sent(self, sent: Mapping[str, tuple[SnapshotId, ...]]) -> None:
        _write_checked(self._folder / "sent", _MAGIC_OF_SENT, wire.pack(sorted(sent.items())))

    def manifest(self, ref: ObjectRef) -> bytes | None:
        """Return the stored bytes of a manifest, if they are kept here undamaged."""
        try:
            data = (self._folder / "manifests" / ref.digest.hex()).read_bytes()
        except OSError:
            return None
        return data if digest_of(data) == ref.digest else None

    def keep_manifest(self, ref: ObjectRef, data: bytes) -> None:
        """Keep the stored bytes of a manifest."""
        write_atomically(self._folder / "manifests" / ref.digest.hex(), data)


def _read_checked(path: Path, magic: bytes) -> bytes | None:
    """Return what `_write_checked` wrote to *path*; ``None`` if there is nothing, or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    body = data[len(magic) + 8 :]
    is_whole = data.startswith(magic) and data[len(magic) : len(magic) + 8] == xxhash.xxh3_64_digest(body)
    return body if is_whole else None


def _write_checked(path: Path, magic: bytes, body: bytes) -> None:
    write_atomically(path, magic + xxhash.xxh3_64_digest(body) + body)


def _parse_sent(body: bytes, what: str) -> dict[str, tuple[SnapshotId, ...]]:
    pairs = [wire.row(item, 2, what) for item in wire.rows(wire.unpack(body, what), what)]
    return {
        parse_repo(repo, what): tuple(SnapshotId(wire.digest(it, what)) for it in wire.rows(snapshots, what))
        for repo, snapshots in pairs
    }


def _parse_seen(body: bytes, what: str) -> Seen:
    version, stored, snapshots = wire.row(wire.unpack(body, what), 3, what)
    data = wire.binary(stored, what)
    pairs = [wire.row(item, 2, what) for item in wire.rows(snapshots, what)]
    return Seen(
        HeadAt(decode_head(data, what), data, Version(wire.text(version, what))),
        {parse_repo(repo, what): SnapshotId(wire.digest(snapshot, what)) for repo, snapshot in pairs},
    )
