"""Restoring and dropping saved edits, killed at each instant: nothing that was not named for dropping is lost."""

from itertools import count
from pathlib import Path

import pytest

from synccore.rescued import drop, list_saved, restore
from synccore.testing.disk_tree import Link, Node, Program, apply, lay_out, read_back
from synccore.testing.killing import is_killed_at
from synccore.worktree.rescue import RescueFolder

pytestmark = pytest.mark.vm

HERS: dict[str, Node] = {"a.py": "hers a", "d/e": "hers e", "d/f": Program("hers f"), "gone/l": Link("hers l")}
LAPTOPS = {"a.py": "laptop a", "d": "laptop d"}


def given_saved_edits(home: Path) -> None:
    lay_out(home / "alpha", HERS)
    apply(home / "alpha", {"a.py": "1", "gone/l": "1"}, LAPTOPS, RescueFolder(home))
    assert read_back(home / "alpha") == LAPTOPS


def everything(home: Path) -> set[str]:
    """Return every content anywhere, in the tree or saved."""
    return {str(node) for node in read_back(home).values()}


def test_a_restore_that_is_killed_loses_neither_side_and_is_completed_by_the_next(tmp_path: Path) -> None:
    for step in count():
        home = tmp_path / str(step)
        given_saved_edits(home)
        edits = {edit.id: edit for edit in list_saved(home)}
        was_killed = is_killed_at(step, lambda home=home, edits=edits: restore(home, edits.values()))  # type: ignore[misc]
        assert everything(home) >= {str(node) for node in (*HERS.values(), *LAPTOPS.values())}
        restore(home, [edit for edit in list_saved(home) if edit.id in edits])
        assert read_back(home / "alpha") == HERS
        if not was_killed:
            break
    assert step > 20  # if not, the steps are not counted


def test_a_removal_that_is_killed_takes_nothing_else_and_is_completed_by_the_next(tmp_path: Path) -> None:
    for step in count():
        home = tmp_path / str(step)
        given_saved_edits(home)
        kept, *dropped = list_saved(home)
        was_killed = is_killed_at(step, lambda home=home, dropped=dropped: drop(home, dropped))  # type: ignore[misc]
        assert read_back(home / "alpha") == LAPTOPS
        assert kept in list_saved(home)
        drop(home, [edit for edit in list_saved(home) if edit.id != kept.id])
        assert list_saved(home) == (kept,)
        if not was_killed:
            break
    assert step > 5  # as above
