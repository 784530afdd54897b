"""Whatever is killed at any instant: nobody sees a half, a plain re-run completes it, nothing is lost and nothing left over.

With ``HYPOTHESIS_PROFILE=deep`` many histories are tried and not a few.
"""

from __future__ import annotations

from typing import Any

import pytest
from crash.worlds import Trees, World, a_world, killed_everywhere
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.delete import delete
from synccore.errors import NotFoundError
from synccore.history import log
from synccore.testing.invariants import (
    assert_carried,
    assert_is_at_head,
    assert_not_lost,
    assert_sound,
)
from synccore.testing.killing import is_killed_at
from synccore.testing.lab import USER
from synccore.testing.story import small_heads
from synccore.testing.strategies import histories, paths, without_clashes
from synccore.testing.trees import NodeTree, executable, lay, link, nodes, noise

FIRST = {
    "alpha": nodes({"a": "1", "d/e": "2", "l": link("a"), "same": "4", "was/dir": "5"}),
    "beta": nodes({"b.py": "1"}),
}
SECOND = {
    "alpha": nodes({"a": executable("1"), "d": "a file now", "l": link("b"), "n/é.py": "new", "same": "4", "was": ""}),
    "beta": nodes({"b.py": "2", "c/d": noise(70_000)}),
}
THIRD = {"alpha": nodes({"a": "1", "d/e": "three", "same": "4"}), "beta": nodes({"b.py": "3"})}
LARGE = {"alpha": nodes({"a": "1", "large": noise(1_200_000)}), "beta": nodes({"b.py": "1"})}

