"""Checks and what they find.

Invariant: a finding that something is wrong says what to do about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from epic_lab.doctor.case import Case


class Mark(str, Enum):
    """How a check ended. Append only: the codes are public."""

    OK = "ok"
    WRONG = "wrong"
    CANNOT_TELL = "cannot-tell"
    NOT_APPLICABLE = "not-applicable"
    NOT_TRIED = "not-tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        mark: how it ended.
        detail: what was found, in one line.
        remedy: what to type or do, possibly several lines; ``None`` where nothing need be done.
        facts: the same as named values, for programs.
    """

    mark: Mark
    detail: str
    remedy: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


def ok(detail: str, **facts: object) -> Finding:
    """Say that all is well."""
    return Finding(mark=Mark.OK, detail=detail, facts=facts)


def wrong(detail: str, *, remedy: str, **facts: object) -> Finding:
    """Say that something must be mended."""
    return Finding(mark=Mark.WRONG, detail=detail, remedy=remedy, facts=facts)


def cannot_tell(detail: str, *, remedy: str | None = None, **facts: object) -> Finding:
    """Say that it could not be found out; it may well work."""
    return Finding(mark=Mark.CANNOT_TELL, detail=detail, remedy=remedy, facts=facts)


def not_applicable(detail: str) -> Finding:
    """Say why this does not matter here."""
    return Finding(mark=Mark.NOT_APPLICABLE, detail=detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing to look at.

    Attributes:
        name: a stable code.
        asks: the question that it answers, for the documentation.
        look: answers it. A `LabError` or `SyncError` that it raises is its finding: something is wrong.
        needs: the checks without which it makes no sense; it is not tried where one of them was wrong or not tried.
        after: the checks whose end it waits for, whatever they find.
    """

    name: str
    asks: str
    look: Callable[[Case], Finding]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A check that has ended, and how long it took."""

    check: Check
    finding: Finding
    elapsed_seconds: float = 0.0
