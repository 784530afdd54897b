import shutil

import pytest

from synccore.delete import delete
from synccore.errors import ErrorKind, NotFoundError
from synccore.history import log
from synccore.pullreport import PullOutcome
from synccore.testing.invariants import assert_is_at_head, assert_same_tree, assert_sound
from synccore.testing.lab import USER, Lab


def test_a_machine_keeps_its_copy_and_says_that_it_is_no_longer_updated(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    lab.machine.pull()
    last = lab.snapshots()["alpha"]
    assert delete("alpha", store=lab.laptop.store) == last
    for _ in range(2):
        report = lab.machine.pull()
        assert [(line.repo, line.outcome) for line in report.repos] == [
            ("alpha", PullOutcome.NO_LONGER_UPDATED),
            ("beta", PullOutcome.UNCHANGED),
        ]
        assert_same_tree(lab.machine.read("alpha"), {"a": "1"})
    assert log(USER, lab.inner, limit=1)[0].repos[0].after is None


@pytest.mark.parametrize("has_pulled_meanwhile", [True, False])
def test_a_later_upload_resumes_and_takes_nothing_of_ours_for_an_edit(lab: Lab, *, has_pulled_meanwhile: bool) -> None:
    lab.laptop.lay(alpha={"a": "1", "gone": "1"})
    lab.laptop.push()
    lab.machine.pull()
    delete("alpha", store=lab.laptop.store)
    if has_pulled_meanwhile:
        lab.machine.pull()
    lab.laptop.lay(alpha={"a": "2", "new": "1"})
    lab.laptop.push()
    (line,) = lab.machine.pull().repos
    assert (line.outcome, line.saved) == (PullOutcome.UPDATED, ())
    assert_is_at_head(lab.machine, lab)
    assert_sound(lab.inner)
    lab.laptop.lay(alpha={"a": "3"})
    lab.laptop.push()
    assert lab.machine.pull().repos[0].saved == ()
    assert_is_at_head(lab.machine, lab)


def test_a_new_machine_does_not_get_what_was_taken_out(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    delete("alpha", store=lab.laptop.store)
    lab.machine.pull()
    assert list(lab.machine.trees()) == ["beta"]


def test_a_repository_that_is_not_there_is_named_with_those_that_are(lab: Lab) -> None:
    with pytest.raises(NotFoundError, match="gamma is not synchronised; these are: none") as refused:
        delete("gamma", store=lab.laptop.store)
    assert refused.value.kind is ErrorKind.NOT_FOUND
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    with pytest.raises(NotFoundError, match="gamma is not synchronised; these are: alpha, beta"):
        delete("gamma", store=lab.laptop.store)


def test_a_copy_that_is_no_longer_updated_may_be_removed(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    lab.machine.pull()
    delete("alpha", store=lab.laptop.store)
    lab.machine.pull()
    shutil.rmtree(lab.machine.home / "alpha")
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert [line.repo for line in lab.machine.pull().repos] == ["beta"]
    lab.laptop.lay(beta={"b": "2"})
    lab.laptop.push("beta")
    assert [line.repo for line in lab.machine.pull().repos] == ["beta"]
    assert list(lab.machine.trees()) == ["beta"]
