"""Watching a machine: until JupyterLab answers, and what it writes to its console.

Invariant: watching changes nothing. Whoever stops watching leaves the machine as it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines.cloud import still_going
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.serial import Part, Setup, missed
from epic_lab.machines.stage import Stage, StageListener, ignore_stages
from epic_lab.machines.states import Verb
from epic_lab.notebook import Notebooks, gone

READY_SECONDS = 40 * 60.0
_FOREVER_SECONDS = 365 * 86400.0
# So many looks at the console without news before the machine itself is looked at: it may have been stopped.
_QUIET_LOOKS = 5


class Readiness(str, Enum):
    """What is known of a machine's JupyterLab."""

    READY = "ready"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """A machine that was waited for.

    Attributes:
        machine: as it is now: running.
        readiness: whether its set-up says that JupyterLab answers; unknown where the set-up scripts say nothing.
        elapsed_seconds: how long it was waited for.
    """

    machine: Machine
    readiness: Readiness
    elapsed_seconds: float


def wait_until_ready(
    notebooks: Notebooks,
    machine: Machine,
    *,
    tell: StageListener = ignore_stages,
    within_seconds: float = READY_SECONDS,
) -> Waited:
    """Return when *machine* runs and its set-up says that JupyterLab answers, or has ended without a word about it.

    Raises:
        LabError: the machine does not run and will not by itself, its set-up failed, or it was not ready in time and goes on.
    """
    began = time.monotonic()
    machine, _ = notebooks.prepared(Verb.USE, machine, tell=tell)
    tell(Stage(f"{machine.name} boots"))
    setup, position, quiet = Setup(), 0, 0
    told = (0, "")
    for _ in notebooks.looks(within_seconds - (time.monotonic() - began)):
        part = notebooks.cloud.console(machine.zone, machine.name, position)
        setup, position = setup.after(part.text), part.next
        if setup.failure is not None or (setup.has_ended and setup.speaks and not setup.is_ready):
            raise _failed(machine, setup)
        if setup.is_ready or setup.has_ended:
            readiness = Readiness.READY if setup.is_ready else Readiness.UNKNOWN
            return Waited(machine=machine, readiness=readiness, elapsed_seconds=time.monotonic() - began)
        if setup.step and (setup.step, setup.doing) != told:
            told = (setup.step, setup.doing)
            tell(Stage(setup.doing, setup.step, setup.steps))
        quiet = 0 if part.text else quiet + 1
        if quiet >= _QUIET_LOOKS:
            quiet = 0
            machine = _still_running(notebooks, machine)
    raise still_going(f"the set-up of {machine.name}", machine.name, within_seconds)


def setup_of(notebooks: Notebooks, machine: Machine) -> Setup | None:
    """Return how far the set-up of *machine* has come, or ``None`` where that cannot be read: it does not run, or the account may not."""
    if machine.state is not State.RUNNING:
        return None
    try:
        return Setup().after(notebooks.cloud.console(machine.zone, machine.name, 0).text)
    except LabError as error:
        if error.kind is LabErrorKind.NO_PERMISSION:
            return None
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a machine wrote to its console.

    Attributes:
        text: the output.
        next: the position where what comes next begins.
        missed_bytes: how much before *text* is kept no more.
        is_anew: whether the machine has been started anew since the last of these, so that positions begin at 0 again.
    """

    text: str
    next: int
    missed_bytes: int = 0
    is_anew: bool = False


def console(notebooks: Notebooks, machine: Machine, *, start: int) -> Heard:
    """Return what *machine* has written to its console since the position *start*, so far as it is kept.

    Raises:
        LabError: the machine does not run, or the cloud refuses.
    """
    return _heard(notebooks.cloud.console(machine.zone, machine.name, start), start)


def follow(notebooks: Notebooks, machine: Machine, *, start: int) -> Iterator[Heard]:
    """Yield what *machine* writes to its console from the position *start* on, until it stops running.

    Raises:
        LabError: the machine is gone, or the cloud refuses.
    """
    position, quiet = start, 0
    for _ in notebooks.looks(_FOREVER_SECONDS):
        heard = console(notebooks, machine, start=position)
        if heard.text:
            quiet, position = 0, heard.next
            yield heard
            continue
        quiet += 1
        if quiet < _QUIET_LOOKS:
            continue
        quiet = 0
        now = _looked_at(notebooks, machine)
        if now.started_seconds != machine.started_seconds:
            position = 0  # the console of a new start is a new one
            yield Heard(text="", next=0, is_anew=True)
        machine = now
        if machine.state not in {State.RUNNING, State.PROVISIONING, State.STAGING}:
            return


def _heard(part: Part, asked: int) -> Heard:
    return Heard(text=part.text, next=part.next, missed_bytes=missed(asked, part))


def _looked_at(notebooks: Notebooks, machine: Machine) -> Machine:
    now = notebooks.cloud.machine(machine.zone, machine.name)
    if now is None:
        raise gone(machine.name, machine.zone)
    return now


def _still_running(notebooks: Notebooks, machine: Machine) -> Machine:
    now = _looked_at(notebooks, machine)
    if now.state is not State.RUNNING:
        why = "; the cloud takes spot machines back when it needs them" if machine.is_spot else ""
        raise LabError(
            LabErrorKind.WRONG_STATE,
            f"{machine.name} is {now.state.said}, before its JupyterLab answered{why}",
            hint=f"`epic-notebook start {machine.name}` starts it again, and its set-up goes on where it was.",
            machine=machine.name,
            state=now.state.value,
        )
    return now


def _failed(machine: Machine, setup: Setup) -> LabError:
    where = f" at step {setup.step}/{setup.steps}, {setup.doing}" if setup.step else ""
    why = setup.failure or "it ended before JupyterLab answered"
    return LabError(
        LabErrorKind.SETUP_FAILED,
        f"the set-up of {machine.name} failed{where}: {why}",
        hint=f"`epic-notebook logs {machine.name}` shows what it printed; the machine runs, and costs, until it is suspended, stopped or "
        "terminated. docs/launch-fails.md says more.",
        machine=machine.name,
        step=setup.step,
        steps=setup.steps,
        doing=setup.doing,
    )
