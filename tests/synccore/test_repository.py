"""Storing immutable objects: each under a name of its own."""

from __future__ import annotations

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.bundle import Bundle, build_bundle, nonce_block, pack_block
from synccore.digest import digest_of
from synccore.journal import JournalObject, Start
from synccore.keys import bundle_key, manifest_key
from synccore.manifest import Manifest
from synccore.provenance import SnapshotId
from synccore.repository import GRACE_SECONDS, ObjectReader, ObjectWriter
from synccore.snapshot import snapshot_id
from synccore.testing.lab import USER
from synccore.testing.trees import entries, noise

CONTENT = noise(3000)


def bundle() -> Bundle:
    return build_bundle([pack_block([(digest_of(CONTENT), CONTENT)]), nonce_block()])


def manifest() -> Manifest:
    tree = entries({"a": CONTENT})
    stored = build_bundle([pack_block([(digest_of(CONTENT), CONTENT)])])
    return Manifest(snapshot_id(tree), tree, stored.places)


def test_a_listing_is_stored_under_a_name_that_was_free_each_time() -> None:
    backend = MemoryBackend()
    objects, listed = ObjectWriter(backend, USER), manifest()
    refs = [objects.store_manifest(SnapshotId(listed.snapshot), listed).ref for _ in range(8)]
    assert len(set(refs)) == len(backend.objects) == 8
    assert [ObjectReader(backend, USER).load_manifest(ref).manifest for ref in refs] == [listed] * 8


def test_a_damaged_object_under_the_name_is_not_taken_for_ours() -> None:
    backend = MemoryBackend()
    listed = manifest()
    first = ObjectWriter(MemoryBackend(), USER).store_manifest(listed.snapshot, listed)
    backend.put(manifest_key(USER, first.ref.digest), first.data[:-1], replacing=None)
    second = ObjectWriter(backend, USER).store_manifest(listed.snapshot, listed)
    assert ObjectReader(backend, USER).load_manifest(second.ref).manifest == listed


def test_a_journal_object_is_stored_under_a_name_that_was_free_each_time() -> None:
    backend = MemoryBackend()
    journal = JournalObject((), tuple(Start(f"repo{number}", None, number) for number in range(3)), None)
    refs = [ObjectWriter(backend, USER).store_journal(journal) for _ in range(4)]
    assert len(set(refs)) == 4
    assert [ObjectReader(backend, USER).load_journal(ref) for ref in refs] == [journal] * 4


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
