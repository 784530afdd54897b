"""Stores that no writer of ours would make: names, digests and envelopes are right, and what they hold is what a test wants.

Invariant: everything is built by `synccore.testing.stored_bytes` from docs/format.md, as plain lists that a test may spoil
before they are packed; no encoder and no check of the engine is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from synccore.backends.base import Backend, Unchanged
from synccore.digest import Digest
from synccore.errors import NotFoundError
from synccore.keys import Key, bundle_key, head_key, journal_key, manifest_key
from synccore.testing.lab import USER
from synccore.testing.stored_bytes import bundle, checksum, envelope, frame, packed, sha, snapshot

Rows = list[Any]
"""Something of the format before it is packed: nested lists, to be spoiled."""

WRITE_ID = bytes(16)
AT_MS = 1_700_000_000_000
FILE, EXECUTABLE, LINK = range(3)


class Item(NamedTuple):
    """What a tree is to have at a path."""

    path: str
    content: bytes = b"content"
    kind: int = FILE


def snapshot_of_items(items: Sequence[Item]) -> bytes:
    """Return the id of the tree of *items*."""
    in_order = sorted(items, key=lambda item: item.path.encode("utf-8", "surrogatepass"))
    return snapshot([(item.kind, item.path, item.content) for item in in_order])


def tree_rows(items: Sequence[Item]) -> Rows:
    """Return a `tree` that lists *items* in the order given."""
    return [
        [item.path for item in items],
        bytes(item.kind for item in items),
        [len(item.content) for item in items],
        b"".join(sha(item.content) for item in items),
        [],
    ]


def place_rows(items: Sequence[Item], bundle_rows: Rows, number: int, offset: int, stored: bytes) -> Rows:
    """Return `places` that say that all of *items* stand in one block, *stored* at *offset* of the bundle *number*."""
    at: list[int] = []
    position = 0
    for item in items:
        if item.content:
            at += [0, position]
        position += len(item.content)
    return [bundle_rows, [[number, offset, len(stored), position, checksum(stored)]] if at else [], at]


def delta_rows(items: Sequence[Item], removed: Sequence[Item] = ()) -> Rows:
    """Return a `delta` that adds *items*, inline, and removes others."""
    block = frame(b"".join(item.content for item in items))
    places = place_rows(items, [], 0, 0, block)
    counts = [len(items), 0, len(removed), len(items), sum(len(item.content) for item in items)]
    gone = [[item.path, item.kind, sha(item.content)] for item in removed]
    return [None, counts, None, gone, tree_rows(items), [None] * len(items), places, block if places[2] else b"", []]


def change_rows(repo: str, before: bytes | None, after: bytes | None, delta: Rows) -> Rows:
    """Return one repository's part of a record."""
    data = packed(delta)
    return [repo, before, after, len(data), frame(data)]


def record_rows(sequence: int, *changes: Rows) -> Rows:
    """Return a record."""
    return [sequence, AT_MS, USER, "host", list(changes)]


def repo_rows(name: str, at: bytes, manifest: Rows | None, base: int) -> Rows:
    """Return a repository's line of the head."""
    return [name, at, manifest, base, 1, 1, AT_MS, USER, "host", None]


def head_rows(sequence: int, repos: Rows, records: Rows, earlier: Rows | None = None) -> Rows:
    """Return a head's payload."""
    return [WRITE_ID, sequence, repos, records, earlier, 0]


class HostileStore:
    """Puts whatever it is given under the name that it must have."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put_bundle(self, contents: Sequence[bytes]) -> tuple[Rows, int, bytes]:
        """Store a bundle of one block with *contents*; return its ref, and the block's offset and stored bytes."""
        data = bundle([[content for content in contents if content]])
        return self._put(bundle_key, data), 8, frame(b"".join(contents))

    def manifest_rows(self, items: Sequence[Item]) -> Rows:
        """Store the contents of *items* and return a manifest's payload that lists them in the order given."""
        ref, offset, stored = self.put_bundle([item.content for item in items])
        return [snapshot_of_items(items), tree_rows(items), place_rows(items, [ref], 1, offset, stored)]

    def put_manifest(self, rows: Rows) -> Rows:
        """Store a manifest and return its ref."""
        return self._put(manifest_key, envelope(b"M", packed(rows)))

    def put_journal(self, rows: Rows) -> Rows:
        """Store a journal object and return its ref."""
        return self._put(journal_key, envelope(b"J", packed(rows)))

    def put_head(self, rows: Rows) -> None:
        """Put a head in the place of whatever is there."""
        self.put_head_bytes(envelope(b"H", packed(rows)))

    def put_head_bytes(self, data: bytes) -> None:
        """Put these bytes in the head's place."""
        key = head_key(USER)
        try:
            found = self._backend.get(key)
        except NotFoundError:
            self._backend.put(key, data, replacing=None)
            return
        assert not isinstance(found, Unchanged)
        self._backend.put(key, data, replacing=found.version)

    def _put(self, key_of: Any, data: bytes) -> Rows:
        digest = Digest(sha(data))
        key: Key = key_of(USER, digest)
        try:
            self._backend.get(key)
        except NotFoundError:
            self._backend.put(key, data, replacing=None)
        return [digest, len(data)]
