"""Sharing out blocks of new trees among this process and others beside it.

Invariant: nothing depends on the others. What one that fails or ends has not said it has done is done here, again and whole, so
that an error is met here as well and is the same in its words; and none of them is at work any more when the sharing is over.

To decompress, compare and write 30,000 files of 334 MB takes one core 0.81 s. Three threads on two cores needed 0.72, for each call of the
system is a turn at the interpreter; two processes, each with half of the blocks, 0.50. (docs/decisions/0013)
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from synccore.beside import Beside, GoneError
from synccore.building import DONE
from synccore.workers import GLANCE_SECONDS, join

if TYPE_CHECKING:
    from typing_extensions import Self

# One takes 45 ms of a processor to come up, which so many files give back. (On two cores, from a directory: 3,000 files 155 ms alone and
# 161 with help, 6,000 files 250 and 229, 12,000 files 434 and 391.)
_FILES_EACH = 4000

# Four write 1.6 GB/s, more than the disks and the network of most machines carry.
_MOST = 3

# One at work, one that it finds when that is done, and one on the way.
_ORDERS_AHEAD = 3

# How many blocks that are for this process may wait for it, while others go on behind them.
_MOST_SET_ASIDE = 2

_JOIN = "synccore.building:join"

_T = TypeVar("_T")


class BuildingProcesses:
    """Processes beside this one, being started; a context manager, which ends them."""

    def __init__(self, files: int) -> None:
        """Start as many as are worth it for so many files to build; none, where there is but one processor."""
        self._besides: list[Beside] = []
        for _ in range(min(_processors() - 1, _MOST, files // _FILES_EACH)):
            with suppress(GoneError):
                self._besides.append(Beside(_JOIN))

    def __bool__(self) -> bool:
        """Tell whether there is anybody."""
        return bool(self._besides)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for beside in self._besides:
            beside.end()
        self._besides = []

    @contextmanager
    def sharing(
        self, site: bytes, runs: Iterator[list[_T]], order: Callable[[_T], bytes | None], done: Callable[[_T], object]
    ) -> Iterator[Iterator[tuple[_T, bool]]]:
        """Have blocks worked on for the length of a ``with`` block, which is given those that are for the caller.

        Args:
            site: the first message to each of the others.
            runs: what there is to do, in runs of neighbours; asked for by one thread at a time.
            order: returns the message that asks another for a block, or ``None`` if that is not for them.
            done: is told of each block that another has done, by some thread.

        Yields:
            Blocks, each with whether another may have done a part of it. Who asks for the next has done the last one; they end
            when all are done. What *runs* raises is raised there.
        """
        sharing = _Sharing(runs, order, done)
        threads: list[Thread] = []
        try:
            threads.extend(sharing.begin(beside, site) for beside in self._besides)
            yield sharing.ours()
        except BaseException as error:
            for beside in self._besides:
                beside.end()
            # Somebody who interrupts waits for no thread: one may be waiting for the network.
            if sharing.stop(wait=not isinstance(error, KeyboardInterrupt)):
                _join(threads)
            raise
        _join(threads)


def _join(threads: list[Thread]) -> None:
    for thread in threads:
        join(thread)


def _processors() -> int:
    """Return how many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Sharing(Generic[_T]):
    """Who gets which block. A thread for each of the others feeds it, and hears what it has done."""

    def __init__(
        self,
        runs: Iterator[list[_T]],
        order: Callable[[_T], bytes | None],
        done: Callable[[_T], object],
    ) -> None:
        self._runs = runs
        self._run: deque[_T] = deque()
        self._order = order
        self._done = done
        self._turn = Condition(Lock())
        self._set_aside: deque[_T] = deque()
        self._undone: deque[_T] = deque()
        self._helpers = 0
        self._is_over = False
        self._error: BaseException | None = None

    def stop(self, *, wait: bool) -> bool:
        """Hand out no more; tell whether all threads know it, which takes until none waits for *runs*."""
        self._is_over = True
        if not self._turn.acquire(blocking=wait):
            return False
        self._turn.notify_all()
        self._turn.release()
        return True

    def ours(self) -> Iterator[tuple[_T, bool]]:
        """Yield what is for this process, the last when the others have done all that is theirs."""
        while (mine := self._next_for_us()) is not None:
            yield mine

    def _next_for_us(self) -> tuple[_T, bool] | None:
        with self._turn:
            while True:
                if self._error is not None:
                    raise self._error
                if self._undone:
                    return self._undone.popleft(), True
                if self._set_aside:
                    self._turn.notify_all()
                    return self._set_aside.popleft(), False
                if not self._is_over and self._has_more():
                    return self._run.popleft(), False
                if not self._helpers:
                    return None
                self._turn.wait(GLANCE_SECONDS)

    def begin(self, beside: Beside, site: bytes) -> Thread:
        """Have *beside* work on blocks until there are no more, or until it fails."""
        thread = Thread(target=self._feed, args=(beside, site), daemon=True)
        with self._turn:
            thread.start()
            self._helpers += 1
        return thread

    def _feed(self, beside: Beside, site: bytes) -> None:
        asked: deque[_T] = deque()
        try:
            beside.send(site)
            while (found := self._next_for_them()) is not None:
                block, message = found
                asked.append(block)
                beside.send(message)
                if len(asked) == _ORDERS_AHEAD:
                    self._hear(beside, asked)
            while asked:
                self._hear(beside, asked)
        except GoneError:
            # Nothing of it is at work any more when its blocks are done again.
            beside.end()
        except BaseException as error:  # noqa: BLE001 - raised where the caller asks for the next block
            self._error = error
        finally:
            with self._turn:
                self._undone += asked
                self._helpers -= 1
                self._turn.notify_all()

    def _next_for_them(self) -> tuple[_T, bytes] | None:
        with self._turn:
            while not self._is_over:
                if len(self._set_aside) == _MOST_SET_ASIDE:
                    self._turn.wait()
                    continue
                if not self._has_more():
                    break
                # Not the next after ours: two who make files in one directory at a time wait for each other in the kernel. (30,000
                # files: 0.71 s as a whole command, from both ends 0.68.)
                block = self._run.pop()
                message = self._order(block)
                if message is not None:
                    return block, message
                self._set_aside.append(block)
                self._turn.notify_all()
        return None

    def _has_more(self) -> bool:
        """Tell whether there is a block that nobody has; it is in the run then."""
        while not self._run:
            run = next(self._runs, None)
            if run is None:
                self._is_over = True
                return False
            self._run += run
        return True

    def _hear(self, beside: Beside, asked: deque[_T]) -> None:
        if beside.receive() != DONE:
            raise GoneError
        self._done(asked.popleft())
