"""Bring working trees to what the head names: one conditional get, then only what differs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from synccore.snapshot import Provenance, SnapshotId
from synccore.treepath import TreePath


class PullOutcome(str, Enum):
    """What a pull did for one repository."""

    UNCHANGED = "unchanged"
    UPDATED = "updated"
    CREATED = "created"
    NO_LONGER_UPDATED = "no-longer-updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Somebody's edit that stood in the way, and where it was saved."""

    path: str
    saved_as: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoPull:
    """What a pull did for one repository.

    Attributes:
        repo: its name.
        outcome: whether there was anything to do.
        snapshot: the snapshot that the working tree is at now; ``None`` only if it was never synchronised.
        provenance: who uploaded that, when, from which commit.
        written: paths written.
        removed: paths removed.
        saved: edits found on this machine, moved aside before they were replaced.
    """

    repo: str
    outcome: PullOutcome
    snapshot: SnapshotId | None
    provenance: Provenance | None
    written: tuple[TreePath, ...] = ()
    removed: tuple[TreePath, ...] = ()
    saved: tuple[Saved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What a pull did, one line for each repository that the head knows or this machine has."""

    repos: tuple[RepoPull, ...]
    fetched_bytes: int
