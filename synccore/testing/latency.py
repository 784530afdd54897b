"""A decorator that gives a backend the round trip of a distant one.

Invariant: every call waits once before it is passed on, in its own thread, so that calls at once wait at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from synccore.backends.base import Backend
from synccore.backends.passing import PassingBackend

_T = TypeVar("_T")


class LatencyBackend(PassingBackend):
    """Pass calls on to *inner*, each after *round_trip_seconds*."""

    def __init__(
        self, inner: Backend, *, round_trip_seconds: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(inner)
        self._round_trip_seconds = round_trip_seconds
        self._sleep = sleep

    def pass_on(self, name: str, call: Callable[[], _T]) -> _T:
        """Wait and make *call*."""
        self._sleep(self._round_trip_seconds)
        return super().pass_on(name, call)
