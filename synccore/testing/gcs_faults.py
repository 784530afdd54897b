"""The ways in which a `GcsServer` can be told to fail.

Invariant: a fault says what is done and what is sent, and nothing of when; that is `GcsServer.inject`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from synccore.testing.gcs_service import ServiceError
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
