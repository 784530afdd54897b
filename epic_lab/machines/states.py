"""What each command means for a machine in each state.

Invariant: pure and total: every verb has an answer for every state, and a command that has nothing to do says so in place of failing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from epic_lab.machines.machine import Machine, State


class Verb(str, Enum):
    """What can be done to a machine."""

    SUSPEND = "suspend"
    RESUME = "resume"
    STOP = "stop"
    START = "start"
    TERMINATE = "terminate"
    RETYPE = "resize"
    USE = "use"


class Request(str, Enum):
    """What the cloud is asked to do."""

    SUSPEND = "suspend"
    RESUME = "resume"
    STOP = "stop"
    START = "start"
    DELETE = "delete"
    SET_MACHINE_TYPE = "setMachineType"


@dataclass(frozen=True, slots=True)
class Do:
    """Ask the cloud to do *request*."""

    request: Request


@dataclass(frozen=True, slots=True)
class Nothing:
    """It is done already."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It will be in the state *until* by itself; look again then."""

    until: State


@dataclass(frozen=True, slots=True)
class Refuse:
    """It cannot be done; *why* ends a sentence, *remedy* is a command without the machine's name, or ``None``."""

    why: str
    remedy: str | None


Decision = Do | Nothing | Wait | Refuse

_STARTING = {State.PENDING, State.PROVISIONING, State.STAGING}
_ENDING = {State.PENDING_STOP, State.STOPPING}

_RUNNING_SOON = Wait(State.RUNNING)
_STOPPED_SOON = Wait(State.STOPPED)
_SUSPENDED_SOON = Wait(State.SUSPENDED)

_AT_WORK = Refuse("the cloud is at work on it; look again in a minute", None)
_NOT_STOPPED = Refuse("only a stopped machine can change its type", "stop")
_LOST_MEMORY = Refuse("its memory is gone; it can be started anew", "start")

_ANSWERS: MappingProxyType[Verb, dict[State, Decision]] = MappingProxyType(
    {
        Verb.SUSPEND: {
            **dict.fromkeys(_STARTING, _RUNNING_SOON),
            State.RUNNING: Do(Request.SUSPEND),
            State.SUSPENDING: _SUSPENDED_SOON,
            State.SUSPENDED: Nothing(),
            **dict.fromkeys(_ENDING, Refuse("it costs no more than its disk once it has stopped", None)),
            State.STOPPED: Refuse(
                "only a running machine can be suspended; this one costs no more than its disk", None
            ),
        },
        Verb.RESUME: {
            **dict.fromkeys(_STARTING, _RUNNING_SOON),
            State.RUNNING: Nothing(),
            State.SUSPENDING: _SUSPENDED_SOON,
            State.SUSPENDED: Do(Request.RESUME),
            **dict.fromkeys(_ENDING, _LOST_MEMORY),
            State.STOPPED: _LOST_MEMORY,
        },
        Verb.STOP: {
            **dict.fromkeys(_STARTING, Do(Request.STOP)),
            State.RUNNING: Do(Request.STOP),
            State.REPAIRING: Do(Request.STOP),
            State.SUSPENDING: Refuse("the cloud stops only what runs", "resume"),
            State.SUSPENDED: Refuse("the cloud stops only what runs", "resume"),
            **dict.fromkeys(_ENDING, _STOPPED_SOON),
            State.STOPPED: Nothing(),
        },
        Verb.START: {
            **dict.fromkeys(_STARTING, _RUNNING_SOON),
            State.RUNNING: Nothing(),
            State.SUSPENDING: _SUSPENDED_SOON,
            State.SUSPENDED: Do(Request.RESUME),  # which is what whoever wants it running means, and loses nothing
            **dict.fromkeys(_ENDING, _STOPPED_SOON),
            State.STOPPED: Do(Request.START),
        },
        Verb.TERMINATE: dict.fromkeys(State, Do(Request.DELETE)),
        Verb.RETYPE: {
            **dict.fromkeys((*_STARTING, State.RUNNING, State.REPAIRING), _NOT_STOPPED),
            State.STOPPED: Do(Request.SET_MACHINE_TYPE),
            **dict.fromkeys(_ENDING, _STOPPED_SOON),
            State.SUSPENDING: Refuse("only a stopped machine can change its type", "resume"),
            State.SUSPENDED: Refuse("only a stopped machine can change its type", "resume"),
        },
        Verb.USE: {
            **dict.fromkeys(_STARTING, _RUNNING_SOON),
            State.RUNNING: Nothing(),
            State.SUSPENDING: Refuse("it must run for that", "resume"),
            State.SUSPENDED: Refuse("it must run for that", "resume"),
            **dict.fromkeys(_ENDING, Refuse("it must run for that", "start")),
            State.STOPPED: Refuse("it must run for that", "start"),
        },
    }
)


def decide(verb: Verb, state: State) -> Decision:
    """Say what *verb* means for a machine in *state*."""
    return _ANSWERS[verb].get(state) or _AT_WORK


def unsuspendable(machine: Machine) -> str | None:
    """Say why *machine* can never be suspended, as the end of a sentence, or ``None`` where nothing is known against it."""
    if machine.gpus is not None:
        return f"it has a GPU ({machine.gpus.type}), whose memory the cloud cannot save"
    return None
