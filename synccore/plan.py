"""Deciding what to do to a working tree so that it becomes a target, without losing an edit.

Invariant: no disk and no clock is consulted; equal arguments give equal plans and verdicts.

This is a three-way merge of whole files, decided in two steps. A `Plan` says which paths the target changes against the
*base*, which is what we last wrote here. What is there *locally* is looked at only for those paths, as late as possible,
and `judge` says what to do about it: wherever it still is something of ours the path is ours to change, and wherever it
is anything else somebody has worked on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from synccore.diff import diff
from synccore.digest import Digest
from synccore.journal import Delta, Known, known_of
from synccore.manifest import Entry, FileKind, Tree
from synccore.treepath import TreePath, directories_above

_NOTHING: Mapping[TreePath, Collection[Known]] = {}


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


class Foreign(Enum):
    """The type of `FOREIGN`, its one member."""

    FOREIGN = "foreign"


FOREIGN: Final = Foreign.FOREIGN
"""What is found at a path and is none of the contents that it was compared with, whatever else it may be."""


def judge(found: Known | Foreign | None, ours: Collection[Known], wanted: Known | None) -> Verdict:
    """Decide about one path; the only place where it is decided that something goes without being saved.

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


def plan_from_trees(base: Tree, target: Tree, *, begun: Mapping[TreePath, Collection[Known]] = _NOTHING) -> Plan:
    """Plan the way from one whole tree to another.

    Args:
        base: what we last finished writing here.
        target: what must stand here.
        begun: what runs that did not finish may have written since: it is ours too, and has to go the same way.
    """
    if not base and not begun:
        return Plan(dict(sorted(target.items())), {}, dict.fromkeys(sorted(target), frozenset()))
    removed, changed, _ = diff(base, target)
    writes = {**changed, **{path: target[path] for path in begun if path in target}}
    removes = dict.fromkeys(sorted({*removed, *[path for path in begun if path not in target]}))
    ours = {
        path: frozenset([*([known_of(base[path])] if path in base else []), *begun.get(path, ())])
        for path in (*writes, *removes)
    }
    return Plan(dict(sorted(writes.items())), removes, ours)


def plan_from_deltas(deltas: Iterable[Delta]) -> Plan:
    """Plan the way along *deltas*, oldest first, which lead from what we last finished writing here to the target.

    None of them may move a directory: what that means only a whole tree tells. Only paths that the deltas touch are considered, whatever the size of the tree.
    """
    writes: dict[TreePath, Entry] = {}
    removes: dict[TreePath, None] = {}
    ours: dict[TreePath, frozenset[Known]] = {}
    for delta in deltas:
        # Only the first state of a path is one that we finished writing; what lies between was never here.
        for path, known in (*delta.removed.items(), *delta.was.items()):
            ours.setdefault(path, frozenset([known]))
        for path in delta.removed:
            writes.pop(path, None)
            removes[path] = None
        for path, entry in delta.changed.items():
            ours.setdefault(path, frozenset())
            removes.pop(path, None)
            writes[path] = entry
    # A path that came and went between, or that is again what it was, does not change here: it is not to be looked at.
    removes = {path: None for path in sorted(removes) if ours[path]}
    writes = {path: entry for path, entry in sorted(writes.items()) if known_of(entry) not in ours[path]}
    return Plan(writes, removes, {path: ours[path] for path in (*writes, *removes)})


def moved_from(plan: Plan) -> dict[TreePath, TreePath]:
    """Return, for files to write, a path to remove that has had the same content: a renamed directory is not fetched.

    Each has a source of its own as long as there are enough of its content, in path order; after that they share the last one.

    A path that cannot be written while what is to be removed still stands, because one is a directory of the other, is none of
    them.
    """
    files: dict[Digest, list[TreePath]] = {}
    links: dict[Digest, list[TreePath]] = {}
    for path in reversed(plan.removes):
        for kind, digest in plan.ours[path]:
            (links if kind is FileKind.SYMLINK else files).setdefault(digest, []).append(path)
    if not files and not links:
        return {}
    above = directories_above(plan.removes)
    is_blocked: dict[str, bool] = {}
    found = {}
    for path, entry in plan.writes.items():
        left = (links if entry.kind is FileKind.SYMLINK else files).get(entry.digest)
        if left is None or not entry.size_bytes or path in above:
            continue
        parent = path.parent
        blocked = is_blocked.get(parent)
        if blocked is None:
            blocked = is_blocked[parent] = any(it in plan.removes for it in directories_above([path]))
        if not blocked:
            found[path] = left.pop() if len(left) > 1 else left[0]
    return found
