"""What a pull says of what it did.

Invariant: pure data, and light to import.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import NamedTuple

from synccore.provenance import Provenance, SnapshotId
from synccore.treepath import TreePath
from synccore.worktree.machine import TreeState


class PullOutcome(str, Enum):
    """What a pull did for one repository."""

    UNCHANGED = "unchanged"
    UPDATED = "updated"
    CREATED = "created"
    NO_LONGER_UPDATED = "no-longer-updated"


class Saved(NamedTuple):
    """Somebody's edit that stood in the way, and where it was saved."""

    path: str
    saved_as: Path


class RepoPull(NamedTuple):
    """What a pull did for one repository.

    Attributes:
        repo: its name.
        outcome: whether there was anything to do.
        snapshot: the snapshot that its tree is at now.
        provenance: who uploaded that, when, from which commit.
        files: how many entries it has.
        size_bytes: the sum of their sizes.
        written: paths written.
        removed: paths removed.
        saved: edits found on this machine, moved aside before they were replaced.
    """

    repo: str
    outcome: PullOutcome
    snapshot: SnapshotId
    provenance: Provenance
    files: int
    size_bytes: int
    written: tuple[TreePath, ...] = ()
    removed: tuple[TreePath, ...] = ()
    saved: tuple[Saved, ...] = ()


class PullReport(NamedTuple):
    """What a pull did, one line for each repository that this machine has now, by name."""

    repos: tuple[RepoPull, ...]


def unchanged(repo: str, tree: TreeState) -> RepoPull:
    """Return the line of a repository to which nothing was done."""
    return RepoPull(
        repo=repo,
        outcome=PullOutcome.NO_LONGER_UPDATED if tree.is_stopped else PullOutcome.UNCHANGED,
        snapshot=tree.snapshot,
        provenance=tree.provenance,
        files=tree.files,
        size_bytes=tree.size_bytes,
    )
