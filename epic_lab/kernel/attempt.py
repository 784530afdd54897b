"""A pull in a thread of its own, for which a kernel waits only so long.

A thread is needed because nothing in a process can end a name lookup or a call to a dead disk. Whoever stops waiting
calls the attempt off: from then on it may look and fetch, but nothing of the trees is changed any more. If it is already
writing when that is tried, it cannot be called off, for a tree that is half old and half new helps nobody: it goes on, and
its report is read later.

Invariant: between `call_off` answering ``True`` and the end of the process, the attempt begins to write nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from synccore.pullreport import PullReport


class Patience(NamedTuple):
    """How long to wait.

    Attributes:
        first_seconds: for the first sign of life.
        quiet_seconds: for the next one after that. What the network may take between two bytes is the backend's
            affair and far shorter; this is for a disk or a name server that hangs, and for libraries read from a cold disk.
        whole_seconds: in all.
    """

    first_seconds: float
    quiet_seconds: float
    whole_seconds: float


class CalledOffError(Exception):
    """The attempt was called off before it wrote anything."""


class Attempt:
    """One run of *pull*, which is handed the attempt so that it can report to it; begins at once.

    *pull* is to call `heard` whenever something has arrived, and `begin_writing` before it changes anything.
    """

    def __init__(self, pull: Callable[[Attempt], PullReport]) -> None:
        self._pull = pull
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._heard_at: float | None = None
        self._is_called_off = False
        self._is_writing = False
        self._report: PullReport | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="synccode", daemon=True).start()

    # -- for the thread that pulls ---------------------------------------------------------------------------------------

    def heard(self) -> None:
        """Note that there is progress."""
        self._heard_at = monotonic()

    def begin_writing(self) -> None:
        """Note that the trees are about to be changed.

        Raises:
            CalledOffError: they must not be.
        """
        with self._lock:
            if self._is_called_off:
                raise CalledOffError
            self._is_writing = True

    def _run(self) -> None:
        try:
            self._report = self._pull(self)
        except BaseException as error:  # noqa: BLE001 - it is raised again where somebody waits for it
            self._error = error
        self._ended.set()

    # -- for the thread that waits ---------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether there is a report, or an error."""
        return self._ended.is_set()

    @property
    def has_heard(self) -> bool:
        """Whether there was any sign of life."""
        return self._heard_at is not None

    def wait(self, patience: Patience) -> bool:
        """Wait as long as *patience* lasts and tell whether the attempt has ended."""
        began = monotonic()
        while not self._ended.is_set():
            heard = self._heard_at
            end = began + patience.first_seconds if heard is None else heard + patience.quiet_seconds
            left = min(end, began + patience.whole_seconds) - monotonic()
            if left <= 0:
                return False
            self._ended.wait(left)
        return True

    def call_off(self) -> bool:
        """Let nothing be written, and tell whether that is so; ``False`` means that writing is under way or done."""
        with self._lock:
            self._is_called_off = not self._is_writing
            return self._is_called_off

    def report(self) -> PullReport:
        """Return what the ended attempt did, or raise what it raised."""
        if self._error is not None:
            raise self._error
        assert self._report is not None  # noqa: S101 - it has ended without an error
        return self._report
