"""A debugger that knows the user's own code: ``uu`` goes up to the nearest frame of it, ``dd`` down.

Invariant: everything else is the shell's own debugger.
"""

from __future__ import annotations

from pathlib import Path
from types import FrameType
from typing import Any

from epic_lab.kernel.hook import kernel_code
from epic_lab.kernel.shell import current_shell

_FOREIGN = "site-packages"


def debugger_class(base: type[Any]) -> type[Any]:
    """Return *base*, a debugger class of IPython's, with the commands ``uu`` and ``dd``."""

    class LabDebugger(base):  # type: ignore[misc]
        """IPython's debugger, for people who care about their own frames."""

        def do_uu(self, _argument: str) -> None:
            """Go up to the nearest frame of your own code: the notebook's, or that of a synchronised repository."""
            self._go(range(self.curindex - 1, -1, -1), "above")

        def do_dd(self, _argument: str) -> None:
            """Go down to the nearest frame of your own code."""
            self._go(range(self.curindex + 1, len(self.stack)), "below")

        def _go(self, numbers: range, where: str) -> None:
            own = _OwnCode()
            for number in numbers:
                if own.has(self.stack[number][0]):
                    self._select_frame(number)
                    return
            self.error(f"no frame of your own code {where}")

    return LabDebugger


class _OwnCode:
    """What counts as the user's own: cells, and files of the repositories that are no installed packages."""

    def __init__(self) -> None:
        shell = current_shell()
        self._notebook = None if shell is None else shell.inner.user_ns
        self._roots = tuple(root.resolve() for root in kernel_code().roots())

    def has(self, frame: FrameType) -> bool:
        if frame.f_globals is self._notebook:
            return True
        path = Path(frame.f_code.co_filename).resolve()
        return any(root in path.parents and _FOREIGN not in path.relative_to(root).parts for root in self._roots)
