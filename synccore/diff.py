"""What differs between two trees.

Invariant: pure; overlaying `Difference` on the first tree gives the second.
"""

from __future__ import annotations

from typing import NamedTuple

from synccore.journal import Counts, Known, known_of
from synccore.manifest import Entry, Tree
from synccore.treepath import TreePath


class Difference(NamedTuple):
    """What to do to one tree to get another.

    Attributes:
        removed: paths that only the first has, and what they are there.
        changed: paths that only the second has or that differ, and what they become.
        was: what the paths of `changed` are in the first tree, where they are anything.
    """

    removed: dict[TreePath, Known]
    changed: dict[TreePath, Entry]
    was: dict[TreePath, Known]

    def counts(self, *, files: int, size_bytes: int) -> Counts:
        """Return the sums of this difference, whose second tree has so many files of so many bytes."""
        return Counts(
            added=len(self.changed) - len(self.was),
            modified=len(self.was),
            deleted=len(self.removed),
            files=files,
            size_bytes=size_bytes,
        )


def diff(before: Tree, after: Tree) -> Difference:
    """Compare two trees by kind and content; how contents are cut does not matter."""
    removed = {path: known_of(before[path]) for path in before.keys() - after.keys()}
    changed: dict[TreePath, Entry] = {}
    was: dict[TreePath, Known] = {}
    for path, entry in after.items():
        old = before.get(path)
        if old is None:
            changed[path] = entry
        elif old is not entry and (old.digest != entry.digest or old.kind != entry.kind):
            changed[path] = entry
            was[path] = known_of(old)
    return Difference(removed, changed, was)
