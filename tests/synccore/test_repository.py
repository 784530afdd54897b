"""Storing immutable objects: each under a name of its own."""

from __future__ import annotations

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.bundle import Bundle, build_bundle, nonce_block, pack_block
from synccore.digest import digest_of
from synccore.errors import ConflictError, ErrorKind
from synccore.journal import JournalObject, Record, Start
from synccore.keys import bundle_key, manifest_key
from synccore.manifest import Manifest
from synccore.provenance import Author
from synccore.repository import GRACE_SECONDS, ObjectReader, ObjectWriter, StoredManifest
from synccore.snapshot import snapshot_id
from synccore.testing.lab import USER
from synccore.testing.trees import entries, noise

CONTENT = noise(3000)
RECORD = Record(1, 0, Author(user=USER, host="laptop"), ())


def bundle() -> Bundle:
    return build_bundle([pack_block([(digest_of(CONTENT), CONTENT)]), nonce_block()])


def manifest() -> Manifest:
    tree = entries({"a": CONTENT})
    stored = build_bundle([pack_block([(digest_of(CONTENT), CONTENT)])])
    return Manifest(snapshot_id(tree), tree, stored.places)


def test_each_writing_of_a_listing_has_a_name_of_its_own() -> None:
    backend = MemoryBackend()
    listed = manifest()
    stored = [StoredManifest.of(listed) for _ in range(8)]
    for it in stored:
        ObjectWriter(backend, USER).store_manifest(it)
    assert len(backend.objects) == len({it.ref for it in stored}) > 1
    assert [ObjectReader(backend, USER).load_manifest(it.ref).manifest for it in stored] == [listed] * 8


def test_each_writing_of_a_journal_object_has_a_name_of_its_own() -> None:
    backend = MemoryBackend()
    journal = JournalObject((RECORD,), tuple(Start(f"repo{number:02}", None, number) for number in range(50)), None)
    refs = [ObjectWriter(backend, USER).store_journal(journal) for _ in range(8)]
    assert len(backend.objects) == len(set(refs)) > 1
    assert [ObjectReader(backend, USER).load_journal(ref) for ref in refs] == [journal] * 8


@pytest.mark.parametrize("what", ["bundle", "manifest"])
@pytest.mark.parametrize("spoil", ["old", "short"])
def test_what_stands_under_the_name_by_chance_is_not_relied_on(what: str, spoil: str) -> None:
    now_seconds = 1000.0
    backend = MemoryBackend(clock=lambda: now_seconds)
    objects, listed, packed = ObjectWriter(backend, USER), StoredManifest.of(manifest()), bundle()
    ref, data = (packed.ref, packed.data) if what == "bundle" else (listed.ref, listed.data)
    key = (bundle_key if what == "bundle" else manifest_key)(USER, ref.digest)
    backend.put(key, data if spoil == "old" else data[:-1], replacing=None)
    now_seconds += GRACE_SECONDS if spoil == "old" else 0
    with pytest.raises(ConflictError) as refused:
        objects.store_bundle(packed) if what == "bundle" else objects.store_manifest(listed)
    assert refused.value.kind is ErrorKind.KEY_TAKEN


def test_bundles_of_the_same_contents_have_different_names() -> None:
    assert bundle().ref != bundle().ref


@pytest.mark.parametrize(("age_seconds", "is_safe"), [(0.0, True), (GRACE_SECONDS / 2, True), (GRACE_SECONDS, False)])
def test_what_was_stored_is_relied_on_while_it_is_young(age_seconds: float, *, is_safe: bool) -> None:
    now_seconds = 1000.0
    backend = MemoryBackend(clock=lambda: now_seconds)
    stored = bundle()
    objects = ObjectWriter(backend, USER)
    objects.store_bundle(stored)
    now_seconds += age_seconds
    assert objects.are_safe([stored.ref]) is is_safe


def test_what_is_gone_is_not_relied_on() -> None:
    backend = MemoryBackend()
    first, second = bundle(), bundle()
    for stored in (first, second):
        ObjectWriter(backend, USER).store_bundle(stored)
    assert ObjectWriter(backend, USER).are_safe([first.ref, second.ref])
    del backend.objects[bundle_key(USER, second.ref.digest)]
    assert not ObjectWriter(backend, USER).are_safe([first.ref, second.ref])


def test_a_bundle_whose_answer_was_lost_and_that_was_sent_again_is_stored() -> None:
    backend = MemoryBackend()
    stored = bundle()
    for _ in range(2):
        assert ObjectWriter(backend, USER).store_bundle(stored) == stored.ref.size_bytes
    assert len(backend.objects) == 1
