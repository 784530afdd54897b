"""Pruning: what is needed stays, what is young stays, and the rest goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.backends.memory import MemoryBackend
from synccore.backends.recording import RecordingBackend
from synccore.delete import delete
from synccore.errors import ErrorKind, IntegrityError, NotFoundError, UnavailableError
from synccore.history import log
from synccore.inventory import Tally
from synccore.keys import Key, head_key
from synccore.progress import Progress
from synccore.prune import PruneReport, Retention, prune
from synccore.testing.faults import FaultyBackend
from synccore.testing.invariants import assert_is_at_head, assert_same_tree
from synccore.testing.lab import USER, Lab
from synccore.testing.story import Story, small_heads, story
from synccore.testing.strategies import trees
from synccore.testing.trees import NodeTree, noise

# Ten days in place of ninety, three records in place of a hundred.
SHORT = Retention(seconds=10 * 24 * 3600.0, records=3)

# Too much to travel in the head.
LARGE = 70_000


@pytest.fixture
def told() -> Iterator[Story]:
    with small_heads(), story(SHORT) as it:
        yield it


def keys_of(backend: MemoryBackend, kind: str) -> set[Key]:
    return {key for key in backend.objects if f"/{kind}/" in key}


def uploads(story: Story, count: int, *, days: float = 5.0) -> None:
    """Upload *count* times, with so many days between."""
    for number in range(count):
        story.wait(days)
        story.upload(alpha={"a": f"{number} of {story.lab.laptop.code.name}", "b": noise(LARGE, seed=number)})


# Histories


def steps() -> st.SearchStrategy[list[Callable[[Story], object]]]:
    """Things that happen to a store: uploads small and large, of one repository and of two, deletions, time, prunes."""
    repos = st.sampled_from(("alpha", "beta"))
    contents = st.sampled_from((b"", b"x = 1\n", b"x = 2\n", noise(3000, 1), noise(LARGE, 2), noise(LARGE, 3)))
    small = trees(max_files=4).filter(bool)
    any_tree = trees(contents, max_files=8).filter(bool)
    one = st.builds(_upload_one, repos, small | any_tree)
    both = st.builds(_upload_both, small, any_tree)
    quiet = st.builds(_upload_one, repos, small)
    taken_out = st.builds(_delete, repos)
    waited = st.builds(_wait, st.sampled_from((0.1, 0.6, 3.0, 11.0)))
    return st.lists(quiet | quiet | one | both | taken_out | waited | waited | st.just(_prune), min_size=6, max_size=40)


def _upload_one(repo: str, tree: NodeTree) -> Callable[[Story], object]:
    return lambda story: story.upload(**{repo: tree})


def _upload_both(one: NodeTree, other: NodeTree) -> Callable[[Story], object]:
    return lambda story: story.upload(alpha=one, beta=other)


def _delete(repo: str) -> Callable[[Story], object]:
    return lambda story: story.delete(repo)


def _wait(days: float) -> Callable[[Story], object]:
    return lambda story: story.wait(days)


def _prune(story: Story) -> None:
    if story.trees:
        young = {key for key, it in story.backend.objects.items() if story.now_seconds - it.modified_seconds <= 86400.0}
        story.prune()
        assert young <= story.backend.objects.keys()
        story.assert_restorable()
        assert story.prune().deleted == {}, "the second prune found something that the first had left"


@given(steps())
def test_every_snapshot_after_the_horizon_is_restored_with_its_contents(
    history: list[Callable[[Story], object]],
) -> None:
    with small_heads(), story(SHORT) as told:
        for step in history:
            step(told)
        _prune(told)
        told.wait(30)
        _prune(told)
        if told.trees and told.lab.snapshots():
            told.lab.machine.pull()
            assert_is_at_head(told.lab.machine, told.lab)


def test_a_long_history_loses_all_but_what_is_kept(told: Story) -> None:
    uploads(told, 40)
    before = len(told.backend.objects)
    report = told.prune()
    assert report.horizon > 25
    assert (report.horizon_before, report.sequence) == (0, 40)
    assert told.lab.head().horizon == report.horizon
    assert count_of(report) == before - len(told.backend.objects)
    assert count_of(report) > before / 2
    told.assert_restorable()
    assert told.prune().deleted == {}


def test_what_is_pruned_again_and_again_is_what_is_pruned_at_once() -> None:
    kept = []
    for is_pruned_often in (True, False):
        with small_heads(), story(SHORT) as told:
            for _ in range(30):
                uploads(told, 1)
                if is_pruned_often:
                    told.prune()
            told.prune()
            kept.append({kind: len(keys_of(told.backend, kind)) for kind in ("bundles", "manifests", "journal")})
    assert kept[0] == kept[1]


# What goes, and what stays


def test_what_nothing_needs_goes_when_it_is_older_than_a_day(lab: Lab, told: Story) -> None:
    told.upload(alpha={"a": "1"})
    keys = [Key(f"{USER}/{kind}/{'0' * 63}{number}") for number, kind in enumerate(("bundles", "manifests", "journal"))]
    for key in keys:
        told.backend.put(key, b"left by a writer that was killed", replacing=None)
    told.wait(0.99)
    assert told.prune().young == {kind: Tally(1, 32) for kind in ("bundles", "journal", "manifests")}
    told.wait(0.02)
    report = told.prune()
    assert report.deleted == {kind: Tally(1, 32) for kind in ("bundles", "journal", "manifests")}
    assert told.backend.objects.keys() == {head_key(USER)}


def test_a_prune_with_nothing_to_delete_writes_nothing(told: Story) -> None:
    uploads(told, 3)
    head = told.lab.head()
    assert told.lab.counted(lambda: prune(USER, told.lab.backend)) == {"get": 1, "keys": 1}
    assert told.lab.head() == head


def test_a_dry_run_says_what_a_prune_would_delete_and_changes_nothing(told: Story) -> None:
    uploads(told, 30)
    before = dict(told.backend.objects)
    would = told.prune(dry_run=True)
    assert told.backend.objects == before
    did = told.prune()
    assert would.is_dry_run
    assert not did.is_dry_run
    assert (would.deleted, would.horizon, would.current, would.history) == (
        did.deleted,
        did.horizon,
        did.current,
        did.history,
    )


def test_a_prune_lists_once_and_gets_only_what_it_has_to_understand(told: Story) -> None:
    uploads(told, 30)
    gone = sum(it.count for it in told.prune(dry_run=True).deleted.values())
    calls = told.lab.counted(lambda: prune(USER, told.lab.backend, retention=SHORT))
    kept = len(keys_of(told.backend, "manifests")) + len(keys_of(told.backend, "journal"))
    assert calls == {"get": 1 + kept, "keys": 1, "conditional_put": 1, "delete": gone}


def test_what_is_not_ours_is_counted_and_left_alone(told: Story) -> None:
    told.upload(alpha={"a": "1"})
    strange = [
        Key(f"{USER}/notes.txt"),
        Key(f"{USER}/bundles/short"),
        Key(f"{USER}/bundles/{'A' * 64}"),
        Key("bob/head"),
    ]
    for key in strange:
        told.backend.put(key, b"mine", replacing=None)
    told.wait(1000)
    report = told.prune()
    assert report.foreign == Tally(3, 12)
    assert set(strange) <= told.backend.objects.keys()


def test_without_a_head_nothing_is_deleted(told: Story) -> None:
    uploads(told, 2)
    told.wait(1000)
    del told.backend.objects[head_key(USER)]
    before = dict(told.backend.objects)
    with pytest.raises(NotFoundError) as refused:
        told.prune()
    assert refused.value.kind is ErrorKind.NO_HEAD
    assert told.backend.objects == before


@pytest.mark.parametrize("kind", ["manifests", "journal"])
def test_a_store_with_a_needed_listing_missing_is_not_pruned(told: Story, kind: str) -> None:
    uploads(told, 30)
    told.prune()
    head = told.lab.head()
    ref = head.earlier if kind == "journal" else head.repos["alpha"].manifest
    assert ref is not None
    missing = Key(f"{USER}/{kind}/{ref.digest.hex()}")
    del told.backend.objects[missing]
    before = dict(told.backend.objects)
    with pytest.raises(IntegrityError, match=missing):
        told.prune()
    assert told.backend.objects == before


def test_the_snapshot_that_was_current_when_the_retention_began_stays(told: Story) -> None:
    told.upload(alpha={"a": "old", "b": noise(LARGE)})
    told.wait(500)
    for number in range(20):
        told.upload(alpha={"a": f"{number}"})
    told.wait(2)
    told.prune()
    assert told.restored()[1] == {"alpha": {"a": b"old", "b": noise(LARGE)}}


def test_no_clients_clock_decides_anything(told: Story) -> None:
    uploads(told, 30)
    expected = told.prune(dry_run=True)
    with small_heads(), story(SHORT) as other:
        # A laptop that takes every day for the first one of 1970.
        other.lab.laptop.store = other.lab.laptop.store._replace(now_ns=lambda: 0)
        uploads(other, 30)
        assert other.prune(dry_run=True).horizon == expected.horizon
        other.prune()
        other.assert_restorable()


def test_the_log_ends_where_older_uploads_were_pruned(told: Story) -> None:
    uploads(told, 30)
    report = told.prune()
    lines = log(USER, told.backend, limit=100)
    assert [line.sequence for line in lines] == list(range(30, lines[-1].sequence - 1, -1))
    assert 1 < lines[-1].sequence <= report.horizon + 1


def test_a_journal_object_that_is_missing_above_the_horizon_is_damage(told: Story) -> None:
    uploads(told, 30)
    del told.backend.objects[min(keys_of(told.backend, "journal"))]
    with pytest.raises(IntegrityError, match="is missing"):
        log(USER, told.backend, limit=100)


def test_progress_tells_of_each_object_deleted(told: Story) -> None:
    uploads(told, 20)
    heard: list[Progress] = []
    report = prune(USER, told.backend, retention=SHORT, progress=heard.append)
    total = sum(it.count for it in report.deleted.values())
    assert [it.done for it in heard] == list(range(1, total + 1))
    assert {(it.phase, it.total, it.unit) for it in heard} == {("delete", total, "objects")}


# After a prune


def test_a_head_that_moved_without_a_record_means_no_work_for_a_machine_and_none_for_a_laptop(told: Story) -> None:
    uploads(told, 20)
    told.lab.machine.pull()
    told.prune()
    assert told.lab.counted(told.lab.machine.pull) == {"conditional_get": 1}
    assert told.lab.counted(told.lab.machine.pull) == {"conditional_get": 1}
    assert told.lab.counted(told.lab.laptop.push) == {"conditional_get": 1}
    assert told.lab.counted(told.lab.laptop.push) == {"conditional_get": 1}
    told.prune()
    told.upload(alpha={"a": "after"}, force=False)
    told.lab.machine.pull()
    assert_same_tree(told.lab.machine.read("alpha"), {"a": "after"})


def test_a_laptop_that_slept_through_the_pruning_of_what_it_knew_stores_it_anew(told: Story) -> None:
    """It knows from long ago where the contents of its tree are, and nothing of that is there any more."""
    told.upload(alpha={"a": noise(LARGE, 7), "b": "1"}, beta={"b": "1"})
    other = told.lab.another_laptop("other")
    other.lay(beta={"b": "1"})
    other.push("beta")
    delete("alpha", store=other.store)
    for number in range(30):
        told.wait(5)
        other.lay(beta={"b": f"{number}", "c": noise(LARGE, seed=number)})
        other.push("beta")
    prune(USER, told.backend, retention=SHORT)
    told.lab.laptop.push("alpha")
    told.lab.machine.pull()
    assert_same_tree(told.lab.machine.read("alpha"), {"a": noise(LARGE, 7), "b": "1"})


def test_a_laptop_that_slept_replaces_what_another_made_of_its_tree(told: Story) -> None:
    told.upload(alpha={"a": noise(LARGE, 7), "b": "1"})
    other = told.lab.another_laptop("other")
    other.lay(alpha={"a": noise(LARGE, 7), "b": "1"})
    other.push()
    for number in range(30):
        told.wait(5)
        other.lay(alpha={"a": f"{number}", "b": noise(LARGE, seed=number)})
        other.push()
    prune(USER, told.backend, retention=SHORT)
    told.lab.laptop.push(force=True)
    told.lab.machine.pull()
    assert_same_tree(told.lab.machine.read("alpha"), {"a": noise(LARGE, 7), "b": "1"})


def test_a_laptop_that_slept_and_lost_its_listing_reads_the_newest_head(told: Story) -> None:
    uploads(told, 8)
    other = told.lab.another_laptop("other")
    other.lay(alpha={"a": "other"})
    other.push(force=True)
    for number in range(30):
        told.wait(5)
        other.lay(alpha={"a": f"{number}", "b": noise(LARGE, seed=number)})
        other.push()
    prune(USER, told.backend, retention=SHORT)
    for folder in ("manifests", "stat"):
        shutil.rmtree(told.lab.laptop.state_folder / folder)
    told.upload(alpha={"mine": "1"})
    told.lab.machine.pull()
    assert_same_tree(told.lab.machine.read("alpha"), {"mine": "1"})


def test_an_upload_that_meets_its_own_leftovers_of_long_ago_does_not_rely_on_them(told: Story) -> None:
    """The same contents, under way for the second time: what the first time has left is old and may go at any moment."""
    told.upload(alpha={"a": "1"})
    large = {"a": noise(LARGE, 5)}
    head = told.backend.objects[head_key(USER)]
    told.upload(alpha=large)
    left = set(told.backend.objects) - {head_key(USER)}
    # As if the first upload had been killed just before it moved the head.
    told.backend.objects[head_key(USER)] = head
    told.lab.laptop.forget()
    told.wait(2)
    told.lab.laptop.push(force=True)
    report = told.prune()
    assert report.deleted["bundles"].count == 1
    assert not left & told.backend.objects.keys()
    told.lab.machine.pull()
    assert_same_tree(told.lab.machine.read("alpha"), large)


def test_what_is_kept_does_not_hang_on_where_the_head_happens_to_start(told: Story) -> None:
    """The next upload may replace that start, and then nothing would name it any more."""
    for number in range(13):
        told.upload(alpha={"a": f"{number}"})
    base = told.lab.head().repos["alpha"].base
    told.wait(30)
    assert told.prune().horizon == base == 10
    told.lab.laptop.push()
    told.upload(alpha={f"{number}": noise(LARGE, number) for number in range(20)})
    assert told.lab.head().repos["alpha"].base > base
    told.assert_restorable()
    for number in range(10):
        told.upload(alpha={"a": f"{number} again"})
    told.assert_restorable()


def test_a_move_of_which_nobody_can_say_whether_it_landed_is_made_again(told: Story) -> None:
    uploads(told, 20)
    faulty = FaultyBackend(told.backend)
    faulty.fail("conditional_put", UnavailableError(ErrorKind.UNAVAILABLE, "no answer", ambiguous=True))
    report = prune(USER, faulty, retention=SHORT)
    assert told.lab.head().horizon == report.horizon > 0
    told.assert_restorable()


def test_a_move_whose_answer_was_lost_is_recognised(told: Story) -> None:
    uploads(told, 20)
    faulty = FaultyBackend(told.backend)
    faulty.lose_answer("conditional_put")
    counted = RecordingBackend(faulty)
    report = prune(USER, counted, retention=SHORT)
    assert told.lab.head().horizon == report.horizon > 0
    assert counted.calls["conditional_put"] == 1


def count_of(report: PruneReport) -> int:
    return sum(it.count for it in report.deleted.values())
