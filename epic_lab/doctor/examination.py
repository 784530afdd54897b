"""Carrying out checks: side by side where they do not need each other, each with a deadline of its own.

Invariant: every check ends in one finding, at the latest when its deadline has passed, and no thread that hangs keeps the process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from epic_lab.bugs import save_traceback
from epic_lab.doctor.case import Case
from epic_lab.doctor.finding import Check, Checked, Finding, Mark, cannot_tell, wrong
from epic_lab.errors import LabError, hint_for
from synccore.errors import SyncError

_BLOCKING = {Mark.WRONG, Mark.NOT_TRIED}


def examine(checks: Sequence[Check], case: Case, *, deadline_seconds: float) -> Iterator[Checked]:
    """Carry out *checks* and yield what each found, in their order and as soon as that is known.

    Args:
        checks: a check stands after those that it needs or waits for.
        case: what they look at.
        deadline_seconds: how long one may take. Checks that need each other take their time one after the other.
    """
    rounds = _Rounds(checks, case, deadline_seconds)
    for check in checks:
        while check.name not in rounds.ended:
            rounds.go_on()
        yield rounds.ended[check.name]


class _Rounds:
    """What is under way: which checks wait, which run until when, which have ended."""

    def __init__(self, checks: Sequence[Check], case: Case, deadline_seconds: float) -> None:
        self.ended: dict[str, Checked] = {}
        self._waiting = list(checks)
        self._running: dict[str, tuple[Check, float]] = {}
        self._case = case
        self._deadline_seconds = deadline_seconds
        self._found: queue.SimpleQueue[tuple[str, Finding]] = queue.SimpleQueue()

    def go_on(self) -> None:
        """Begin what can begin, and wait until something ends."""
        for check in list(self._waiting):
            if all(name in self.ended for name in (*check.needs, *check.after)):
                self._waiting.remove(check)
                self._begin(check)
        if not self._running:
            return
        soonest = min(began for _, began in self._running.values()) + self._deadline_seconds
        try:
            name, finding = self._found.get(timeout=max(0.0, soonest - time.monotonic()))
        except queue.Empty:
            self._give_up()
        else:
            if name in self._running:  # otherwise it was given up before
                self._end(name, finding)

    def _begin(self, check: Check) -> None:
        missing = [name for name in check.needs if self.ended[name].finding.mark in _BLOCKING]
        if missing:
            detail = f"not tried: it needs {' and '.join(missing)}"
            finding = Finding(mark=Mark.NOT_TRIED, detail=detail, facts={"needs": missing})
            self.ended[check.name] = Checked(check=check, finding=finding)
            return
        self._running[check.name] = (check, time.monotonic())
        look = self._looking(check)
        # A daemon: where a name server hangs, nothing can end the thread, and nobody should wait for it.
        threading.Thread(target=look, name=f"doctor {check.name}", daemon=True).start()

    def _looking(self, check: Check) -> Callable[[], None]:
        return lambda: self._found.put((check.name, finding_of(check, self._case)))

    def _end(self, name: str, finding: Finding) -> None:
        check, began = self._running.pop(name)
        self.ended[name] = Checked(check=check, finding=finding, elapsed_seconds=time.monotonic() - began)

    def _give_up(self) -> None:
        now = time.monotonic()
        late = [name for name, (_, began) in self._running.items() if now - began >= self._deadline_seconds]
        for name in late:
            detail = f"no answer within {self._deadline_seconds:g} s"
            remedy = "Check the network, and any VPN or proxy; a longer --timeout gives it more time."
            self._end(name, wrong(detail, remedy=remedy))


def finding_of(check: Check, case: Case) -> Finding:
    """Look, and turn whatever is raised into a finding."""
    try:
        return check.look(case)
    except (LabError, SyncError) as error:
        return wrong(error.message, remedy=hint_for(error), kind=error.kind.value)
    except Exception as error:  # noqa: BLE001 - the other checks go on, and nobody sees a traceback
        file = save_traceback(error, case.lab.state_dir, at_work=f"doctor {check.name}")
        detail = f"this check itself is broken: {type(error).__name__}: {error}".splitlines()[0]
        where = f", with the details, which are in {file}" if file else ""
        return cannot_tell(detail, remedy=f"Please report this line{where}", traceback_file=file)
