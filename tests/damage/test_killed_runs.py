"""Runs that are killed at each instant of their work: whatever is visible is whole, and the next run completes it."""

from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from synccore.backends.local import LocalBackend
from synccore.backends.memory import MemoryBackend
from synccore.errors import NotFoundError
from synccore.testing.invariants import (
    assert_is_at_head,
    assert_not_lost,
    assert_nothing_unfinished,
    assert_same_tree,
    assert_sound,
)
from synccore.testing.killing import is_killed_at
from synccore.testing.lab import Lab
from synccore.testing.trees import TreeLiteral, executable, link, nodes, noise

pytestmark = pytest.mark.vm

BEFORE: TreeLiteral = {"a": "1", "d/e": "2", "gone": "3", "kind": "same", "l": link("a"), "same": "4", "was/dir": "5"}
AFTER: TreeLiteral = {
    "a": "one",
    "d": "a file now",
    "kind": executable("same"),
    "l": link("b"),
    "new/large": noise(1_200_000),
    "same": "4",
    "was": link("same"),
}
# From here back to what was there: what the killed run has removed must come back, what it has made must go.
NEXT: TreeLiteral = {"a": "1", "d/e": "2", "gone": "3", "kind": "same", "l": link("a"), "same": "four"}


def at_before(folder: Path) -> Lab:
    lab = Lab(folder, MemoryBackend())
    lab.laptop.lay(alpha=BEFORE)
    lab.laptop.push()
    return lab


def test_a_pull_that_is_killed_at_any_instant_is_completed_by_the_next(tmp_path: Path) -> None:
    for step in count():
        follow_up = (NEXT, AFTER)[step % 2]
        lab = at_before(tmp_path / str(step))
        lab.machine.pull()
        lab.laptop.lay(alpha=AFTER)
        lab.laptop.push()
        was_killed = is_killed_at(step, lab.machine.pull)
        visible = {path: node for path, node in lab.machine.read("alpha").items() if ".synccode-tmp-" not in path}
        allowed = [nodes(BEFORE), nodes(AFTER)]
        assert all(node in [tree.get(path) for tree in allowed] for path, node in visible.items())
        lab.laptop.lay(alpha=follow_up)
        lab.laptop.push()
        (line,) = lab.machine.pull().repos
        assert_is_at_head(lab.machine, lab)
        assert line.saved == ()
        lab.laptop.lay(alpha={**follow_up, "a": "the end"})
        lab.laptop.push()
        (line,) = lab.machine.pull().repos
        assert line.saved == ()
        assert_is_at_head(lab.machine, lab)
        # Only now: a run that was killed after its state was recorded leaves its note, which does no harm.
        assert_nothing_unfinished(lab.machine)
        if not was_killed:
            break
    assert step > 20  # if not, the steps are not counted


def test_an_edit_is_safe_though_the_pull_that_finds_it_is_killed_at_any_instant(tmp_path: Path) -> None:
    for step in count():
        lab = at_before(tmp_path / str(step))
        lab.machine.pull()
        edits = {f"alpha/{path}": b"hers" for path in ("a", "gone", "d/e", "new/b", "was/dir")}
        for path, data in edits.items():
            (lab.machine.home / path).parent.mkdir(exist_ok=True)
            (lab.machine.home / path).write_bytes(data)
        lab.laptop.lay(alpha={"a": "one", "d": "a file now", "new/b": "1", "was": link("same")})
        lab.laptop.push()
        was_killed = is_killed_at(step, lab.machine.pull)
        assert_not_lost(edits, lab.machine)
        lab.machine.pull()
        assert_not_lost(edits, lab.machine)
        assert_is_at_head(lab.machine, lab)
        if not was_killed:
            break


def test_a_first_pull_that_is_killed_at_any_instant_shows_nothing_or_all_of_the_tree(tmp_path: Path) -> None:
    for step in count():
        lab = at_before(tmp_path / str(step))
        was_killed = is_killed_at(step, lab.machine.pull)
        if (lab.machine.home / "alpha").exists():
            assert_same_tree(lab.machine.read("alpha"), BEFORE)
        (line,) = lab.machine.pull().repos
        assert_is_at_head(lab.machine, lab)
        assert_nothing_unfinished(lab.machine)
        assert line.saved == ()
        if not was_killed:
            break


def test_a_push_that_is_killed_at_any_instant_is_visible_whole_or_not_at_all(tmp_path: Path) -> None:
    for step in count():
        folder = tmp_path / str(step)
        folder.mkdir()
        lab = Lab(folder, LocalBackend(folder / "store"))
        lab.laptop.lay(alpha=AFTER)
        was_killed = is_killed_at(step, lab.laptop.push)
        with suppress(NotFoundError):
            lab.machine.pull()
            assert_same_tree(lab.machine.read("alpha"), AFTER)
        lab.laptop.push()
        assert_sound(lab.inner)
        lab.machine.pull()
        assert_same_tree(lab.machine.read("alpha"), AFTER)
        if not was_killed:
            break
