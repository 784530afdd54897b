"""What is asked about a tree that git takes long to list: the head, before the list is there."""

from __future__ import annotations

import pytest

from synccore.errors import IntegrityError
from synccore.keys import head_key
from synccore.push import PushOutcome
from synccore.testing.invariants import assert_carried
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import NodeTree

pytestmark = pytest.mark.vm

TREES: dict[str, NodeTree] = {name: {f"d/{n}.py": b"x = %d" % n for n in range(6)} for name in ("alpha", "beta")}


@pytest.fixture(autouse=True)
def trees_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what can be made in no time for large."""
    monkeypatch.setattr("synccore.look._LARGE", 5)


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.laptop.lay(**TREES)
    lab.laptop.push()
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
    return lab


def test_nothing_new_is_still_one_conditional_get(lab: Lab) -> None:
    report = lab.laptop.push()
    assert {line.outcome for line in report.repos} == {PushOutcome.UNCHANGED}
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}


@pytest.mark.parametrize("repo", ["alpha", "beta"])
def test_an_edit_or_a_deletion_is_still_one_put(lab: Lab, repo: str) -> None:
    (lab.laptop.code / repo / "d/1.py").write_bytes(b"another")
    assert lab.counted(lab.laptop.push) == {"conditional_put": 1}
    (lab.laptop.code / repo / "d/2.py").unlink()
    assert lab.counted(lab.laptop.push) == {"conditional_put": 1}


def test_a_new_file_costs_a_get_beside_its_put(lab: Lab) -> None:
    (lab.laptop.code / "beta" / "new.py").write_bytes(b"new")
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1, "conditional_put": 1}
    lab.machine.pull()
    assert_carried(lab.laptop, lab.machine, "alpha", "beta")


def test_what_somebody_else_has_uploaded_meanwhile_is_seen(lab: Lab) -> None:
    other = lab.another_laptop("other")
    other.lay(gamma={"a.py": b"1"})
    other.push()
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
    assert lab.backend.bytes_read == 0
    lab.machine.pull()
    assert (lab.machine.home / "gamma" / "a.py").read_bytes() == b"1"


def test_a_damaged_head_is_told_of_whether_or_not_its_answer_was_wanted(lab: Lab) -> None:
    found = lab.inner.get(head_key(USER))
    lab.inner.put(head_key(USER), b"damaged", replacing=found.version)  # type: ignore[union-attr]
    with pytest.raises(IntegrityError):
        lab.laptop.push()
    (lab.laptop.code / "beta" / "new.py").write_bytes(b"new")
    with pytest.raises(IntegrityError):
        lab.laptop.push()