few = settings(max_examples=max(2, settings.default.max_examples // 12))


def pairs_of_histories(length: int) -> st.SearchStrategy[list[Trees]]:
    """Draw what two repositories are, one instant after the other, each different from the one before."""
    history = histories(min_size=length, max_size=length, max_files=4)
    return st.tuples(history, history).map(
        # A file of its own keeps every instant apart from the others and no tree empty.
        lambda two: [
            {"alpha": {**a, "at.py": str(at).encode()}, "beta": {**b, "at.py": str(at).encode()}}
            for at, (a, b) in enumerate(zip(*two, strict=True))
        ]
    )


# Uploads


def check_upload(world: World, before: Trees | None, wanted: Trees, then: Trees) -> int:
    """Kill an upload of *wanted* over *before* everywhere; what follows is that upload again or one of *then*, by turns."""
    if before is not None:
        world.upload(before)
    world.laptop.lay(**wanted)
    world.keep()
    attempt = 0
    for attempt in killed_everywhere(world, world.laptop.push):
        seen = world.seen_by_a_reader()
        assert seen in (before, wanted)
        world.check_store()
        follow_up = then if attempt % 2 else wanted
        world.upload(follow_up)
        assert world.seen_by_a_reader() == follow_up
        assert world.lab.head().sequence == (before is not None) + (seen != before) + (follow_up != seen)
        assert_sound(world.store)
        world.check_laptop()
    return attempt


def test_a_first_upload(world: World) -> None:
    assert check_upload(world, None, FIRST, SECOND) > 30


def test_an_everyday_upload(world: World) -> None:
    assert check_upload(world, FIRST, SECOND, THIRD) > 30


def test_an_upload_that_goes_back_to_what_was_there_before(world: World) -> None:
    assert check_upload(world, FIRST, SECOND, FIRST) > 30


def test_an_upload_of_a_large_file(world: World) -> None:
    assert check_upload(world, FIRST, LARGE, THIRD) > 30


@few
@given(pairs_of_histories(3))
def test_an_upload_of_anything(history: list[Trees]) -> None:
    with a_world() as world:
        check_upload(world, *history)


def test_an_upload_that_folds(world: World) -> None:
    for number in range(2):
        world.upload({"alpha": nodes({"a": str(number), "n": noise(60_000, number)}), "beta": FIRST["beta"]})
    before: Trees = {"alpha": nodes({"a": "1", "n": noise(60_000, 1)}), "beta": FIRST["beta"]}
    world.laptop.lay(alpha=nodes({"a": "2", "n": noise(60_000, 2)}))
    wanted: Trees = {"alpha": nodes({"a": "2", "n": noise(60_000, 2)}), "beta": FIRST["beta"]}
    world.keep()
    for _ in killed_everywhere(world, world.laptop.push):
        assert world.seen_by_a_reader() in (before, wanted)
        world.check_store()
        world.upload(wanted)
        assert world.seen_by_a_reader() == wanted
        assert [line.sequence for line in log(USER, world.store, limit=99)] == [3, 2, 1]
        assert world.lab.head().earlier is not None
        assert_sound(world.store)
        world.check_laptop()


def test_a_deletion(world: World) -> None:
    world.upload(FIRST)
    world.keep()
    without = {"beta": FIRST["beta"]}

    def take_out() -> None:
        delete("alpha", store=world.laptop.store)

    for attempt in killed_everywhere(world, take_out):
        seen = world.seen_by_a_reader()
        assert seen in (FIRST, without)
        if seen == FIRST:
            take_out()
        else:
            with pytest.raises(NotFoundError):
                take_out()
        assert world.seen_by_a_reader() == without
        assert world.lab.head().sequence == 2
        world.upload(SECOND if attempt % 2 else FIRST)
        assert world.seen_by_a_reader() == (SECOND if attempt % 2 else FIRST)
        assert_sound(world.store)
        world.check_laptop()


@few
@given(pairs_of_histories(6))
def test_an_upload_of_anything_that_folds(history: list[Trees]) -> None:
    with small_heads(), a_world() as world:
        for trees in history[:-1]:
            world.upload(trees)
        before, wanted = history[-2], history[-1]
        world.laptop.lay(**wanted)
        world.keep()
        for _ in killed_everywhere(world, world.laptop.push):
            assert world.seen_by_a_reader() in (before, wanted)
            world.upload(wanted)
            assert world.seen_by_a_reader() == wanted
            assert world.lab.head().earlier is not None
            assert_sound(world.store)


@few
@given(pairs_of_histories(2))
def test_a_deletion_after_anything(history: list[Trees]) -> None:
    with a_world() as world:
        for trees in history:
            world.upload(trees)
        world.keep()
        without = {"beta": history[-1]["beta"]}
        for _ in killed_everywhere(world, world.delete_if_any):
            assert world.seen_by_a_reader() in (history[-1], without)
            world.delete_if_any()
            assert world.seen_by_a_reader() == without
            assert_sound(world.store)


# Downloads


def check_download(world: World, before: Trees | None, wanted: Trees, then: Trees) -> int:
    """Kill a download of *wanted* over *before* everywhere; by turns it is repeated, or *then* or *before* is uploaded first."""
    if before is not None:
        world.upload(before)
        world.machine.pull()
    world.upload(wanted)
    world.keep()
    attempt = 0
    for attempt in killed_everywhere(world, world.machine.pull):
        check_visible(world, before, wanted)
        follow_up = (wanted, then, before or wanted)[attempt % 3]
        if follow_up != wanted:
            world.upload(follow_up)
        report = world.machine.pull()
        assert_is_at_head(world.machine, world.lab)
        assert world.machine.trees() == follow_up
        assert [line.saved for line in report.repos] == [(), ()]
        if attempt % 2:
            continue
        # And it has remembered all of that: one more change goes the short way.
        world.upload({**follow_up, "beta": nodes({"b.py": "the end"})})
        report = world.machine.pull()
        assert [line.saved for line in report.repos] == [(), ()]
        assert_carried(world.laptop, world.machine, "alpha", "beta")
        world.check_machine()
    return attempt


def check_visible(world: World, before: Trees | None, wanted: Trees) -> None:
    """Check that whatever is visible is whole: the old or the new file; of a first download, all of a tree or nothing."""
    trees = world.machine.trees() if world.machine.home.exists() else {}
    for repo, tree in trees.items():
        visible = {path: node for path, node in tree.items() if ".synccode-tmp-" not in path}
        if before is None:
            assert visible == wanted[repo]
            continue
        for path, node in visible.items():
            assert node in (before[repo].get(path), wanted[repo].get(path)), path


def test_a_download(world: World) -> None:
    assert check_download(world, FIRST, SECOND, THIRD) > 60


def test_a_download_of_a_large_file(world: World) -> None:
    assert check_download(world, FIRST, LARGE, THIRD) > 40


def test_a_first_download(world: World) -> None:
    assert check_download(world, None, LARGE, THIRD) > 30


def test_a_first_download_with_help(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synccore.building_processes._processors", lambda: 2)
    monkeypatch.setattr("synccore.building_processes._FILES_EACH", 1)
    many = {"alpha": nodes({f"d/{n}": noise(600_000, n) for n in range(3)}), "beta": nodes({"b.py": "1"})}
    assert check_download(world, None, many, THIRD) > 30


@few
@given(pairs_of_histories(3))
def test_a_download_of_anything(history: list[Trees]) -> None:
    with a_world() as world:
        check_download(world, *history)


def check_edits(world: World, before: Trees, wanted: Trees, hers: NodeTree) -> None:
    """Kill a download of *wanted* over *before* everywhere, in a tree of *before* with somebody's edits *hers*."""
    world.upload(before)
    world.machine.pull()
    lay(world.machine.home / "alpha", without_clashes([*before["alpha"].items(), *hers.items()]))
    world.upload(wanted)
    world.keep()
    edits: dict[str, Any] = {f"alpha/{path}": node for path, node in hers.items()}
    for _ in killed_everywhere(world, world.machine.pull):
        assert_not_lost(edits, world.machine)
        world.machine.pull()
        assert_not_lost(edits, world.machine)
        tree = world.machine.read("alpha")
        changed = {path for path, node in wanted["alpha"].items() if before["alpha"].get(path) != node}
        assert {path: tree[path] for path in changed} == {path: wanted["alpha"][path] for path in changed}
        # The note of a run that was killed after all else goes with the next one that has something to do.
        world.upload({**wanted, "beta": nodes({"b.py": "the end"})})
        world.machine.pull()
        assert_not_lost(edits, world.machine)
        world.check_machine()


def test_a_download_that_finds_edits(world: World) -> None:
    hers = nodes({path: f"hers {path}" for path in ("a", "d/e", "d/own", "n", "new", "same", "was/dir")})
    check_edits(world, FIRST, SECOND, hers)


@few
@given(pairs_of_histories(2), st.lists(paths(), min_size=1, max_size=3))
def test_a_download_that_finds_any_edits(history: list[Trees], where: list[str]) -> None:
    hers = without_clashes((path, f"hers {path}".encode()) for path in where)
    with a_world() as world:
        check_edits(world, history[0], history[1], hers)


# Lives of crashes

_ACTS = st.sampled_from(("push", "pull", "delete", "push", "pull"))


@given(pairs_of_histories(6), st.lists(st.tuples(_ACTS, st.integers(0, 60)), min_size=4, max_size=10))
def test_a_life_of_crashes_ends_well(history: list[Trees], acts: list[tuple[str, int]]) -> None:
    with a_world() as world:
        world.upload(history[0])
        for number, (act, step) in enumerate(acts):
            world.laptop.lay(**history[number % len(history)])
            is_killed_at(
                step, {"push": world.laptop.push, "pull": world.pull_if_any, "delete": world.delete_if_any}[act]
            )
            assert_sound(world.store)
        last = {**history[1], "beta": nodes({"b.py": "the end"})}
        world.upload(last)
        world.machine.pull()
        assert world.machine.trees() == last
        assert world.machine.rescued() == []
        world.check_laptop()
        world.upload(history[2])
        world.machine.pull()
        assert world.machine.trees() == history[2]
        assert world.machine.rescued() == []
        world.check_machine()
