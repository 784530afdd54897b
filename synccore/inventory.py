"""What a listing of a user's objects comes to, by kind.

Invariant: only keys that the format knows count as ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from synccore.backends.base import Listed
from synccore.keys import parse_object_key


@dataclass(frozen=True, slots=True)
class Tally:
    """A number of objects and the sum of their stored sizes."""

    count: int
    size_bytes: int


def tally(lines: Iterable[Listed]) -> Tally:
    """Return the sums of *lines*."""
    sizes = [line.size_bytes for line in lines]
    return Tally(len(sizes), sum(sizes))


def tallies(user: str, lines: Iterable[Listed]) -> dict[str, Tally]:
    """Return the sums of those of *lines* that are immutable objects of *user*, by kind: ``bundles``, ``journal``, ``manifests``."""
    kinds: dict[str, list[Listed]] = {}
    for line in lines:
        name = parse_object_key(user, line.key)
        if name is not None:
            kinds.setdefault(name.kind, []).append(line)
    return {kind: tally(kinds[kind]) for kind in sorted(kinds)}
