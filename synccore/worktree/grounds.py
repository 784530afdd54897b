"""What git's list of a tree followed from: while all of it is as it was, git would list the same again and need not be asked.

Git lists what stands in its index, and what it finds in the directories that no rule of its own ignores. A directory's times change
when a name in it comes or goes, and a file's when it is written: so the list of the last look is git's list now if nothing has happened
to any of those directories, to the index, and to the files that git reads its rules and its configuration from, those that are
not there among them.

Invariant: where anything else might have led to another list there are no grounds, and git is asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import xxhash

from synccore import wire
from synccore.worktree.chosen import NOTHING_CHOSEN, RULES, Chosen, Selection

if TYPE_CHECKING:
    from typing_extensions import Self

    from synccore.treepath import TreePath
    from synccore.worktree.statcache import StatCache

# By these git finds its configuration and its rules; another PATH may lead to another git.
_VARIABLES = ("HOME", "PATH", "XDG_CONFIG_HOME")

_NOTHING_FORESEEN: Mapping[str, bytes] = {}


class Grounds(NamedTuple):
    """What a list followed from, beside the directories above what was chosen.

    Attributes:
        names: files that git has read or would read, below the tree's root or absolute, and directories of which nothing was chosen and
            that git looks into.
        circumstances: a digest of what is no file: see `circumstances`.
        listed: how many paths git has listed, those of a conflict several times.
        untracked: what of them git does not track.
    """

    names: tuple[str, ...]
    circumstances: bytes
    listed: int
    untracked: tuple[str, ...]


def circumstances(exclusion: str | None) -> bytes:
    """Return a digest of our own rules, of the *exclusion* and of the variables by which git finds its files."""
    kept = sorted((name, value) for name, value in os.environ.items() if name in _VARIABLES or name.startswith("GIT_"))
    variables = [os.fsencode(part) for pair in kept for part in pair]
    return xxhash.xxh3_128_digest(wire.pack((RULES, exclusion, variables)))


class KnownList:
    """The list of the look that *cache* is of, which git would make again: in place of a `synccore.worktree.selection.Selecting`."""

    def __init__(self, cache: StatCache, grounds: Grounds) -> None:
        self._cache = cache
        self._grounds = grounds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: nothing runs."""

    @property
    def git_listing(self) -> KnownList:
        """Git's list."""
        return self

    @property
    def chosen(self) -> Chosen:
        """How the list came about."""
        return self._cache.chosen

    @property
    def above(self) -> bytes:
        """The rows of its directories."""
        return self._cache.above.part(0, len(self._cache.chosen.directories))

    def finish(
        self,
        before: Chosen = NOTHING_CHOSEN,  # noqa: ARG002 - it has to be like its model
        paths: Sequence[str] = (),
        above: bytes = b"",  # noqa: ARG002
        *,
        foreseen: Mapping[str, bytes] = _NOTHING_FORESEEN,  # noqa: ARG002
    ) -> Selection:
        """Return the list, which is *paths*."""
        executable = cast("frozenset[TreePath] | None", self.chosen.executable)
        return Selection(cast("Sequence[TreePath]", paths), executable, (), is_git=True)

    def tracked(self) -> bytes:
        """Return a digest of what git tracks, if that was kept."""
        return self._cache.differing.tracked if self._cache.differing is not None else b""

    def count(self) -> int:
        """Return how many paths git lists, those of a conflict several times."""
        return self._grounds.listed

    def untracked(self) -> set[str]:
        """Return what git neither tracks nor ignores."""
        return set(self._grounds.untracked)
