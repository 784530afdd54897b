"""The ways in which a `ComputeServer` can be told to fail.

Besides those here, the connection's own are taken from the storage kit: `LoseAnswer`, `Reset`, `Truncate`, `Stall`, `Delay`.

Invariant: a fault says what is done and what is sent, and nothing of when; that is `ComputeServer.inject`'s.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from epic_lab.testing.compute.refusals import (
    Refusal,
    api_disabled,
    operation_rate_exceeded,
    permission_denied,
    quota_exceeded,
    rate_limited,
    stock_out,
    unauthenticated,
    unavailable,
)
from synccore.testing.gcs_faults import ALWAYS, Delay, LoseAnswer, Reset, Stall, Truncate


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer so and do nothing."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class EndIn:
    """Take the request, let the operation take its time and end so, and leave all as it was."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class NeverEnd:
    """Take the request, and never end the operation."""


Fault = Refuse | EndIn | NeverEnd | LoseAnswer | Reset | Truncate | Stall | Delay

REFUSALS: Mapping[str, Callable[[str], Refusal]] = {
    "quota": lambda value: quota_exceeded(value or "N2_CPUS"),
    "stock-out": lambda value: stock_out("proj1", value or "us-central1-a", elsewhere=("us-central1-b",)),
    "permission": lambda value: permission_denied(value or "compute.instances.create", "projects/proj1"),
    "api-disabled": lambda _: api_disabled(),
    "rate-limit": lambda _: rate_limited(),
    "rate-exceeded": lambda _: operation_rate_exceeded(),
    "unauthenticated": lambda _: unauthenticated(),
}
"""What a command line may call a refusal, with the value that it may give after ``=``."""

FAULTS: Mapping[str, Callable[[str], Fault]] = {
    "never-end": lambda _: NeverEnd(),
    "lose-answer": lambda value: LoseAnswer(int(value) if value else None),
    "reset": lambda _: Reset(),
    "truncate": lambda value: Truncate(int(value or 0)),
    "stall": lambda value: Stall(int(value or 0)),
    "delay": lambda value: Delay(float(value or 1)),
}
"""Likewise, what is no refusal."""

_PLANNED = re.compile(
    r"(?P<late>later-)?(?P<kind>[a-z-]+|[0-9]{3})(?:=(?P<value>[^:]*))?(?::(?P<call>[a-zA-Z]+\.[a-zA-Z]+))?(?::(?P<times>[0-9]+|always))?"
)


def planned(text: str) -> tuple[Fault, str | None, int]:
    """Return what *text*, as ``quota=N2_CPUS:instances.insert:2``, says: which fault, of which call, how many times.

    A status as ``503``, and each of `REFUSALS`, is answered at once; with ``later-`` before it, the operation ends so.

    Raises:
        ValueError: it says nothing of that kind.
    """
    match = _PLANNED.fullmatch(text)
    if match is None:
        raise ValueError(f"the fault {text!r} is not [later-]KIND[=VALUE][:CALL][:TIMES]")
    kind, value = match["kind"], match["value"] or ""
    times = sys.maxsize if match["times"] == ALWAYS else int(match["times"] or 1)
    if kind.isdecimal() or kind in REFUSALS:
        refusal = unavailable(int(kind)) if kind.isdecimal() else REFUSALS[kind](value)
        return (EndIn if match["late"] else Refuse)(refusal), match["call"], times
    if kind not in FAULTS or match["late"]:
        known = ", ".join([*REFUSALS, *FAULTS])
        raise ValueError(f"the fault {text!r} is unknown: expected a status as 503, or one of {known}")
    return FAULTS[kind](value), match["call"], times
