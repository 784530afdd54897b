"""How long work on machines tells how far it has come, without knowing who listens.

Invariant: listeners are called from the thread that does the work and must not raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of long work that begins now and ends where the next one begins.

    Attributes:
        doing: what is being done: ``creating ana-gpu in us-central1-a``.
        step: its number among *steps*, or 0 where it is not counted.
        steps: how many there are.
    """

    doing: str
    step: int = 0
    steps: int = 0


class StageListener(Protocol):
    """Whoever wants to hear of stages."""

    def __call__(self, stage: Stage, /) -> None:
        """Take note that *stage* begins."""


def ignore_stages(_stage: Stage, /) -> None:
    """Listen to nothing."""
