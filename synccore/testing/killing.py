"""Killing a process at a chosen instant of its work on the disk.

Invariant: the process that is killed is a copy of this one (`os.fork`) and ends as by SIGKILL: nothing is cleaned up, and
nothing of its memory comes back.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable

# What Python announces before it changes something on the disk; `open` is announced for reading as well.
_STEPS = frozenset({"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"})

_KILLED = 77


def is_killed_at(step: int, act: Callable[[], object]) -> bool:
    """Do *act* in a copy of this process that dies just before its *step*-th step on the disk, counted from 0.

    Returns:
        Whether it came to that step; if not, *act* was done to its end.

    Raises:
        AssertionError: *act* failed.
    """
    with warnings.catch_warnings():
        # Of forking beside other threads: they do not hold what *act* needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _run_until(step, act)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, _KILLED}, f"what was to be killed at step {step} ended with {code}"
    return code == _KILLED


def _run_until(step: int, act: Callable[[], object]) -> None:
    seen = 0

    def count(event: str, _arguments: object) -> None:
        nonlocal seen
        if event in _STEPS:
            if seen == step:
                os._exit(_KILLED)
            seen += 1

    code = 1
    try:
        sys.addaudithook(count)
        act()
        code = 0
    finally:
        os._exit(code)
