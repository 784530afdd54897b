"""Two laptops of one user: neither undoes unknowingly what the other has uploaded."""

import pytest

from synccore.delete import delete
from synccore.errors import ConflictError, ErrorKind
from synccore.history import log
from synccore.look import Source
from synccore.push import PushOutcome
from synccore.status import source_status
from synccore.testing.invariants import assert_is_at_head, assert_same_tree, assert_sound
from synccore.testing.lab import USER, Lab, Laptop


@pytest.fixture
def other(lab: Lab) -> Laptop:
    """A second laptop; both have uploaded the same trees of alpha and beta."""
    other = lab.another_laptop("other")
    for laptop in (lab.laptop, other):
        laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
        laptop.push()
    return other


def assert_refused(lab: Lab, laptop: Laptop, *repos: str) -> ConflictError:
    before = lab.head()
    with pytest.raises(ConflictError) as refused:
        laptop.push(*repos)
    assert refused.value.kind is ErrorKind.UNSEEN_SNAPSHOT
    assert lab.head() == before
    return refused.value


def test_a_snapshot_that_this_laptop_never_had_is_not_replaced(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "first", "new": "1"})
    lab.laptop.push()
    other.lay(alpha={"a": "second"})
    error = assert_refused(lab, other)
    assert "uploaded from laptop" in error.message
    assert "replace 1 of its files, delete 1 and add 0" in error.message
    assert error.facts["snapshot"] == lab.snapshots()["alpha"].hex()
    assert_refused(lab, other)
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), {"a": "first", "new": "1"})


def test_a_laptop_behind_that_has_changed_nothing_does_not_undo_the_others_upload(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "first"})
    lab.laptop.push()
    assert_refused(lab, other)


def test_force_replaces_and_leaves_the_other_in_the_history(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "first"})
    lab.laptop.push()
    replaced = lab.snapshots()["alpha"]
    other.lay(alpha={"a": "second"})
    other.push(force=True)
    newest, before, *_ = log(USER, lab.inner, limit=9)
    assert (newest.repos[0].before, newest.author.host) == (replaced, "other")
    assert (before.repos[0].after, before.author.host) == (replaced, "laptop")
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), {"a": "second"})
    assert_refused(lab, lab.laptop)


def test_uploads_of_different_repositories_go_on_top_of_each_other(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "2"})
    lab.laptop.push("alpha")
    other.lay(beta={"b": "2"})
    (line,) = other.push("beta").repos
    assert line.outcome is PushOutcome.PUBLISHED
    lab.machine.pull()
    assert lab.machine.trees() == {"alpha": {"a": b"2"}, "beta": {"b": b"2"}}
    assert_sound(lab.inner)


def test_an_upload_of_another_repository_does_not_count_as_having_seen_this_one(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "first"})
    lab.laptop.push()
    other.lay(beta={"b": "2"})
    other.push("beta")
    assert_refused(lab, other)
    (status,) = source_status([Source(repo="alpha", root=other.code / "alpha")], store=other.store)
    assert not status.is_seen


def test_a_deletion_does_not_count_as_having_seen_other_repositories(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "first"})
    lab.laptop.push()
    delete("beta", store=other.store)
    assert_refused(lab, other, "alpha")


def test_a_laptop_that_has_got_the_others_tree_by_other_means_goes_on_from_it(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "first"})
    lab.laptop.push()
    other.lay(beta={"b": "2"})
    other.push("beta")
    other.lay(alpha={"a": "first"})
    assert {line.outcome for line in other.push().repos} == {PushOutcome.UNCHANGED}
    other.lay(alpha={"a": "second"})
    other.push()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert_same_tree(lab.machine.read("alpha"), {"a": "second"})


def test_a_laptop_that_lost_its_memory_asks_before_it_replaces(lab: Lab, other: Laptop) -> None:
    other.forget()
    other.lay(alpha={"a": "second"})
    assert_refused(lab, other)
    other.push("beta")
    assert_refused(lab, other)


def test_a_laptop_that_lost_its_memory_and_has_what_the_store_has_remembers_that(lab: Lab, other: Laptop) -> None:
    other.forget()
    other.push()
    other.lay(alpha={"a": "second"})
    assert other.push("alpha").repos[0].outcome is PushOutcome.PUBLISHED


def test_a_refusal_speaks_of_the_head_as_it_is_now_and_not_as_it_was_last_seen(lab: Lab, other: Laptop) -> None:
    lab.laptop.lay(alpha={"a": "first"})
    lab.laptop.push()
    other.lay(beta={"b": "2"})
    other.push("beta")
    # The other laptop has seen a head with "first" in it; meanwhile that is gone.
    lab.laptop.lay(alpha={"a": "later"})
    lab.laptop.push("alpha")
    other.lay(alpha={"a": "second"})
    error = assert_refused(lab, other, "alpha")
    assert error.facts["snapshot"] == lab.snapshots()["alpha"].hex()
    delete("alpha", store=lab.laptop.store)
    assert other.push("alpha").repos[0].outcome is PushOutcome.PUBLISHED
