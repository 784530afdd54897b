"""What came of writing or removing one path."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from synccore.worktree.rescue import Rescued


class Effect(Enum):
    """What the tree has at the path now, and whether we changed it."""

    WRITTEN = "written"
    ALREADY_THERE = "already-there"
    REMOVED = "removed"
    ABSENT = "absent"


class Outcome(NamedTuple):
    """The result of one operation.

    Attributes:
        effect: what was done.
        rescued: what had to be saved first; mostly nothing, and several where a parent was in the way as well.
    """

    effect: Effect
    rescued: tuple[Rescued, ...] = ()

    @classmethod
    def of(cls, effect: Effect, rescued: list[Rescued]) -> Outcome:
        """Return the outcome; those without a rescue are shared, for there are as many as files."""
        return cls(effect, tuple(rescued)) if rescued else _PLAIN[effect]


_PLAIN = {effect: Outcome(effect) for effect in Effect}
