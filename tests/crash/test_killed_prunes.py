"""A prune, or an upload that repairs, that is killed at any instant has taken nothing, and a plain re-run completes it."""

from __future__ import annotations

import os
from pathlib import Path

from crash.worlds import Trees, World, a_world, killed_everywhere
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.prune import PruneReport, Retention, prune
from synccore.testing.invariants import assert_sound
from synccore.testing.lab import USER
from synccore.testing.restoring import Restorer
from synccore.testing.story import small_heads
from synccore.testing.trees import nodes, noise

DAY_SECONDS = 24 * 3600.0

# Ten days in place of ninety, three records in place of a hundred; what the store holds is made thirty days old.
SHORT = Retention(seconds=10 * DAY_SECONDS, records=3)


def tell(world: World, uploads: int) -> dict[int, Trees]:
    """Upload so often, each time with something too large to travel in the head, and return each record's trees."""
    told: dict[int, Trees] = {}
    for number in range(1, uploads + 1):
        told[number] = {
            "alpha": nodes({"a": str(number), "n": noise(70_000, number)}),
            "beta": nodes({"b.py": str(number // 4)}),
        }
        world.upload(told[number])
    return told


def age(store: Path) -> None:
    """Make everything in *store* thirty days old."""
    for path in store.rglob("*"):
        if path.is_file():
            seconds = path.stat().st_mtime - 30 * DAY_SECONDS
            os.utime(path, (seconds, seconds))


def objects(world: World) -> set[str]:
    """Return the keys of what is stored."""
    return {line.key for line in world.store.keys("")}


def pruned(world: World) -> PruneReport:
    """Prune the store of *world*."""
    return prune(USER, world.lab.backend, retention=SHORT)


def test_a_killed_prune_has_taken_nothing_that_is_needed_and_the_next_completes_it(world: World) -> None:
    with small_heads():
        told = tell(world, 12)
        age(world.folder / "store")
        world.keep()
        assert pruned(world).deleted["bundles"].count > 3
        complete = objects(world)
        kept = Restorer(world.store, USER)
        since = kept.head.horizon + 1
        assert 1 < since <= 10
        attempt = 0
        for attempt in killed_everywhere(world, lambda: pruned(world)):
            assert_sound(world.store)
            assert world.seen_by_a_reader() == told[12]
            restorer = Restorer(world.store, USER)
            assert {at: restorer.restore(at) for at in range(since, 13)} == {at: told[at] for at in range(since, 13)}
            if attempt % 2:
                # Somebody uploads before anybody prunes again.
                told[13] = {**told[12], "beta": nodes({"b.py": "after"})}
                world.upload(told[13])
                pruned(world)
                assert world.seen_by_a_reader() == told[13]
            else:
                pruned(world)
                assert objects(world) == complete
            assert pruned(world).deleted == {}
            assert_sound(world.store)
        assert attempt > 40


@settings(max_examples=max(2, settings.default.max_examples // 12))
@given(st.lists(st.integers(0, 4), min_size=7, max_size=11))
def test_a_prune_of_any_history_that_is_killed_is_completed_by_the_next(versions: list[int]) -> None:
    with small_heads(), a_world() as world:
        for number, version in enumerate(versions):
            world.upload({"alpha": nodes({"a": str(number), "n": noise(70_000, version)}), "beta": nodes({"b": "1"})})
        last = world.seen_by_a_reader()
        age(world.folder / "store")
        world.keep()
        pruned(world)
        complete = objects(world)
        for _ in killed_everywhere(world, lambda: pruned(world)):
            assert_sound(world.store)
            assert world.seen_by_a_reader() == last
            pruned(world)
            assert objects(world) == complete


def test_a_killed_repair_loses_nothing_and_the_next_completes_it(world: World) -> None:
    told = tell(world, 3)
    world.machine.pull()
    world.keep()

    def repair() -> None:
        world.laptop.push(repair=True)

    attempt = 0
    for attempt in killed_everywhere(world, repair):  # noqa: B007 - counted
        assert world.seen_by_a_reader() == told[3]
        assert_sound(world.store)
        repair()
        assert world.seen_by_a_reader() == told[3]
        world.machine.pull()
        assert world.machine.trees() == told[3]
        assert world.machine.rescued() == []
        assert_sound(world.store)
        world.check_laptop()
    assert attempt > 30
