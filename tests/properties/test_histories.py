"""Whatever was uploaded arrives, for machines that are near and far behind."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.head import SPILL_ABOVE_BYTES
from synccore.history import log
from synccore.pullreport import PullOutcome
from synccore.testing.invariants import (
    assert_carried,
    assert_is_at_head,
    assert_nothing_unfinished,
    assert_same_tree,
    assert_sound,
)
from synccore.testing.lab import USER, Lab, lab_in_memory
from synccore.testing.strategies import contents_around_the_boundary, histories, small_contents
from synccore.testing.trees import NodeTree, executable, link, noise

pytestmark = pytest.mark.vm

MIB = 2**20


@given(
    histories(small_contents() | contents_around_the_boundary(), max_size=4),
    histories(max_size=4),
    st.sets(st.integers(0, 3)),
    st.sampled_from((0, SPILL_ABOVE_BYTES)),
)
def test_every_upload_arrives_at_machines_that_follow_lag_and_come_new(
    alphas: list[NodeTree], betas: list[NodeTree], lagging_pulls: set[int], spilled: int
) -> None:
    with lab_in_memory() as lab, patch("synccore.fold.SPILL_ABOVE_BYTES", spilled):
        lagging = lab.another_machine("lagging")
        for step in range(max(len(alphas), len(betas))):
            trees = {"alpha": alphas[min(step, len(alphas) - 1)], "beta": betas[min(step, len(betas) - 1)]}
            lab.laptop.lay(**trees)
            lab.laptop.push(force=True)
            lab.machine.pull()
            assert_carried(lab.laptop, lab.machine, "alpha", "beta")
            assert_is_at_head(lab.machine, lab)
            if step in lagging_pulls:
                lagging.pull()
                assert_carried(lab.laptop, lagging, "alpha", "beta")
        fresh = lab.another_machine("fresh")
        for machine in (lagging, fresh):
            assert [line.saved for line in machine.pull().repos] == [(), ()]
            assert_is_at_head(machine, lab)
            assert_nothing_unfinished(machine)
        assert_sound(lab.inner)


@pytest.mark.parametrize("spilled", [0, 2_000, SPILL_ABOVE_BYTES])
def test_machines_any_number_of_uploads_behind_arrive_across_many_folds_and_spills(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, spilled: int
) -> None:
    monkeypatch.setattr("synccore.fold.SPILL_ABOVE_BYTES", spilled)
    tree: dict[str, str | bytes] = {"steady": "1"}
    behind = []
    folds = 0
    for number in range(150):
        tree[f"d{number % 7}/f{number % 11}"] = f"upload {number}" * 30
        if number % 13 == 5:
            del tree[sorted(tree)[number % len(tree)]]
        if number % 29 == 7:
            tree[f"noise{number}"] = noise(30_000, number)
        lab.laptop.lay(alpha=tree, beta={"b": str(number // 60)})
        folds += lab.laptop.push().folded
        if number % 8 == 0:
            machine = lab.another_machine(f"behind-{number}")
            machine.pull()
            behind.append(machine)
        lab.machine.pull()
    assert_carried(lab.laptop, lab.machine, "alpha", "beta")
    assert folds >= 3
    for machine in behind:
        assert all(line.saved == () for line in machine.pull().repos)
        assert_is_at_head(machine, lab)
        assert lab.counted(machine.pull) == {"conditional_get": 1}
    assert_sound(lab.inner)
    lines = log(USER, lab.inner, limit=1000)
    assert [line.sequence for line in lines] == list(range(lab.head().sequence, 0, -1))
    assert log(USER, lab.inner, limit=3) == lines[:3]


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB])
@pytest.mark.parametrize("wrap", [bytes, executable])
def test_a_file_of_any_size_arrives_shrinks_grows_and_changes_its_kind(lab: Lab, size: int, wrap: type[bytes]) -> None:
    sequence: list[NodeTree] = [
        {"f": wrap(noise(size)), "twin": noise(size)},
        {"f": noise(size), "twin": wrap(noise(size))},
        {"f": wrap(noise(size + 1, 1))},
        {"f": link("twin"), "twin": wrap(noise(size // 2))},
        {"f/now": noise(size), "twin": b""},
    ]
    late = lab.another_machine("late")
    for tree in sequence:
        lab.laptop.lay(alpha=tree)
        lab.laptop.push()
        lab.machine.pull()
        assert_same_tree(lab.machine.read("alpha"), tree)
    late.pull()
    assert_same_tree(late.read("alpha"), sequence[-1])
    assert_sound(lab.inner)


def test_an_edit_in_the_middle_of_twenty_megabytes_moves_about_what_changed(lab: Lab) -> None:
    content = bytearray(noise(20 * MIB))
    lab.laptop.lay(alpha={"large": bytes(content), "small": "1"})
    lab.laptop.push()
    lab.machine.pull()
    content[9_000_000:9_001_024] = noise(1024, 5)
    lab.laptop.lay(alpha={"large": bytes(content), "small": "1"})
    lab.backend.reset()
    lab.laptop.push()
    assert lab.backend.bytes_written <= 4 * MIB
    lab.backend.reset()
    (line,) = lab.machine.pull().repos
    assert line.written == ("large",)
    assert lab.backend.bytes_read <= 4 * MIB
    assert_carried(lab.laptop, lab.machine, "alpha")
    assert_sound(lab.inner)


def test_equal_trees_are_equal_snapshots_whoever_has_them_and_however_they_came_about(lab: Lab) -> None:
    tree = {"a": "1", "b/c": executable("2"), "l": link("a"), "large": noise(2 * MIB)}
    lab.laptop.lay(alpha={"z": "other"}, beta=tree)
    lab.laptop.push()
    lab.laptop.lay(alpha=tree)
    lab.laptop.push()
    snapshots = lab.snapshots()
    assert snapshots["alpha"] == snapshots["beta"]
    lines = {line.repo: line.snapshot for line in lab.machine.pull().repos}
    assert lines == snapshots


def test_twice_is_once(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    lab.machine.pull()
    for _ in range(2):
        assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
        assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert {line.outcome for line in lab.machine.pull().repos} == {PullOutcome.UNCHANGED}
