"""The IPython shell of this process, as far as the synchronisation needs one.

A line that is printed while a Jupyter kernel starts belongs to no cell, and notebooks throw such output away. So what is said
then is kept and printed at the top of the first cell's output, where it is seen and saved with the notebook; everywhere else it
is printed at once.

Invariant: IPython is never loaded from here; where it is not there is no shell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from epic_lab.printable import printable_lines


def tell(text: str) -> None:
    """Print *text*; an output that is closed, or cannot show every character, is no reason to fail."""
    text = printable_lines(text)
    try:
        print(text)  # noqa: T201 - this is the one place that does
    except UnicodeEncodeError as error:
        print(text.encode(error.encoding, "replace").decode(error.encoding))  # noqa: T201
    except (OSError, ValueError):
        return


def current_shell() -> Shell | None:
    """Return the shell of this process, or ``None``."""
    ipython = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    inner = get_ipython() if get_ipython is not None else None
    return None if inner is None else Shell(inner)


class Shell:
    """An interactive shell.

    Attributes:
        inner: IPython's own object.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @property
    def reloads_modules(self) -> bool:
        """Whether IPython's autoreload brings every changed module up to date before the next cell."""
        magics = getattr(getattr(self.inner, "magics_manager", None), "registry", {}).get("AutoreloadMagics")
        reloader = getattr(magics, "_reloader", None)
        return bool(getattr(reloader, "enabled", False) and getattr(reloader, "check_all", False))

    @property
    def debugger_class(self) -> type[Any]:
        """The shell's own debugger; not every version of IPython lets each shell choose."""
        from IPython.core.debugger import Pdb

        found: type[Any] = getattr(self.inner, "debugger_cls", Pdb)
        return found

    def say(self, text: str) -> None:
        """Tell *text*, in a kernel that is only starting with the first cell."""
        if getattr(self.inner, "kernel", None) is None or getattr(self.inner, "parent_header", None):
            tell(text)
            return

        def tell_now() -> bool:
            tell(text)
            return True

        self.before_cells(tell_now)

    def before_cells(self, act: Callable[[], bool]) -> None:
        """Call *act* before each cell that is run, until it says that it is done."""

        def before_cell(_info: object = None) -> None:
            if act():
                self.inner.events.unregister("pre_run_cell", before_cell)

        self.inner.events.register("pre_run_cell", before_cell)
