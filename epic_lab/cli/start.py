"""Where the installed programs begin.

A command lives for a second and makes next to no cycles of garbage, so nobody looks for them. Looking costs a tenth of the time
of everything: 11 of 164 ms of a download that finds nothing new, and as much while a tree of 100,000 entries is built.

Nor does anybody need the interpreter's tidying up: what a command wrote is closed and whom it spoke to has heard all when it
returns, and to take 300 modules apart costs 12 ms, with 30,000 files in memory 20.

An interrupt that meets the tidying of some object, as a second one may, cannot be raised there. Python would print where it was;
we say nothing, and whoever meant it presses again.

Invariant: nothing of the product is imported before that is settled.
"""

from __future__ import annotations

import gc
import os
import sys


def _prepare() -> None:
    gc.disable()
    sys.unraisablehook = _without_interrupts


def _without_interrupts(unraisable: sys.UnraisableHookArgs) -> None:
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


def _leave(code: int) -> None:
    """End the process with *code*; what was printed is flushed already, where it could be."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:  # noqa: SIM105 - nothing is imported here that another module may want first
                stream.flush()
            except (OSError, ValueError):
                pass
    os._exit(code)


def synccode() -> None:
    """Run `epic-synccode` and exit."""
    _prepare()
    from epic_lab.cli.synccode import run

    _leave(run())


def notebook() -> None:
    """Run `epic-notebook` and exit."""
    _prepare()
    from epic_lab.cli.notebook import main

    main()


def lab() -> None:
    """Run `epic-lab` and exit."""
    _prepare()
    from epic_lab.cli.lab import main

    main()
