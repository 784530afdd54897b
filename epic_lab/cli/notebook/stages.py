"""The stages of long work, for somebody who waits for it.

Invariant: all of it goes to standard error. On a terminal one line moves, and each stage that took its time leaves a line; elsewhere each stage is
a line when it begins.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from epic_lab.cli.notebook import wording
from epic_lab.cli.output import Output
from epic_lab.machines.stage import Stage, StageListener
from epic_lab.printable import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_WORTH_A_LINE_SECONDS = 1.0


class MovingLine:
    """A listener that shows the stage at work with the time that it has taken so far."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._said = ""
        self._began = 0.0
        progress.start()

    def __call__(self, stage: Stage, /) -> None:
        """Take note that *stage* begins, and so that the one before has ended."""
        self._finish()
        self._said = _said(stage)
        self._began = time.monotonic()
        self._task = self._progress.add_task(self._said, total=None)

    def close(self, *, is_done: bool) -> None:
        """Take the line away; the last stage leaves one if it was done."""
        if is_done:
            self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        if self._task is None:
            return
        self._progress.remove_task(self._task)
        self._task = None
        took = time.monotonic() - self._began
        if took >= _WORTH_A_LINE_SECONDS:
            self._progress.console.print(f"{wording.elapsed(took):>11}  {self._said}", highlight=False, markup=False)


@contextmanager
def stages_on(output: Output) -> Iterator[StageListener]:
    """Yield whom to tell of stages while the context lasts."""
    if not output.shows_progress:
        yield _print_line
        return
    line = MovingLine(_progress(no_color=output.no_color))
    is_done = False
    try:
        yield line
        is_done = True
    finally:
        line.close(is_done=is_done)


def _print_line(stage: Stage, /) -> None:
    click.echo(_said(stage), err=True)


def _said(stage: Stage) -> str:
    counted = f"step {stage.step}/{stage.steps}: " if stage.step else ""
    return counted + printable(stage.doing)


def _progress(*, no_color: bool) -> Progress:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    return Progress(*columns, console=Console(stderr=True, no_color=no_color), transient=True)
