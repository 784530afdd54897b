"""Verifying: a healthy store has nothing wrong, and every damage is found, named and told by what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.backends.memory import Stored
from synccore.bundle import PackedBlock, build_bundle, pack_block
from synccore.delete import delete
from synccore.digest import digest_of
from synccore.draft import next_head
from synccore.errors import ErrorKind, IntegrityError, NotFoundError
from synccore.head import RepoHead
from synccore.journal import Counts, Delta, Record, decode_delta, encode_change
from synccore.keys import Key, head_key
from synccore.manifest import Tree
from synccore.progress import Progress
from synccore.provenance import Author, Provenance, SnapshotId
from synccore.prune import Retention, prune
from synccore.refs import move_head
from synccore.snapshot import snapshot_id
from synccore.testing.invariants import assert_carried
from synccore.testing.lab import USER
from synccore.testing.story import Story, small_heads, story
from synccore.testing.strategies import trees
from synccore.testing.trees import contents, entries, noise
from synccore.testing.turns import Turns, TurnTaking
from synccore.verify import FaultKind, VerifyReport, verify

SHORT = Retention(seconds=10 * 24 * 3600.0, records=3)
LARGE = 70_000


@pytest.fixture
def told() -> Iterator[Story]:
    with small_heads(), story(SHORT) as it:
        yield it


def check(told: Story, *, quick: bool = False) -> VerifyReport:
    before = dict(told.backend.objects)
    report = verify(USER, told.backend, quick=quick)
    assert told.backend.objects == before
    return report


def full_of_everything(told: Story) -> None:
    """Make a store with inline contents, bundles, large files, several listings and journal objects."""
    told.upload(alpha={"a": "1", "large": noise(3 * 2**20, 1)}, beta={"b": "1"})
    for number in range(14):
        told.upload(alpha={"a": f"{number}", "large": noise(3 * 2**20, 1), "m": noise(LARGE, number % 5)})
    told.upload(alpha={"a": "last", "large": noise(3 * 2**20, 1), "n": noise(LARGE, 9)}, beta={"b": "2"})


def keys_of(told: Story, kind: str) -> list[Key]:
    return sorted(key for key in told.backend.objects if f"/{kind}/" in key)


def flip(stored: Stored, at: float) -> Stored:
    data = bytearray(stored.data)
    data[int(at * (len(data) - 1))] ^= 0x10
    return replace(stored, data=bytes(data))


DAMAGES: dict[str, Callable[[Stored], Stored | None]] = {
    "delete": lambda _: None,
    "truncate": lambda stored: replace(stored, data=stored.data[:-1]),
    "empty": lambda stored: replace(stored, data=b""),
    "flip-first": lambda stored: flip(stored, 0),
    "flip-middle": lambda stored: flip(stored, 0.5),
    "flip-last": lambda stored: flip(stored, 1),
}


def damage(told: Story, key: Key, how: str) -> None:
    after = DAMAGES[how](told.backend.objects[key])
    if after is None:
        del told.backend.objects[key]
    else:
        told.backend.objects[key] = after


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ["bundles", "manifests", "journal"])
def test_each_damage_of_each_needed_object_is_found_and_named(told: Story, kind: str, how: str) -> None:
    full_of_everything(told)
    assert check(told).faults == ()
    unneeded = set(told.backend.objects) - needed(told)
    sound = dict(told.backend.objects)
    for key in keys_of(told, kind):
        if key in unneeded:
            continue
        damage(told, key, how)
        report = check(told)
        assert [fault.key for fault in report.faults] == [key]
        assert (report.faults[0].kind is FaultKind.MISSING) == (how == "delete")
        assert report.faults[0].detail
        told.backend.objects.update(sound)


def needed(told: Story) -> set[Key]:
    """Return what stays when a prune takes whatever it can, of records none."""
    keep = Retention(seconds=0, records=10_000, grace_seconds=-1)
    with story(keep) as other:
        other.backend.objects.update(told.backend.objects)
        other.prune()
        return set(other.backend.objects)


@pytest.mark.parametrize("how", ["delete", "truncate", "empty"])
@pytest.mark.parametrize("kind", ["bundles", "manifests", "journal"])
def test_a_quick_look_finds_what_is_missing_or_of_another_size_and_fetches_no_bundle(
    told: Story, kind: str, how: str
) -> None:
    full_of_everything(told)
    key = next(key for key in keys_of(told, kind) if key in needed(told))
    damage(told, key, how)
    reader = told.lab.backend
    reader.reset()
    report = verify(USER, reader, quick=True)
    assert [fault.key for fault in report.faults] == [key]
    assert reader.bytes_read < sum(len(told.backend.objects[it].data) for it in keys_of(told, "bundles"))
    assert reader.calls["get_range"] == 0


def test_a_quick_look_does_not_see_into_bundles(told: Story) -> None:
    full_of_everything(told)
    damage(told, keys_of(told, "bundles")[0], "flip-middle")
    assert check(told, quick=True).faults == ()


@pytest.mark.parametrize("how", ["truncate", "empty", "flip-first", "flip-middle", "flip-last"])
def test_a_damaged_head_is_named(told: Story, how: str) -> None:
    full_of_everything(told)
    damage(told, head_key(USER), how)
    with pytest.raises(IntegrityError, match=head_key(USER)):
        check(told)


def test_without_a_head_there_is_nothing_to_check(told: Story) -> None:
    with pytest.raises(NotFoundError) as refused:
        check(told)
    assert refused.value.kind is ErrorKind.NO_HEAD


def test_a_lost_content_is_told_by_the_files_and_snapshots_that_lack_it(told: Story) -> None:
    told.upload(alpha={"a": "1", "b/lost": noise(LARGE, 1), "c": noise(LARGE, 1)})
    (bundle,) = keys_of(told, "bundles")
    told.upload(alpha={"a": "2", "b/lost": noise(LARGE, 1)})
    told.upload(alpha={"a": "2"}, beta={"b": "sound"})
    told.upload(alpha={"a": "2", "d": noise(LARGE, 2)})
    assert check(told).losses == ()
    del told.backend.objects[bundle]
    before = set(keys_of(told, "bundles"))
    losses = check(told).losses
    assert [(it.repo, it.sequence, it.is_current, it.files, it.paths) for it in losses] == [
        ("alpha", 2, False, 1, ("b/lost",)),
        ("alpha", 1, False, 3, ("a", "b/lost", "c")),
    ]
    told.upload(beta={"b": noise(LARGE, 3)})
    (bundle,) = set(keys_of(told, "bundles")) - before
    del told.backend.objects[bundle]
    (first, *_) = check(told).losses
    assert (first.repo, first.is_current, first.paths) == ("beta", True, ("b",))


def test_a_lost_listing_of_the_current_snapshot_loses_all_of_it(told: Story) -> None:
    full_of_everything(told)
    told.lab.laptop.push(repair=True)
    ref = told.lab.head().repos["alpha"].manifest
    assert ref is not None
    del told.backend.objects[Key(f"{USER}/manifests/{ref.digest.hex()}")]
    (loss, *_) = check(told).losses
    assert (loss.repo, loss.is_current, loss.files, loss.paths) == ("alpha", True, 3, ())
    assert loss.snapshot == told.lab.snapshots()["alpha"]


def test_a_bundle_in_place_of_another_is_found(told: Story) -> None:
    full_of_everything(told)
    one, other, *_ = (key for key in keys_of(told, "bundles") if key in needed(told))
    objects = told.backend.objects
    objects[one], objects[other] = objects[other], objects[one]
    assert {fault.key for fault in check(told).faults} == {one, other}


def test_what_nothing_needs_is_counted_and_not_wrong(told: Story) -> None:
    told.upload(alpha={"a": "1"})
    told.backend.put(Key(f"{USER}/bundles/{'0' * 64}"), b"left over", replacing=None)
    told.backend.put(Key(f"{USER}/notes"), b"mine", replacing=None)
    report = check(told)
    assert (report.faults, report.losses) == ((), ())
    assert (report.unneeded["bundles"].size_bytes, report.foreign.size_bytes) == (9, 4)


def test_progress_tells_of_the_bytes_of_bundles(told: Story) -> None:
    full_of_everything(told)
    heard: list[Progress] = []
    report = verify(USER, told.backend, progress=heard.append)
    assert heard[-1].done == heard[-1].total == report.sound["bundles"].size_bytes
    assert {(it.phase, it.unit) for it in heard} == {("check", "bytes")}


# What a wrong writer has written: every object is what its name says, and yet


def write(told: Story, tree: Tree, blocks: Iterable[PackedBlock], *, snapshot: SnapshotId | None = None) -> None:
    """Move the head to *tree*, whose contents are in *blocks*, whatever they hold, and whose snapshot is called so."""
    objects = told.lab.laptop.store.objects
    bundle = build_bundle(blocks)
    objects.store_bundle(bundle)
    claimed = snapshot or snapshot_id(tree)
    counts = Counts(len(tree), 0, 0, len(tree), 1)
    change = encode_change("alpha", None, claimed, Delta(None, counts, None, {}, tree, {}, bundle.places))
    record = Record(1, 0, Author(user=USER, host="wrong"), (change,))
    at = RepoHead(claimed, None, 0, len(tree), 1, Provenance(author=record.author, at_ms=0, git=None))
    move_head(told.backend, USER, next_head(None, {"alpha": at}, record), replacing=None)


def test_a_chunk_that_is_not_what_it_is_called_is_found(told: Story) -> None:
    write(told, entries({"a": "x"}), [pack_block([(digest_of(b"x"), b"y")])])
    report = check(told)
    assert [fault.key for fault in report.faults] == keys_of(told, "bundles")
    assert [(loss.is_current, loss.paths) for loss in report.losses] == [(True, ("a",))]


def test_a_large_content_that_is_not_its_chunks_is_found(told: Story) -> None:
    content = noise(3 * 2**20, 1)
    tree = {path: entry._replace(digest=digest_of(b"other")) for path, entry in entries({"a": content}).items()}
    write(told, tree, [pack_block([it]) for it in contents({"a": content}).items()])
    report = check(told)
    assert "comes to" in report.faults[0].detail
    assert [(loss.is_current, loss.paths) for loss in report.losses] == [(True, ("a",))]


def test_a_place_that_points_elsewhere_is_found(told: Story) -> None:
    first, second = pack_block([(digest_of(b"x"), b"x")]), pack_block([(digest_of(b"y"), b"y")])
    write(told, entries({"a": "x"}), [first, second])
    head = told.lab.head()
    (change,) = head.records[0].changes
    delta = decode_delta(change, "")
    bundle = build_bundle([first, second])
    wrong = encode_change(
        "alpha", None, change.after, delta._replace(places={digest_of(b"x"): bundle.places[digest_of(b"y")]})
    )
    record = head.records[0]._replace(changes=(wrong,))
    at = told.backend.objects[head_key(USER)].version
    move_head(told.backend, USER, head._replace(records=(record,)), replacing=at)
    report = check(told)
    assert "where a listing says that it is" in report.faults[0].detail
    assert [(loss.is_current, loss.paths) for loss in report.losses] == [(True, ("a",))]


def test_a_record_that_claims_another_snapshot_is_found_in_the_object_that_holds_it(told: Story) -> None:
    write(told, entries({"a": "x"}), [pack_block([(digest_of(b"x"), b"x")])], snapshot=SnapshotId(digest_of(b"other")))
    (fault,) = check(told).faults
    assert fault.key == head_key(USER)
    assert f"expected {digest_of(b'other').hex()}" in fault.detail


# Beside others


def test_what_is_pruned_while_it_is_verified_is_no_damage(told: Story) -> None:
    for number in range(30):
        told.wait(5)
        told.upload(alpha={"a": f"{number}", "b": noise(LARGE, number)})
    for calls in (1, 2, 5, 9, 14):
        with story(SHORT) as other:
            other.backend.objects.update(told.backend.objects)
            other.now_seconds = told.now_seconds
            found: list[VerifyReport] = []
            turns = Turns([("verify", calls), ("prune", 1000)])
            reader = TurnTaking(other.backend, turns, "verify")
            pruner = TurnTaking(other.backend, turns, "prune")
            raised = turns.run(
                {
                    "verify": lambda reader=reader, found=found: found.append(verify(USER, reader)),
                    "prune": lambda pruner=pruner: prune(USER, pruner, retention=SHORT),
                }
            )
            assert raised == {}
            assert (found[0].faults, found[0].losses) == ((), ())


# Histories


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("alpha", "beta", "wait", "delete", "prune")),
            trees(st.sampled_from((b"", b"x", b"yy", noise(3000, 1), noise(LARGE, 2))), max_files=5).filter(bool),
        ),
        min_size=4,
        max_size=25,
    )
)
def test_a_healthy_store_has_nothing_wrong_whatever_its_history(history: list[tuple[str, dict[str, bytes]]]) -> None:
    with small_heads(), story(SHORT) as told:
        told.upload(alpha={"a": "1"})
        for step, tree in history:
            if step == "wait":
                told.wait(7)
            elif step == "delete":
                told.delete("alpha")
            elif step == "prune":
                told.prune()
            else:
                told.upload(**{step: tree})
        report = check(told)
        assert (report.faults, report.losses) == ((), ())
        told.wait(1000)
        told.prune()
        assert check(told).unneeded == {}


# The remedy


def a_damaged_current_snapshot(told: Story, what: str) -> None:
    full_of_everything(told)
    told.wait(1)
    head = told.lab.head()
    ref = head.repos["alpha"].manifest
    assert ref is not None
    damaged = [Key(f"{USER}/manifests/{ref.digest.hex()}")] if what == "manifests" else keys_of(told, "bundles")
    for key in damaged:
        damage(told, key, "flip-middle")
    assert any(loss.is_current for loss in check(told).losses)


@pytest.mark.parametrize("what", ["bundles", "manifests"])
@pytest.mark.parametrize("is_remembered", [True, False], ids=["remembered", "forgotten"])
def test_a_repair_makes_the_current_snapshots_whole(told: Story, what: str, *, is_remembered: bool) -> None:
    a_damaged_current_snapshot(told, what)
    if not is_remembered:
        told.lab.laptop.forget()
    before = told.lab.snapshots()
    told.lab.laptop.push(repair=True)
    assert told.lab.snapshots() == before
    assert not any(loss.is_current for loss in check(told).losses)
    told.lab.machine.pull()
    assert_carried(told.lab.laptop, told.lab.machine, "alpha", "beta")
    told.upload(alpha={"a": "and on"})
    told.lab.machine.pull()
    assert_carried(told.lab.laptop, told.lab.machine, "alpha", "beta")


def test_a_repair_is_no_work_for_a_machine_that_has_the_snapshot(told: Story) -> None:
    full_of_everything(told)
    told.lab.machine.pull()
    told.lab.laptop.push(repair=True)
    assert told.lab.counted(told.lab.machine.pull) == {"conditional_get": 1}


def test_a_repair_of_a_changed_tree_uploads_the_change(told: Story) -> None:
    a_damaged_current_snapshot(told, "bundles")
    told.lab.laptop.lay(alpha={"new": "1"})
    told.lab.laptop.push(repair=True)
    told.lab.machine.pull()
    assert_carried(told.lab.laptop, told.lab.machine, "alpha", "beta")


def test_deleting_and_uploading_again_is_a_remedy_too(told: Story) -> None:
    a_damaged_current_snapshot(told, "bundles")
    for repo in ("alpha", "beta"):
        delete(repo, store=told.lab.laptop.store)
    told.lab.laptop.push()
    assert not any(loss.is_current for loss in check(told).losses)
    told.lab.machine.pull()
    assert_carried(told.lab.laptop, told.lab.machine, "alpha", "beta")


def test_what_the_past_has_lost_is_forgotten_with_it(told: Story) -> None:
    a_damaged_current_snapshot(told, "bundles")
    told.lab.laptop.push(repair=True)
    for number in range(20):
        told.wait(5)
        told.upload(alpha={"a": f"{number}"}, beta={"b": f"{number}"})
    told.prune()
    assert (check(told).faults, check(told).losses) == ((), ())
