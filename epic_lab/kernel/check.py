"""Asking for updates from a running kernel.

Invariant: it costs one conditional get each time that it looks, and waiting can be interrupted at any moment.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from epic_lab.kernel.code import ON_REQUEST, KernelCode, Outcome
from epic_lab.kernel.line import listed
from epic_lab.kernel.shell import Shell, tell

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 3.0
_GROWTH = 1.25


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Check:
    """What a check for updates found.

    Attributes:
        changed: the repositories that are at another snapshot than at the last check, or than at the kernel's start.
        modules: modules that were imported before and whose files have changed since; Python still runs the old ones.
        snapshots: for each repository that is here the id of the exact code.
        is_current: whether the store has confirmed that this is the newest code.
    """

    changed: tuple[str, ...]
    modules: tuple[str, ...]
    snapshots: dict[str, str]
    is_current: bool

    def __bool__(self) -> bool:
        """Tell whether anything changed."""
        return bool(self.changed)

    def __repr__(self) -> str:
        what = f"changed: {listed(self.changed)}" if self.changed else "nothing new"
        stale = f"; imported before: {listed(self.modules)}" if self.modules else ""
        return f"<synccode {what}{stale}{'' if self.is_current else '; not confirmed by the store'}>"


def check(code: KernelCode, shell: Shell | None, *, wait: bool, timeout_seconds: float | None) -> Check:
    """Pull, print what came of it, and return it; with *wait*, not before there is something new.

    Args:
        code: what to bring up to date.
        shell: where this runs.
        wait: ask again, about once a second at first and every three seconds later, until another upload has arrived.
        timeout_seconds: with *wait*, return after this long in any case.

    Raises:
        KeyboardInterrupt: the user interrupted it; nothing is half done.
    """
    began = time.perf_counter()
    reloads = shell is not None and shell.reloads_modules
    with code.staying_connected():
        outcome = code.update(ON_REQUEST, began=began, reloads=reloads)
        if wait:
            outcome = _await_change(code, outcome, began=began, timeout_seconds=timeout_seconds, reloads=reloads)
    if isinstance(outcome.error, KeyboardInterrupt):
        raise outcome.error
    for text in outcome.lines:
        tell(text)
    return Check(
        changed=outcome.changed,
        modules=outcome.modules,
        snapshots=dict(outcome.here),
        is_current=outcome.error is None and outcome.attempt is None,
    )


def _await_change(
    code: KernelCode, outcome: Outcome, *, began: float, timeout_seconds: float | None, reloads: bool
) -> Outcome:
    """Ask until something has changed, or asking makes no sense."""
    pause, is_said = _FIRST_PAUSE_SECONDS, False
    end = float("inf") if timeout_seconds is None else began + timeout_seconds
    while not outcome.changed and outcome.attempt is None and (outcome.error is None or not outcome.is_reached):
        if outcome.error is not None and not is_said:
            tell(f"{outcome.lines[0]} · waiting for it to come back")
            is_said = True
        left = end - time.perf_counter()
        if left <= 0:
            break
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE_SECONDS)
        outcome = code.update(ON_REQUEST, began=time.perf_counter(), reloads=reloads)
    return outcome
