"""What a laptop remembers between uploads: the head that it last saw, manifests, and stat caches.

Invariant: all of it can be made anew from the store and the trees, but for one thing: which snapshots this machine has had
itself. A machine that has lost that asks before it replaces anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
from synccore.worktree.atomic import write_atomically

_MAGIC = b"\x89EPLU\x01\x00\x00"


@dataclass(frozen=True, slots=True)
class Seen:
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

    @property
    def lock_path(self) -> Path:
        """Where the lock stands that lets one upload run at a time."""
        return self._folder / "lock"

    def stat_cache_path(self, repo: str) -> Path:
        """Where the stat cache of *repo* is kept."""
        return self._folder / "stat" / repo

    def seen(self) -> Seen | None:
        """Return what this machine has seen last, if it still knows."""
        try:
            data = (self._folder / "head").read_bytes()
        except OSError:
            return None
        body = data[len(_MAGIC) + 8 :]
        if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : len(_MAGIC) + 8] != xxhash.xxh3_64_digest(body):
            return None
        try:
            return _parse_seen(body, "the last seen head")
        except IntegrityError:
            return None

    def keep_seen(self, seen: Seen) -> None:
        """Remember *seen*, and forget manifests that its head does not need."""
        at = seen.at
        body = wire.pack((at.version, at.data, sorted(seen.snapshots.items())))
        write_atomically(self._folder / "head", _MAGIC + xxhash.xxh3_64_digest(body) + body)
        needed = {repo.manifest.digest.hex() for repo in at.head.repos.values() if repo.manifest is not None}
        with contextlib.suppress(OSError):
            for path in (self._folder / "manifests").iterdir():
                if path.name not in needed:
                    path.unlink()

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


def _parse_seen(body: bytes, what: str) -> Seen:
    version, stored, snapshots = wire.row(wire.unpack(body, what), 3, what)
    data = wire.binary(stored, what)
    pairs = [wire.row(item, 2, what) for item in wire.rows(snapshots, what)]
    return Seen(
        HeadAt(decode_head(data, what), data, Version(wire.text(version, what))),
        {parse_repo(repo, what): SnapshotId(wire.digest(snapshot, what)) for repo, snapshot in pairs},
    )
