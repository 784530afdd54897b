"""What git says about the commit that a working tree stands on.

Invariant: pure data; an origin never carries credentials.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_DIRTY_PATHS = 100


class GitFacts(NamedTuple):
    """The commit a working tree is based on, and how far it has moved from it.

    Attributes:
        commit: HEAD's commit in hexadecimal; ``None`` before the first commit.
        branch: the branch's short name; ``None`` on a detached HEAD.
        origin: the URL of the remote ``origin`` without credentials, or ``None``.
        dirty: paths that differ from the commit, untracked ones included, at most `MAX_DIRTY_PATHS` of them.
        dirty_count: how many there are in all.
    """

    commit: str | None
    branch: str | None
    origin: str | None
    dirty: tuple[str, ...] = ()
    dirty_count: int = 0


class Differing(NamedTuple):
    """What git tracks and found to differ from a commit, all of it.

    Attributes:
        commit: HEAD's commit then; ``None`` before the first one.
        paths: relative to the working tree, in order.
    """

    commit: str | None
    paths: tuple[str, ...]
