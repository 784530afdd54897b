"""The ways in which a `GcsServer` can be told to fail.

Invariant: a fault says what is done and what is sent, and nothing of when; that is `GcsServer.inject`'s.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from synccore.testing.gcs_requests import ServiceError
from synccore.testing.http_serving import Response


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer *status* and do nothing."""

    status: int = 503
    reason: str = "backendError"
    message: str = "Backend Error"


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Do what is asked, then close the connection without a word, or answer *status*."""

    status: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """Do nothing and reset the connection."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """Send the head and *after_bytes* of the body, then close the connection."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """Send the head and *after_bytes* of the body, then nothing more, until the client gives up."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """Flip a bit of the body on its way; the checksums in the head are the right ones."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Take so much longer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer 307 to somewhere else."""

    location: str


Fault = Refuse | LoseAnswer | Reset | Truncate | Stall | Damage | Delay | Redirect


FAULTS: dict[str, Callable[[str], Fault]] = {
    "lose-answer": lambda value: LoseAnswer(int(value) if value else None),
    "reset": lambda _: Reset(),
    "truncate": lambda value: Truncate(int(value or 0)),
    "stall": lambda value: Stall(int(value or 0)),
    "damage": lambda _: Damage(),
    "delay": lambda value: Delay(float(value or 1)),
    # Nobody listens there.
    "redirect": lambda value: Redirect(value or "http://127.0.0.1:1/"),
}
"""What a command line may call a fault, with the value that it may give after ``=``."""

ALWAYS = "always"
_PLANNED = re.compile(
    r"(?P<kind>[a-z-]+|[0-9]{3})(?:=(?P<value>[^:]*))?(?::(?P<operation>[a-z_]+))??(?::(?P<times>[0-9]+|always))?"
)


def planned(text: str) -> tuple[Fault, str | None, int]:
    """Return what *text*, as ``503:put:2``, says: which fault, of which operation (``None`` for any), how many times.

    Raises:
        ValueError: it says nothing of that kind.
    """
    match = _PLANNED.fullmatch(text)
    if match is None:
        raise ValueError(f"the fault {text!r} is not KIND[=VALUE][:OPERATION][:TIMES]")
    kind, value = match["kind"], match["value"] or ""
    times = sys.maxsize if match["times"] == ALWAYS else int(match["times"] or 1)
    if kind.isdecimal():
        return Refuse(int(kind)), match["operation"], times
    if kind not in FAULTS:
        raise ValueError(f"the fault {text!r} is unknown: expected a status as 503, or one of {', '.join(FAULTS)}")
    return FAULTS[kind](value), match["operation"], times


def spoilt(response: Response, fault: Fault | None) -> Response:
    """Return *response* as *fault* leaves it."""
    if isinstance(fault, LoseAnswer):
        if fault.status is None:
            return replace(response, silent=True)
        return ServiceError(fault.status, "backendError", "Backend Error").response()
    if isinstance(fault, Truncate):
        return replace(response, send_bytes=fault.after_bytes)
    if isinstance(fault, Stall):
        return replace(response, send_bytes=fault.after_bytes, stall=True)
    if isinstance(fault, Damage) and response.body:
        return replace(response, body=response.body[:-1] + bytes([response.body[-1] ^ 1]))
    return response
