"""A decorator that lets calls of a backend fail as storage does: unanswered, or done and unanswered.

Invariant: a planned failure hits exactly the calls that it was planned for; all others pass unchanged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from synccore.backends.base import Backend, Listed
from synccore.backends.passing import PassingBackend
from synccore.errors import ErrorKind, SyncError, UnavailableError

_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class _Planned:
    name: str
    times: int
    error: SyncError
    done_first: bool


class FaultyBackend(PassingBackend):
    """Pass calls on to *inner*, except those that are to fail; names are those of `PassingBackend.pass_on`."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()

    def fail(self, name: str, error: SyncError | None = None, *, times: int = 1) -> None:
        """Let the next *times* calls named *name* raise *error* and do nothing; by default, storage is unavailable."""
        failure = error or UnavailableError(ErrorKind.UNAVAILABLE, "the storage was told to fail", ambiguous=False)
        self._planned.append(_Planned(name=name, times=times, error=failure, done_first=False))

    def lose_answer(self, name: str, *, times: int = 1) -> None:
        """Let the next *times* calls named *name* be done, and their answers be lost."""
        failure = UnavailableError(ErrorKind.UNAVAILABLE, "the answer was told to get lost", ambiguous=True)
        self._planned.append(_Planned(name=name, times=times, error=failure, done_first=True))

    def keys(self, prefix: str) -> Iterator[Listed]:
        """Pass on; a failure that is planned as a lost answer comes after the first line."""
        planned = self._take("keys")
        if planned is None:
            return self._inner.keys(prefix)
        return self._broken_listing(prefix, planned)

    def _broken_listing(self, prefix: str, planned: _Planned) -> Iterator[Listed]:
        if planned.done_first:
            yield next(self._inner.keys(prefix))
        raise planned.error

    def pass_on(self, name: str, call: Callable[[], _T]) -> _T:
        """Make *call*, or fail as planned."""
        planned = self._take(name)
        if planned is None:
            return call()
        if planned.done_first:
            call()
        raise planned.error

    def _take(self, name: str) -> _Planned | None:
        with self._lock:
            for planned in self._planned:
                if planned.name == name:
                    planned.times -= 1
                    if planned.times == 0:
                        self._planned.remove(planned)
                    return planned
        return None
