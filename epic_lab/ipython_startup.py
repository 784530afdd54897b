"""For an IPython profile: ``from epic_lab.ipython_startup import *`` synchronises the code when a kernel starts.

That line in a file of ``~/.ipython/profile_default/startup/`` is all. It brings ``~/synccode`` up to date, puts the code on
`sys.path`, says in one line what was done, and offers `synccode_check_for_updates`, the magics, the debugger's ``uu`` and the
shorthand names of docs/how-to/kernel.md. Outside IPython it only sets `sys.path`.

Invariant: importing this never raises, prints at most one line (and one more for modules that are out of date), and lasts no longer
than the deadline.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epic_lab.kernel.check import Check

__all__ = ["synccode_check_for_updates"]


def synccode_check_for_updates(wait: bool = False, timeout_seconds: float | None = None) -> Check:  # noqa: FBT001, FBT002 - as it is typed in notebooks
    """Bring the code up to date now, print what that did, and return it.

    Python keeps running what it has imported: modules that changed are named.

    Args:
        wait: return only when a new upload has arrived; interrupting the kernel ends that.
        timeout_seconds: with *wait*, return after this long in any case.
    """
    from epic_lab.kernel.hook import check_for_updates

    return check_for_updates(wait=wait, timeout_seconds=timeout_seconds)


def _start(began: float) -> None:
    try:
        from epic_lab.kernel.hook import start

        start(began)
    except BaseException as error:  # noqa: BLE001 - a kernel starts, whatever this installation is like
        _say(f"synccode: the start is incomplete ({type(error).__name__}: {error})")


def _say(text: str) -> None:
    try:
        from epic_lab.kernel.shell import current_shell, tell

        shell = current_shell()
        if shell is None:
            tell(text)
        else:
            shell.say(text)
    except BaseException:  # noqa: BLE001 - as above
        print(text)  # noqa: T201 - nothing of ours is left that could


_start(time.perf_counter())
