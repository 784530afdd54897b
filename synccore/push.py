"""Carry working trees into the store: scan, compare with what the store has, store what is missing, move the head."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from synccore.gitfacts import GitFacts
from synccore.problem import Problem
from synccore.snapshot import SnapshotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A working tree to push.

    Attributes:
        repo: the name it has in the store.
        root: where it is.
        exclusion: a regular expression matched at the beginning of relative paths; what matches is left out.
    """

    repo: str
    root: Path
    exclusion: str | None = None


class PushOutcome(str, Enum):
    """What a push did for one repository."""

    UNCHANGED = "unchanged"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepoPush:
    """What a push did for one repository.

    Attributes:
        repo: its name.
        outcome: whether there was anything to do.
        snapshot: the snapshot that the store has now.
        previous: the one it had before, or ``None``.
        files: how many files, links included, the snapshot has.
        size_bytes: the sum of their sizes.
        added, modified, deleted: paths that differ from the previous snapshot.
        git: what the snapshot's record says of git; ``None`` where nothing was published or there is no git.
        notes: what the user should know about paths that did take part, such as a link that leaves the tree.
    """

    repo: str
    outcome: PushOutcome
    snapshot: SnapshotId
    previous: SnapshotId | None
    files: int
    size_bytes: int
    added: int
    modified: int
    deleted: int
    git: GitFacts | None
    notes: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushReport:
    """What a push did.

    Attributes:
        repos: one line each, in the order asked for.
        stored_bytes: how many bytes were put into the store.
        folded: whether the journal was moved out of the head on the way.
    """

    repos: tuple[RepoPush, ...]
    stored_bytes: int
    folded: bool
