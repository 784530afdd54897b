"""Who recorded a snapshot, when, and from which commit.

Invariant: pure data, and light to import: a kernel that finds nothing changed loads this and not the format's modules.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

from synccore.digest import Digest
from synccore.gitfacts import GitFacts

SnapshotId = NewType("SnapshotId", Digest)


class Author(NamedTuple):
    """Who records a snapshot: a person on a machine."""

    user: str
    host: str


class Provenance(NamedTuple):
    """Where a snapshot comes from.

    Attributes:
        author: who uploaded it.
        at_ms: when, by the author's clock, in milliseconds since 1970.
        git: the commit it is based on; ``None`` for a plain folder.
    """

    author: Author
    at_ms: int
    git: GitFacts | None
