"""What must hold of a lab, whatever happened in it.

Invariant: each assertion compares with what docs/format.md or docs/sync-semantics.md says, and names what it found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from synccore.backends.base import Found, Reader
from synccore.bundle import open_block, parse_bundle, take_chunk
from synccore.digest import digest_of
from synccore.head import Head
from synccore.journal import decode_journal
from synccore.keys import Key, bundle_key, head_key, journal_key, manifest_key
from synccore.manifest import Manifest, chunks_of, decode_manifest
from synccore.places import InlineBlock, ObjectRef, StoredBlock
from synccore.refs import HeadAt, read_head
from synccore.testing.lab import USER, Lab, Laptop, Machine
from synccore.testing.trees import NodeTree, TreeLiteral, content_of, entries, nodes, read, snapshot_of
from synccore.trees import tree_of


def assert_same_tree(found: NodeTree, expected: TreeLiteral) -> None:
    """Check that a tree that was read is the expected one, without printing a megabyte if it is not."""
    wanted = nodes(expected)
    missing = sorted(wanted.keys() - found.keys())
    surplus = sorted(found.keys() - wanted.keys())
    other = sorted(path for path in wanted.keys() & found.keys() if wanted[path] != found[path])
    assert (missing, surplus, other) == ([], [], []), f"missing {missing}, surplus {surplus}, other content {other}"


def assert_is_at_head(machine: Machine, lab: Lab) -> None:
    """Check that each tree that the head names is on *machine*, and that looking at it gives the head's snapshot id."""
    for repo, snapshot in lab.snapshots().items():
        found = snapshot_of(entries(machine.read(repo)))
        assert found == snapshot, f"{repo} on the machine has snapshot {found.hex()}, the head {snapshot.hex()}"


def assert_carried(laptop: Laptop, machine: Machine, *repos: str) -> None:
    """Check that *machine* has just what *laptop* has."""
    for repo in repos:
        assert_same_tree(machine.read(repo), read(laptop.code / repo))


def assert_not_lost(edits: Mapping[str, bytes], machine: Machine) -> None:
    """Check that each of somebody's contents, by ``repo/path``, is still in place or was saved under that name."""
    in_place = {f"{repo}/{path}": node for repo, tree in machine.trees().items() for path, node in tree.items()}
    everywhere = [in_place, *machine.rescued()]
    for path, data in edits.items():
        # A directory that was in the way is saved whole, so the path below it is the same.
        found = [content_of(tree[path]) for tree in everywhere if path in tree]
        assert data in found, f"the edit {data!r} of {path} is neither in place nor saved; found {found!r}"


def assert_nothing_unfinished(machine: Machine) -> None:
    """Check that no temporary file, unfinished tree or note of an unfinished run is left on *machine*."""
    left = [
        str(Path(folder, name))
        for folder, directories, names in os.walk(machine.home)
        for name in [*names, *directories]
        if name.startswith((".synccode-tmp-", "staging-")) or name.endswith(".tmp")
    ]
    begun = machine.memory_folder / "begun"
    left += [str(path) for path in begun.iterdir()] if begun.is_dir() else []
    assert left == []


def assert_sound(backend: Reader, *, user: str = USER) -> None:
    """Check everything that the head leads to: names, digests, places, tables, snapshots, and the journal back to the horizon."""
    at = read_head(backend, user)
    assert isinstance(at, HeadAt)
    head = at.head
    assert len(_get(backend, head_key(user))) == len(at.data)
    manifests = [_manifest(backend, user, repo.manifest) for repo in head.repos.values() if repo.manifest is not None]
    wholes = [tree_of(head, repo, lambda ref: _manifest(backend, user, ref)) for repo in head.repos]
    _assert_contents(backend, user, [*manifests, *wholes])
    _assert_journal(backend, user, head)


def _assert_contents(backend: Reader, user: str, manifests: Iterable[Manifest]) -> None:
    bundles: dict[ObjectRef, bytes] = {}
    plain: dict[StoredBlock | InlineBlock, bytes] = {}
    for manifest in manifests:
        assert snapshot_of(manifest.tree) == manifest.snapshot
        for path, entry in manifest.tree.items():
            pieces = []
            for chunk in chunks_of(entry):
                block, offset = manifest.places[chunk.digest]
                if block not in plain:
                    frame = block.frame if isinstance(block, InlineBlock) else _frame(backend, user, block, bundles)
                    plain[block] = open_block(frame, block.plain_bytes, block.checksum, path)
                pieces.append(take_chunk(plain[block], offset, chunk, path))
            assert digest_of(b"".join(pieces)) == entry.digest, path


def _frame(backend: Reader, user: str, block: StoredBlock, bundles: dict[ObjectRef, bytes]) -> bytes:
    ref = block.bundle
    if ref not in bundles:
        data = bundles[ref] = _named(backend, bundle_key(user, ref.digest), ref)
        for packed in parse_bundle(data, "bundle"):
            contents = open_block(packed.frame, packed.plain_bytes, packed.checksum, "bundle")
            offset = 0
            for chunk in packed.chunks:
                take_chunk(contents, offset, chunk, "bundle")
                offset += chunk.size_bytes
    return bundles[ref][block.offset : block.offset + block.stored_bytes]


def _assert_journal(backend: Reader, user: str, head: Head) -> None:
    records = list(head.records)
    earlier = head.earlier
    while earlier is not None and (not records or records[0].sequence > head.horizon + 1):
        journal = decode_journal(_named(backend, journal_key(user, earlier.digest), earlier), "journal object")
        records[:0] = journal.records
        earlier = journal.earlier
    first = records[0].sequence
    assert first <= head.horizon + 1
    assert [record.sequence for record in records] == list(range(first, head.sequence + 1))
    at: dict[str, bytes] = {repo: it.snapshot for repo, it in head.repos.items()}
    for record in reversed(records):
        for change in record.changes:
            assert change.after == at.pop(change.repo, None), f"record {record.sequence} of {change.repo}"
            if change.before is not None:
                at[change.repo] = change.before
    if first == 1:
        assert at == {}


def _manifest(backend: Reader, user: str, ref: ObjectRef) -> Manifest:
    return decode_manifest(_named(backend, manifest_key(user, ref.digest), ref), "manifest")


def _named(backend: Reader, key: Key, ref: ObjectRef) -> bytes:
    data = _get(backend, key)
    assert (digest_of(data), len(data)) == ref, f"{key} is not what it is called"
    return data


def _get(backend: Reader, key: Key) -> bytes:
    found = backend.get(key)
    assert isinstance(found, Found)
    return found.data
