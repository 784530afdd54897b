"""Restoring the past of a store, written down from docs/format.md, section 7, "The past", and from nothing else.

Invariant: nothing here shares a decision with what chooses what may be pruned, so that a mistake of that shows.
"""

from __future__ import annotations

from synccore.backends.base import Found, Reader
from synccore.bundle import open_block
from synccore.digest import Digest, digest_of
from synccore.journal import Delta, JournalObject, Record, Start, decode_delta, decode_journal
from synccore.keys import Key, bundle_key, journal_key, manifest_key
from synccore.manifest import Entry, FileKind, chunks_of, decode_manifest
from synccore.places import InlineBlock, ObjectRef, Place
from synccore.refs import HeadAt, read_head
from synccore.testing.trees import Executable, Link, Node, NodeTree, snapshot_of
from synccore.treepath import TreePath

_Listing = tuple[dict[TreePath, Entry], dict[Digest, Place]]


class Restorer:
    """Restores snapshots of *user* from what is in *backend* now."""

    def __init__(self, backend: Reader, user: str) -> None:
        at = read_head(backend, user)
        assert isinstance(at, HeadAt)
        self.head = at.head
        self._backend = backend
        self._user = user
        self._bundles: dict[ObjectRef, bytes] = {}

    def restore(self, sequence: int) -> dict[str, NodeTree]:
        """Return every tree as it was just after the record *sequence*.

        Raises:
            AssertionError: what is there does not come to what the records say.
            SyncError: something is not there.
        """
        records, starts = list(self.head.records), list[Start]()
        starts += [Start(name, at.manifest, at.base) for name, at in self.head.repos.items()]
        earlier = self.head.earlier
        while (wanted := self._snapshots(records, sequence)) is None or any(
            self._listing(repo, sequence, records, starts) is None for repo in wanted
        ):
            assert earlier is not None, f"the journal ends before record {sequence} can be restored"
            journal = self._journal(earlier)
            records[:0] = journal.records
            starts += journal.starts
            earlier = journal.earlier
        trees = {}
        for repo, snapshot in wanted.items():
            listing = self._listing(repo, sequence, records, starts)
            assert listing is not None
            assert snapshot_of(listing[0]) == snapshot, f"{repo} after record {sequence}"
            trees[repo] = self._contents(*listing)
        return trees

    def _snapshots(self, records: list[Record], sequence: int) -> dict[str, Digest] | None:
        """Return the snapshot of each repository just after *sequence*, going back from the head; ``None``: too far."""
        found: dict[str, Digest] = {repo: at.snapshot for repo, at in self.head.repos.items()}
        for record in reversed(records):
            if record.sequence <= sequence:
                return found
            for change in record.changes:
                if change.before is None:
                    del found[change.repo]
                else:
                    found[change.repo] = change.before
        return None

    def _listing(self, repo: str, sequence: int, records: list[Record], starts: list[Start]) -> _Listing | None:
        """Return the listing of *repo* just after *sequence*, if *records* and *starts* give it."""
        bases = {start.base: start for start in starts if start.repo == repo and start.base <= sequence}
        deltas: list[Delta] = []
        for record in reversed([record for record in records if record.sequence <= sequence]):
            if record.sequence in bases:
                return _overlaid(self._manifest(bases[record.sequence].manifest), deltas)
            change = record.change_of(repo)
            if change is None:
                continue
            delta = decode_delta(change, "a record")
            if delta.manifest is not None:
                return _overlaid(self._manifest(delta.manifest), deltas)
            deltas.insert(0, delta)
            if change.before is None:
                return _overlaid(({}, {}), deltas)
        below = min((record.sequence for record in records), default=0) - 1
        return _overlaid(self._manifest(bases[below].manifest), deltas) if below in bases else None

    def _contents(self, tree: dict[TreePath, Entry], places: dict[Digest, Place]) -> NodeTree:
        return {str(path): self._node(entry, places) for path, entry in sorted(tree.items())}

    def _node(self, entry: Entry, places: dict[Digest, Place]) -> Node:
        data = b"".join(
            [self._chunk(places[chunk.digest], chunk.digest, chunk.size_bytes) for chunk in chunks_of(entry)]
        )
        assert digest_of(data) == entry.digest
        if entry.kind is FileKind.SYMLINK:
            return Link(data.decode())
        return Executable(data) if entry.kind is FileKind.EXECUTABLE else data

    def _chunk(self, place: Place, digest: Digest, size_bytes: int) -> bytes:
        block = place.block
        if isinstance(block, InlineBlock):
            frame = block.frame
        else:
            if block.bundle not in self._bundles:
                self._bundles[block.bundle] = self._get(bundle_key(self._user, block.bundle.digest), block.bundle)
            frame = self._bundles[block.bundle][block.offset : block.offset + block.stored_bytes]
        plain = open_block(frame, block.plain_bytes, block.checksum, "a block")
        found = plain[place.offset : place.offset + size_bytes]
        assert digest_of(found) == digest
        return found

    def _manifest(self, ref: ObjectRef | None) -> _Listing:
        if ref is None:
            return {}, {}
        manifest = decode_manifest(self._get(manifest_key(self._user, ref.digest), ref), "a manifest")
        return manifest.tree, manifest.places

    def _journal(self, ref: ObjectRef) -> JournalObject:
        return decode_journal(self._get(journal_key(self._user, ref.digest), ref), "a journal object")

    def _get(self, key: Key, ref: ObjectRef) -> bytes:
        found = self._backend.get(key)
        assert isinstance(found, Found)
        assert digest_of(found.data) == ref.digest
        return found.data


def _overlaid(listing: _Listing, deltas: list[Delta]) -> _Listing:
    tree, places = dict(listing[0]), dict(listing[1])
    for delta in deltas:
        for path in delta.removed:
            del tree[path]
        moved = [
            (path, new + path[len(old) :]) for old, new in delta.moves for path in tree if path.startswith(f"{old}/")
        ]
        taken = {place: tree[path] for path, place in moved}
        for path, _ in moved:
            del tree[path]
        assert len(taken) == len(moved)
        assert taken.keys().isdisjoint(tree)
        tree.update((TreePath(place), entry) for place, entry in taken.items())
        tree.update(delta.changed)
        places.update(delta.places)
    return tree, places
