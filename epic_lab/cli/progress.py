"""Progress of long work, for somebody who is looking.

Invariant: nothing appears unless standard error is a terminal and the work has lasted a second, so that everyday work stays silent
and never pays for the import of rich.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from epic_lab.cli.output import Output
from synccore.progress import Progress, ProgressListener, ignore_progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PATIENCE_SECONDS = 1.0

_PHASES = {
    "scan": "looking",
    "read": "reading files",
    "pack": "packing",
    "store": "uploading",
    "fetch": "downloading",
    "write": "writing files",
}


class PatientBars:
    """A listener that draws a bar for each phase, from the moment when the work has lasted long enough."""

    def __init__(self, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._show_from = time.monotonic() + patience_seconds
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, progress: Progress, /) -> None:
        """Take note of *progress*."""
        if self._bars is None:
            if time.monotonic() < self._show_from:
                return
            self._bars = _bars()
            self._bars.start()
        task = self._tasks.get(progress.phase)
        if task is None:
            title = _PHASES.get(progress.phase, progress.phase)
            task = self._tasks[progress.phase] = self._bars.add_task(title, total=None, amount="")
        self._bars.update(task, completed=progress.done, total=progress.total, amount=_amount(progress))

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()


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
