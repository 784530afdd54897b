"""Threads that do what they are given, in the order in which it came; and waiting for threads.

The standard library's pool does the same, but brings the logging library: 6 ms of every upload and of every first download.

Invariant: who waits here looks up now and then. An interrupt that arrives just before a thread begins to wait would otherwise be
heard when the wait is over, and on some systems any interrupt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

R = TypeVar("R")

# How long somebody waits before looking up.
GLANCE_SECONDS = 0.5


def until(wait: Callable[[float], bool]) -> None:
    """Wait until *wait* is true, which is given how many seconds to wait at most, again and again."""
    while not wait(GLANCE_SECONDS):
        pass


def join(thread: Thread) -> None:
    """Wait until *thread* has ended."""
    while thread.is_alive():
        thread.join(GLANCE_SECONDS)


class Outcome(Generic[R]):
    """What *work* leads to, which somebody else does."""

    def __init__(self, work: Callable[[], R]) -> None:
        self._work: Callable[[], R] | None = work
        self._result: R
        self._error: BaseException | None = None
        self._is_there = Event()

    def run(self) -> None:
        """Do the work, unless it was given up."""
        work, self._work = self._work, None
        if work is None:
            return
        try:
            self._result = work()
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._error = error
        self._is_there.set()

    def cancel(self) -> None:
        """Give it up if it has not begun. Nobody may ask for its result any more."""
        self._work = None

    def is_there(self) -> bool:
        """Tell whether `result` need not wait."""
        return self._is_there.is_set()

    def result(self) -> R:
        """Wait for it, and return what the work has returned or raise what it has raised."""
        until(self._is_there.wait)
        if self._error is not None:
            raise self._error
        return self._result


def begin(name: str, work: Callable[[], R]) -> Outcome[R]:
    """Begin *work* in a thread of its own, for which nobody waits who does not want the result any more."""
    outcome = Outcome(work)
    Thread(target=outcome.run, name=name, daemon=True).start()
    return outcome


class Workers:
    """At most *count* threads, begun as they are needed.

    Use it as a context manager. Leaving it waits until all is done that was submitted, or, after an error, what had begun. An
    interrupt waits for nothing: somebody wants to leave, and what hangs in a thread may hang for long.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._changed = Condition()
        self._pending: deque[Outcome[Any]] = deque()
        self._threads: list[Thread] = []
        self._idle = 0
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_over = True
            if error is not None:
                self._pending.clear()
            self._changed.notify_all()
        if not isinstance(error, KeyboardInterrupt):
            for thread in self._threads:
                join(thread)

    def submit(self, work: Callable[..., R], *given: Any) -> Outcome[R]:
        """Have ``work(*given)`` done."""
        outcome = Outcome(partial(work, *given))
        with self._changed:
            self._pending.append(outcome)
            if len(self._pending) <= self._idle:
                self._changed.notify()
            elif len(self._threads) < self._count:
                thread = Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
                thread.start()
                self._threads.append(thread)
        return outcome

    def _serve(self) -> None:
        while (outcome := self._next()) is not None:
            outcome.run()
            # While there is nothing to do, nothing is to be kept in memory.
            del outcome

    def _next(self) -> Outcome[Any] | None:
        with self._changed:
            while not self._pending:
                if self._is_over:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._pending.popleft()
