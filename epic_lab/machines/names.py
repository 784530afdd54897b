"""The names of machines: `<username>-<suffix>`, as the cloud takes them.

Invariant: a `MachineName` is a name that Compute Engine accepts, so nothing is sent that must be refused for its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NewType

from epic_lab.errors import LabError, LabErrorKind

MachineName = NewType("MachineName", str)

LONGEST = 63
# https://cloud.google.com/compute/docs/naming-resources
_PATTERN = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_MANY_NEAR = 3


def owner_prefix(username: str) -> str:
    """Return what the names of *username*'s machines begin with, hyphen included.

    The cloud knows neither capitals nor dots nor underscores, so ``Ana.B`` has machines like ``ana-b-gpu``.

    Raises:
        LabError: no machine's name can begin like that.
    """
    prefix = re.sub(r"[._]", "-", username.lower()) + "-"
    if _PATTERN.fullmatch(prefix + "x") is None:
        raise LabError(
            LabErrorKind.BAD_MACHINE_NAME,
            f"machines are named <username>-<suffix>, and no machine's name can begin with {prefix!r}: expected a letter first and "
            "then letters, digits and hyphens",
            hint="Change SYNCCODE_USERNAME in ~/.epic/lab.",
            username=username,
        )
    return prefix


def machine_name(given: str, username: str) -> MachineName:
    """Return the whole name of the machine that *username* calls *given*, with or without the prefix.

    Raises:
        LabError: the cloud has no machines of such a name.
    """
    prefix = owner_prefix(username)
    name = given if given.startswith(prefix) else prefix + given
    if _PATTERN.fullmatch(name) is None or name == prefix:
        longest = LONGEST - len(prefix)
        raise LabError(
            LabErrorKind.BAD_MACHINE_NAME,
            f"{given!r} cannot be a machine's name: expected 1 to {longest} small letters, digits and hyphens, the last one no hyphen",
            hint=f"A name like {prefix}gpu-1, or gpu-1 for short.",
            given=given,
        )
    return MachineName(name)


def owner_of(name: str, username: str) -> str:
    """Say whose machine *name* is: *username* where it has that prefix, otherwise what stands before its first hyphen."""
    return username if name.startswith(owner_prefix(username)) else name.partition("-")[0]


def nearest(name: str, existing: Iterable[str]) -> tuple[str, ...]:
    """Return those of *existing* that *name* may have been meant for, the nearest first."""
    from difflib import get_close_matches

    return tuple(get_close_matches(name, list(existing), n=_MANY_NEAR, cutoff=0.6))
