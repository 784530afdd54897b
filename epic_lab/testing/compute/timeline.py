"""The time of the cloud that the tests play: it passes when somebody asks, or with the clock on the wall.

Invariant: what is due happens in the order of its time, and at no other moment than in `Timeline.pass_time`.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

_PACIFIC = timezone(timedelta(hours=-8))


class Timeline:
    """Seconds since the beginning, and what is to happen when.

    Args:
        began: the moment of the beginning, in seconds since 1970; an hour ago, so that machines have an age and none is of the future.
        speed: how fast time passes by itself, beside the clock on the wall; 0 is not at all.
    """

    def __init__(self, *, began: float | None = None, speed: float = 0.0) -> None:
        self.began = time.time() - 3600 if began is None else began
        self.speed = speed
        self.seconds = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._wall = time.monotonic()

    def pass_time(self, seconds: float = 0.0) -> None:
        """Let *seconds* pass beside those that have passed by themselves, and all happen that is due by then."""
        wall = time.monotonic()
        until = self.seconds + seconds + (wall - self._wall) * self.speed
        self._wall = wall
        while self._due and self._due[0][0] <= until:
            self.seconds, _, happen = heapq.heappop(self._due)
            happen()
        self.seconds = until

    def after(self, seconds: float, happen: Callable[[], None]) -> float:
        """Let *happen* be called so many seconds from now, and return when that is."""
        at = self.seconds + seconds
        heapq.heappush(self._due, (at, next(self._order), happen))
        return at

    def stamp(self) -> str:
        """Return this moment as the service writes it; where time passes by itself, it is that of the clock on the wall."""
        moment = time.time() if self.speed else self.began + self.seconds
        return datetime.fromtimestamp(moment, _PACIFIC).isoformat(timespec="milliseconds")
