"""Where the installed programs begin.

A command lives for a second and makes next to no cycles of garbage, so nobody looks for them. Looking costs a tenth of the time
of everything: 11 of 164 ms of a download that finds nothing new, and as much while a tree of 100,000 entries is built.

Invariant: nothing is imported before that is settled.
"""

from __future__ import annotations

import gc


def synccode() -> None:
    """Run `epic-synccode` and exit."""
    gc.disable()
    from epic_lab.cli.synccode import main

    main()


def notebook() -> None:
    """Run `epic-notebook` and exit."""
    gc.disable()
    from epic_lab.cli.notebook import main

    main()


def lab() -> None:
    """Run `epic-lab` and exit."""
    gc.disable()
    from epic_lab.cli.lab import main

    main()
