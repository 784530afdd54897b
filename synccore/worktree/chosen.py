"""What a look has chosen, and how that came about.

Invariant: how a list came about is known only of one that follows from what is named here and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from synccore.problem import Problem
from synccore.treepath import TreePath

# The number of these rules: a list that was made by others is made anew. Whoever changes what the same answers of git and the
# same configuration lead to counts it up.
RULES = 1


class Chosen(NamedTuple):
    """How the paths of a selection came about.

    Attributes:
        key: a digest of all that they followed from but the directories; empty where that cannot be told.
        directories: those that lie above them; each was one itself, and no link.
        executable: that of the selection.
    """

    key: bytes
    directories: Sequence[str]
    executable: frozenset[str] | None


NOTHING_CHOSEN = Chosen(b"", (), None)


class Selection(NamedTuple):
    """The paths of a tree that take part.

    Attributes:
        paths: sorted, each once. A tracked file that is gone from the disk is among them, and so is what is no regular
            file: whoever reads the paths finds out.
        executable: which of them are executable, where the disk cannot tell (Windows, ``core.fileMode=false``);
            ``None`` where the disk's mode bits decide.
        problems: what could not be listed.
        is_git: whether the root is, or lies in, a git work tree whose rules were followed.
    """

    paths: Sequence[TreePath]
    executable: frozenset[TreePath] | None
    problems: tuple[Problem, ...]
    is_git: bool
