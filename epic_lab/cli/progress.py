"""Progress of long work, for somebody who is looking.

Invariant: nothing appears unless standard error is a terminal and the work has lasted a second, so that everyday work stays silent
and never pays for the import of rich.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from epic_lab.cli.output import Output
from synccore.progress import Progress, ProgressListener, ignore_progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PATIENCE_SECONDS = 1.0

_WAITING = ""

_PHASES = {
    "scan": "looking",
    "read": "reading files",
    "pack": "packing",
    "store": "uploading",
    "fetch": "downloading",
    "write": "writing files",
    "check": "checking",
    "delete": "deleting",
}


class PatientBars:
    """A listener that draws a bar for each phase, from the moment when the work has lasted long enough.

    They appear by a timer and not at an event, so that somebody who waits for a network that is not there sees that too.
    """

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, Progress] = {}
        self._tasks: dict[str, TaskID] = {}
        self._bars: Bars | None = None
        self._is_closed = False
        self._timer = threading.Timer(patience_seconds, self._appear)
        self._timer.daemon = True
        self._timer.start()

    def __call__(self, progress: Progress, /) -> None:
        """Take note of *progress*."""
        with self._lock:
            self._latest[progress.phase] = progress
            if self._bars is not None:
                self._draw(self._bars, progress)

    def close(self) -> None:
        """Take the bars away, or see to it that they never appear."""
        self._timer.cancel()
        with self._lock:
            self._is_closed = True
            if self._bars is not None:
                self._bars.stop()
        self._timer.join()

    def _appear(self) -> None:
        bars = _bars()
        with self._lock:
            if self._is_closed:
                return
            self._bars = bars
            bars.start()
            if not self._latest:
                self._tasks[_WAITING] = bars.add_task("waiting for the storage", total=None, amount="")
            for progress in self._latest.values():
                self._draw(bars, progress)

    def _draw(self, bars: Bars, progress: Progress) -> None:
        waiting = self._tasks.pop(_WAITING, None)
        if waiting is not None:
            bars.remove_task(waiting)
        task = self._tasks.get(progress.phase)
        if task is None:
            title = _PHASES.get(progress.phase, progress.phase)
            task = self._tasks[progress.phase] = bars.add_task(title, total=None, amount="")
        bars.update(task, completed=progress.done, total=progress.total, amount=_amount(progress))


@contextmanager
def progress_on(output: Output) -> Iterator[ProgressListener]:
    """Yield whom to tell of progress while the context lasts."""
    if not output.shows_progress:
        yield ignore_progress
        return
    bars = PatientBars()
    try:
        yield bars
    finally:
        bars.close()


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"))
    return Bars(*columns, console=Console(stderr=True), transient=True)


def _amount(progress: Progress) -> str:
    from epic_lab.cli import wording

    if progress.unit == "bytes":
        done, total = wording.size(progress.done), None if progress.total is None else wording.size(progress.total)
    else:
        done, total = f"{progress.done:,}", None if progress.total is None else f"{progress.total:,} {progress.unit}"
    return done if total is None else f"{done} of {total}"
