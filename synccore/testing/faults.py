"""A decorator that lets calls of a backend fail as storage does: unanswered, done and unanswered, or done much later.

Invariant: a planned failure hits exactly the calls that it was planned for; all others pass unchanged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
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
    late_by: int = 0


@dataclass(slots=True)
class _Late:
    calls_left: int
    call: Callable[[], object]


class FaultyBackend(PassingBackend):
    """Pass calls on to *inner*, except those that are to fail; names are those of `PassingBackend.pass_on`."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._planned: list[_Planned] = []
        self._late: list[_Late] = []
        self._lock = threading.Lock()

    def fail(self, name: str, error: SyncError | None = None, *, times: int = 1) -> None:
        """Let the next *times* calls named *name* raise *error* and do nothing; by default, storage is unavailable."""
        failure = error or UnavailableError(ErrorKind.UNAVAILABLE, "the storage was told to fail", ambiguous=False)
        self._planned.append(_Planned(name=name, times=times, error=failure, done_first=False))

    def lose_answer(self, name: str, *, times: int = 1) -> None:
        """Let the next *times* calls named *name* be done, and their answers be lost."""
        failure = UnavailableError(ErrorKind.UNAVAILABLE, "the answer was told to get lost", ambiguous=True)
        self._planned.append(_Planned(name=name, times=times, error=failure, done_first=True))

    def land_late(self, name: str, *, calls: int, times: int = 1) -> None:
        """Let the next *times* calls named *name* go unanswered, and be done just before the *calls*-th call after each."""
        failure = UnavailableError(ErrorKind.UNAVAILABLE, "the call was told to arrive late", ambiguous=True)
        self._planned.append(_Planned(name=name, times=times, error=failure, done_first=False, late_by=calls))

    def heal(self) -> None:
        """Let no more of the planned failures happen."""
        with self._lock:
            self._planned.clear()

    def land_all(self) -> None:
        """Do now what is still on its way."""
        with self._lock:
            late, self._late = self._late, []
        self._arrive(late)

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
        self._arrive(self._due())
        planned = self._take(name)
        if planned is None:
            return call()
        if planned.done_first:
            with suppress(SyncError):  # a refusal is an answer that can be lost too
                call()
        elif planned.late_by:
            with self._lock:
                self._late.append(_Late(planned.late_by, call))
        raise planned.error

    def _due(self) -> list[_Late]:
        """Count a call, and return what arrives before it."""
        with self._lock:
            for late in self._late:
                late.calls_left -= 1
            due = [late for late in self._late if not late.calls_left]
            self._late = [late for late in self._late if late.calls_left]
        return due

    @staticmethod
    def _arrive(due: list[_Late]) -> None:
        for late in due:
            with suppress(SyncError):  # nobody hears the answer
                late.call()

    def _take(self, name: str) -> _Planned | None:
        with self._lock:
            for planned in self._planned:
                if planned.name == name:
                    planned.times -= 1
                    if planned.times == 0:
                        self._planned.remove(planned)
                    return planned
        return None
