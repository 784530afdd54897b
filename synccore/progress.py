"""How the engine tells how far it has come, without knowing who listens.

Invariant: listeners are called from the thread that runs the operation and must not raise.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Progress(NamedTuple):
    """A moment of a long operation.

    Attributes:
        phase: one of ``scan``, ``pack``, ``store``, ``fetch``, ``write``, ``check``, ``delete``.
        done: units finished so far.
        total: units there are, or ``None`` while that is unknown.
        unit: ``files``, ``bytes`` or ``objects``.
    """

    phase: str
    done: int
    total: int | None
    unit: str


class ProgressListener(Protocol):
    """Whoever wants to hear of progress."""

    def __call__(self, progress: Progress, /) -> None:
        """Take note of *progress*."""


def ignore_progress(_progress: Progress, /) -> None:
    """Listen to nothing."""
