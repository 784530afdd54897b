"""A new tree that could not be finished gives its room back: at once after a failure, with the next pull after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.delete import delete
from synccore.errors import UnavailableError
from synccore.progress import Progress
from synccore.pull import pull
from synccore.testing.faults import FaultyBackend
from synccore.testing.invariants import assert_nothing_unfinished
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import noise

TREES = {"alpha": {"a": noise(200_000, 1), "z": "1"}, "beta": {"b": noise(200_000, 2), "z": "1"}}


@pytest.fixture
def faulty() -> FaultyBackend:
    return FaultyBackend(MemoryBackend())


@pytest.fixture
def lab(tmp_path: Path, faulty: FaultyBackend) -> Lab:
    lab = Lab(tmp_path, faulty)
    lab.laptop.lay(**TREES)
    lab.laptop.push()
    return lab


def staged(lab: Lab) -> list[Path]:
    return list(lab.machine.memory_folder.glob("staging-*"))


def interrupt(lab: Lab) -> list[Path]:
    """Interrupt a pull when the first files have been written; return the unfinished trees that there were."""
    found: list[Path] = []

    def stop(_: Progress) -> None:
        found.extend(staged(lab))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(lab.machine.home, user=USER, backend=lab.backend, store="lab", now_ns=lab.clock, progress=stop)
    return found


def test_a_storage_that_fails_midway_leaves_no_unfinished_tree(lab: Lab, faulty: FaultyBackend) -> None:
    faulty.fail("get_range")
    faulty.fail("get", times=2)
    with pytest.raises(UnavailableError):
        lab.machine.pull()
    assert_nothing_unfinished(lab.machine)


def test_an_interrupt_leaves_no_unfinished_tree(lab: Lab) -> None:
    assert len(interrupt(lab)) == len(TREES)
    assert_nothing_unfinished(lab.machine)
    lab.machine.pull()
    assert lab.machine.trees().keys() == TREES.keys()


def test_the_pull_after_a_crash_removes_an_unfinished_tree_that_nobody_wants_any_more(lab: Lab) -> None:
    lab.machine.pull()
    (lab.machine.memory_folder / "staging-gamma-0123abcd" / "d").mkdir(parents=True)
    (lab.machine.memory_folder / "lock").write_text("pid 1 since 2026-01-01T00:00:00Z\n")
    delete("beta", store=lab.laptop.store)
    lab.machine.pull()
    assert_nothing_unfinished(lab.machine)
