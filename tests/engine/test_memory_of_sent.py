"""What a laptop remembers when an upload's answer, or its own disk, is lost: it knows its own uploads again."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.backends.patience import Patience
from synccore.delete import delete
from synccore.errors import ConflictError, ErrorKind, NotFoundError, UnavailableError, WorktreeError
from synccore.look import Source
from synccore.push import PushOutcome
from synccore.status import source_status
from synccore.testing.faults import FaultyBackend
from synccore.testing.invariants import assert_same_tree, assert_sound
from synccore.testing.lab import Lab, Laptop


@pytest.fixture
def faulty() -> FaultyBackend:
    return FaultyBackend(MemoryBackend())


@pytest.fixture
def lab(tmp_path: Path, faulty: FaultyBackend) -> Lab:
    """A laptop that gives up at once, and has uploaded something."""
    lab = Lab(tmp_path, faulty, patience=Patience(deadline_seconds=0))
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    return lab


def upload_without_an_answer(lab: Lab, faulty: FaultyBackend, *repos: str) -> None:
    """Have an upload land of which the laptop does not hear any more."""
    faulty.lose_answer("conditional_put")
    faulty.fail("get")
    with pytest.raises(UnavailableError) as unknown:
        lab.laptop.push(*repos)
    assert unknown.value.facts["ambiguous"] is True


def status_of(laptop: Laptop, repo: str) -> bool:
    (status,) = source_status([Source(repo=repo, root=laptop.code / repo)], store=laptop.store)
    return status.is_seen


def test_an_upload_goes_on_from_one_that_landed_without_an_answer(lab: Lab, faulty: FaultyBackend) -> None:
    lab.laptop.lay(alpha={"a": "2"})
    upload_without_an_answer(lab, faulty)
    lab.laptop.lay(alpha={"a": "3"})
    assert status_of(lab.laptop, "alpha")
    assert lab.laptop.push("alpha").repos[0].outcome is PushOutcome.PUBLISHED
    assert lab.head().sequence == 3
    assert_sound(lab.inner)


def test_also_from_several_and_after_uploads_of_other_repositories(lab: Lab, faulty: FaultyBackend) -> None:
    for text in "234":
        lab.laptop.lay(alpha={"a": text})
        upload_without_an_answer(lab, faulty, "alpha")
    lab.laptop.lay(beta={"b": "2"})
    lab.laptop.push("beta")
    lab.laptop.lay(alpha={"a": "5"})
    lab.laptop.push("alpha")
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), {"a": "5"})


def test_what_was_sent_long_ago_is_no_excuse_once_an_upload_has_succeeded(lab: Lab, faulty: FaultyBackend) -> None:
    lab.laptop.lay(alpha={"a": "2"})
    upload_without_an_answer(lab, faulty)
    lab.laptop.lay(alpha={"a": "3"})
    lab.laptop.push()
    other = lab.another_laptop("other")
    other.lay(alpha={"a": "2"})
    other.push("alpha", force=True)
    lab.laptop.lay(alpha={"a": "4"})
    with pytest.raises(ConflictError) as refused:
        lab.laptop.push("alpha")
    assert refused.value.kind is ErrorKind.UNSEEN_SNAPSHOT


def test_a_damaged_note_of_what_was_sent_makes_the_laptop_ask(lab: Lab, faulty: FaultyBackend) -> None:
    lab.laptop.lay(alpha={"a": "2"})
    upload_without_an_answer(lab, faulty)
    note = lab.laptop.state_folder / "sent"
    note.write_bytes(note.read_bytes()[:-1] + b"?")
    lab.laptop.lay(alpha={"a": "3"})
    with pytest.raises(ConflictError):
        lab.laptop.push("alpha")


def let_the_disk_refuse(laptop: Laptop, name: str) -> Path:
    """Put a directory where a file of the laptop's memory has to be, which stops even the superuser."""
    (laptop.state_folder / name).unlink(missing_ok=True)
    (laptop.state_folder / name / "in the way").mkdir(parents=True)
    return laptop.state_folder / name


def test_an_upload_that_landed_is_no_failure_though_the_disk_refuses_to_remember_it(lab: Lab) -> None:
    in_the_way = let_the_disk_refuse(lab.laptop, "head")
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "2"})
    assert lab.laptop.push("alpha").repos[0].outcome is PushOutcome.UNCHANGED
    lab.laptop.lay(alpha={"a": "2"})
    lab.laptop.push("alpha", force=True)
    lab.laptop.lay(alpha={"a": "3"})
    assert lab.laptop.push("alpha").repos[0].outcome is PushOutcome.PUBLISHED
    (in_the_way / "in the way").rmdir()
    in_the_way.rmdir()
    lab.laptop.lay(alpha={"a": "4"})
    assert lab.laptop.push("alpha").repos[0].outcome is PushOutcome.PUBLISHED
    assert lab.head().sequence == 4


def test_an_upload_that_could_not_be_known_again_is_not_begun(lab: Lab) -> None:
    let_the_disk_refuse(lab.laptop, "sent")
    before = lab.head()
    lab.laptop.lay(alpha={"a": "2"})
    with pytest.raises(WorktreeError):
        lab.laptop.push()
    assert lab.head() == before


def test_a_deletion_that_landed_is_no_failure_though_the_disk_refuses_to_remember_it(lab: Lab) -> None:
    let_the_disk_refuse(lab.laptop, "head")
    last = lab.snapshots()["alpha"]
    assert delete("alpha", store=lab.laptop.store) == last
    assert "alpha" not in lab.snapshots()


@pytest.mark.parametrize("calls", [1, 2])
def test_a_deletion_that_lands_late_is_done_once(lab: Lab, faulty: FaultyBackend, calls: int) -> None:
    patient = Laptop(lab.folder / "laptop", lab.backend, lab.clock)
    faulty.land_late("conditional_put", calls=calls)
    delete("alpha", store=patient.store)
    assert lab.head().sequence == 2
    with pytest.raises(NotFoundError):
        delete("alpha", store=patient.store)


def test_a_look_on_a_disk_that_keeps_no_cache_is_a_look_all_the_same(lab: Lab) -> None:
    lab.laptop.forget()
    let_the_disk_refuse(lab.laptop, "stat/alpha")
    lab.laptop.lay(alpha={"a": "2"})
    lab.laptop.push("alpha", force=True)
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), {"a": "2"})
