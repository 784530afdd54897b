"""What happens once in each kernel.

Invariant: nothing that is called from here by a kernel's start raises, and the second call does nothing.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from epic_lab.kernel.code import AT_START, KernelCode
from epic_lab.kernel.niceties import offer
from epic_lab.kernel.shell import Shell, current_shell, tell
from epic_lab.lab import Lab

if TYPE_CHECKING:
    from epic_lab.kernel.attempt import Attempt
    from epic_lab.kernel.check import Check


@cache
def kernel_code() -> KernelCode:
    """Return the code of this process."""
    return KernelCode(Lab.here())


def start(began: float) -> None:
    """Synchronise, set the path, say so in one line; the first time only.

    Outside IPython the path is set and nothing else: a script that imports this does not wait for a network.

    Args:
        began: the reading of `time.perf_counter` from which the time that is said counts.
    """
    _start_once(current_shell(), began)


def check_for_updates(*, wait: bool, timeout_seconds: float | None) -> Check:
    """Do what `epic_lab.ipython_startup.synccode_check_for_updates` promises."""
    from epic_lab.kernel.check import check

    return check(kernel_code(), current_shell(), wait=wait, timeout_seconds=timeout_seconds)


_started: list[float] = []


def _start_once(shell: Shell | None, began: float) -> None:
    if _started:
        return
    _started.append(began)
    code = kernel_code()
    if shell is None:
        code.put_on_path()
        return
    outcome = code.update(AT_START, began=began)
    offer(shell)
    shell.say("\n".join(outcome.lines))
    if outcome.attempt is not None:
        _tell_when_done(outcome.attempt, code, shell)


def _tell_when_done(attempt: Attempt, code: KernelCode, shell: Shell) -> None:
    """Say what came of *attempt*, before the first cell that is run after it has ended."""
    began = time.perf_counter()

    def tell_then() -> bool:
        if not attempt.has_ended:
            return False
        for text in code.finish(attempt, began=began, reloads=shell.reloads_modules).lines:
            tell(text)
        return True

    shell.before_cells(tell_then)
