"""How long something is tried again, and with which pauses.

Invariant: the time begins when the pauses are asked for, which may be before or after the first try.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 8.0


def random_fraction() -> float:
    """Return a number in [0, 1) that nobody can foresee."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Patience(NamedTuple):
    """Pauses that grow, up to a deadline.

    Attributes:
        deadline_seconds: after this long no further try is begun.
        clock: seconds, by a clock that only goes forward.
        sleep: how to wait.
        jitter: a new number in [0, 1) at each call, so that many clients do not come back together.
    """

    deadline_seconds: float = 30.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random_fraction

    def pauses(self) -> Iterator[bool]:
        """Wait a little longer at each step and yield ``True``, or ``False`` once that would pass the deadline, from now."""
        return self._pauses_until(self.clock() + self.deadline_seconds)

    def _pauses_until(self, end: float) -> Iterator[bool]:
        longest = _FIRST_PAUSE_SECONDS
        while True:
            pause = longest * (0.5 + self.jitter() / 2)
            if self.clock() + pause >= end:
                yield False
            else:
                self.sleep(pause)
                yield True
            longest = min(2 * longest, _LONGEST_PAUSE_SECONDS)


USUAL = Patience()
