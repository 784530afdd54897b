"""One path that could not take part, and why.

Invariant: a path is never skipped in silence; whatever leaves one out makes a `Problem` (or a `Note`, where the path does
take part and the user should merely know).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class ProblemKind(str, Enum):
    """Why a path could not take part. Append only."""

    NOT_UTF8 = "not-utf8"
    BAD_NAME = "bad-name"
    COLLIDES = "collides"
    UNREADABLE = "unreadable"
    UNSTABLE = "unstable"
    SPECIAL_FILE = "special-file"
    LINK_LEAVES_TREE = "link-leaves-tree"
    EMPTY_TREE = "empty-tree"


class Problem(NamedTuple):
    r"""A path with its trouble.

    Attributes:
        kind: the stable code.
        path: for people: relative to the tree's root, undecodable bytes shown as ``\\xNN``.
        detail: what was found, as the rest of a sentence that begins with the path.
    """

    kind: ProblemKind
    path: str
    detail: str
