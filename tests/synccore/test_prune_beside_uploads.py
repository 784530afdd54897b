"""Prunes and uploads beside each other, in every order of their storage calls."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.errors import ConflictError
from synccore.look import Source
from synccore.prune import Retention, prune
from synccore.push import push
from synccore.testing.invariants import assert_carried
from synccore.testing.lab import USER, Laptop
from synccore.testing.story import Story, small_heads
from synccore.testing.trees import TreeLiteral, noise
from synccore.testing.turns import Turns, TurnTaking

SHORT = Retention(seconds=10 * 24 * 3600.0, records=3)
LARGE = 70_000

# What is uploaded beside the prune: contents and a listing as an old and forgotten upload has had them, and new ones.
WANTED: TreeLiteral = {"a": noise(LARGE, 1), "b": noise(LARGE, 2), "c": "new", **{f"m{n}": f"{n}" for n in range(9)}}


@pytest.fixture(scope="module", autouse=True)
def _template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make the store that every test begins with once: a long past, and leftovers of all kinds that are as old."""
    folder = tmp_path_factory.mktemp("template")
    with small_heads():
        told = Story(folder, SHORT)
        told.upload(alpha=WANTED, beta={"b": "1"})
        for number in range(12):
            told.wait(4)
            told.upload(alpha={"a": f"{number}", "b": noise(LARGE, number)})
        told.lab.laptop.lay(alpha=WANTED)
        _TEMPLATE.append(told)
        yield
    _TEMPLATE.clear()


_TEMPLATE: list[Story] = []


@contextmanager
def old_store() -> Iterator[Story]:
    """A copy of the template."""
    (template,) = _TEMPLATE
    with TemporaryDirectory(prefix="story-") as folder:
        shutil.copytree(template.lab.folder, folder, dirs_exist_ok=True)
        told = Story(Path(folder), SHORT)
        told.backend.objects.update(template.backend.objects)
        told.backend._writes = template.backend._writes  # a version must not come twice
        told.now_seconds, told.trees = template.now_seconds, template.trees
        yield told


def uploading(told: Story, laptop: Laptop, repo: str, turns: Turns, name: str) -> Callable[[], object]:
    store = laptop.store._replace(backend=TurnTaking(told.backend, turns, name))
    return lambda: push([Source(repo=repo, root=laptop.code / repo)], store=store, force=True)


def pruning(told: Story, turns: Turns, name: str) -> Callable[[], object]:
    return lambda: prune(USER, TurnTaking(told.backend, turns, name), retention=SHORT)


def assert_whole(told: Story) -> None:
    """Check that every snapshot after the horizon can be restored, and that the machine gets the newest."""
    restored = told.restored()
    assert all(restored[sequence] == tree for sequence, tree in told.trees.items() if sequence in restored)
    told.lab.machine.pull()
    assert restored[max(restored)] == told.lab.machine.trees()


@pytest.mark.parametrize("days", [0.0, 2.0], ids=["awake", "asleep-between"])
@pytest.mark.parametrize("first", ["upload", "prune"])
@pytest.mark.parametrize("calls", range(1, 8))
def test_a_prune_at_any_two_instants_of_an_upload_takes_nothing_from_it(calls: int, first: str, days: float) -> None:
    second = "prune" if first == "upload" else "upload"
    for others in (1, 3, 5, 6, 8, 1000):
        with old_store() as told:
            turns = Turns([(first, calls), (second, others)], between=lambda told=told: told.wait(days))
            raised = turns.run(
                {
                    first: (pruning if first == "prune" else _upload)(told, turns, first),
                    second: (pruning if second == "prune" else _upload)(told, turns, second),
                }
            )
            assert raised == {}
            assert_whole(told)
            assert_carried(told.lab.laptop, told.lab.machine, "alpha")


@pytest.mark.parametrize("calls", range(1, 6))
def test_a_prune_that_moves_no_horizon_beside_an_upload_that_sleeps_takes_nothing_from_it(calls: int) -> None:
    with small_heads(), TemporaryDirectory(prefix="story-") as folder:
        told = Story(Path(folder), SHORT)
        told.upload(alpha={"a": "1"})
        told.lab.laptop.lay(alpha=WANTED)
        turns = Turns([("upload", calls), ("prune", 1000)], between=lambda: told.wait(2))
        assert turns.run({"upload": _upload(told, turns, "upload"), "prune": pruning(told, turns, "prune")}) == {}
        assert told.lab.head().horizon == 0
        assert_whole(told)
        assert_carried(told.lab.laptop, told.lab.machine, "alpha")


def _upload(told: Story, turns: Turns, name: str) -> Callable[[], object]:
    return uploading(told, told.lab.laptop, "alpha", turns, name)


_ACTORS = ("laptop", "other", "prune", "cron")


@given(
    st.lists(st.tuples(st.sampled_from(_ACTORS), st.integers(1, 6)), max_size=24),
    st.sampled_from((0.0, 0.3, 2.0)),
)
def test_two_laptops_and_two_prunes_take_nothing_from_each_other(order: list[tuple[str, int]], days: float) -> None:
    with old_store() as told:
        other = told.lab.another_laptop("other")
        other.lay(alpha={"a": noise(LARGE, 3), "o": "other"}, beta={"b": noise(LARGE, 1)})
        turns = Turns(order, between=lambda: told.wait(days))
        raised = turns.run(
            {
                "laptop": uploading(told, told.lab.laptop, "alpha", turns, "laptop"),
                "other": uploading(told, other, "beta", turns, "other"),
                "prune": pruning(told, turns, "prune"),
                "cron": pruning(told, turns, "cron"),
            }
        )
        # Four who move one head may give up after many tries; they have done no harm then.
        assert all(isinstance(error, ConflictError) for error in raised.values()), raised
        assert_whole(told)
        if not raised:
            assert_carried(told.lab.laptop, told.lab.machine, "alpha")
            assert_carried(other, told.lab.machine, "beta")
