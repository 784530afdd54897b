"""Deciding what to do to a working tree so that it becomes a target, without losing an edit.

Invariant: no disk and no clock is consulted; equal arguments give equal plans and verdicts.

This is a three-way merge of whole files, decided in two steps. A `Plan` says which paths the target changes against the
*base*, which is what we last wrote here. What is there *locally* is looked at only for those paths, as late as possible,
and `judge` says what to do about it: wherever it still is something of ours the path is ours to change, and wherever it
is anything else somebody has worked on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum
from typing import NamedTuple

from synccore.diff import diff
from synccore.journal import Delta, Known, known_of
from synccore.manifest import Entry, Tree
from synccore.treepath import TreePath


class Plan(NamedTuple):
    """What has to become different.

    Attributes:
        writes: what must stand where.
        removes: where nothing must stand.
        ours: for each path of either, everything that we may have left there; whatever else is found is somebody's.
    """

    writes: dict[TreePath, Entry]
    removes: dict[TreePath, None]
    ours: dict[TreePath, frozenset[Known]]


class Verdict(str, Enum):
    """What to do about what is found at a path."""

    LEAVE = "leave"
    REPLACE = "replace"
    SAVE_THEN_REPLACE = "save-then-replace"


def judge(found: Known | None, ours: Collection[Known], wanted: Known | None) -> Verdict:
    """Decide about one path.

    Args:
        found: what stands there now; ``None`` for nothing.
        ours: what we may have left there.
        wanted: what must stand there; ``None`` for nothing.
    """
    if found == wanted:
        return Verdict.LEAVE
    if found is None or found in ours:
        return Verdict.REPLACE
    return Verdict.SAVE_THEN_REPLACE


def plan_from_trees(base: Tree, target: Tree, *, unfinished: Iterable[Tree] = ()) -> Plan:
    """Plan the way from one whole tree to another.

    Args:
        base: what we last finished writing here.
        target: what must stand here.
        unfinished: targets of runs that began after *base* and did not finish: what they wrote is ours too.
    """
    trees = (base, *unfinished)
    writes: dict[TreePath, Entry] = {}
    removes: dict[TreePath, None] = {}
    for tree in trees:
        difference = diff(tree, target)
        writes.update(difference.changed)
        removes.update(dict.fromkeys(difference.removed))
    ours = {path: frozenset(known_of(tree[path]) for tree in trees if path in tree) for path in (*writes, *removes)}
    return Plan(dict(sorted(writes.items())), removes, ours)


def plan_from_deltas(deltas: Iterable[Delta], *, unfinished: Iterable[Tree] = ()) -> Plan:
    """Plan the way along *deltas*, oldest first, which lead from what we last finished writing here to the target.

    Only paths that the deltas touch are considered, whatever the size of the tree. Every state on the way counts as
    ours: a run that was interrupted may have left it.
    """
    writes: dict[TreePath, Entry] = {}
    removes: dict[TreePath, None] = {}
    ours: dict[TreePath, set[Known]] = {}
    for delta in deltas:
        for path, known in (*delta.removed.items(), *delta.was.items()):
            ours.setdefault(path, set()).add(known)
        for path in delta.removed:
            writes.pop(path, None)
            removes[path] = None
        for path, entry in delta.changed.items():
            ours.setdefault(path, set()).add(known_of(entry))
            removes.pop(path, None)
            writes[path] = entry
    for tree in unfinished:
        for path in ours.keys() & tree.keys():
            ours[path].add(known_of(tree[path]))
    return Plan(dict(sorted(writes.items())), removes, {path: frozenset(states) for path, states in ours.items()})


def overlay(tree: Tree, delta: Delta) -> dict[TreePath, Entry]:
    """Return the tree that *delta* makes of *tree*."""
    after = {**tree, **delta.changed}
    for path in delta.removed:
        after.pop(path, None)
    return after
