"""How a list of paths came about, kept with what was found at them.

Invariant: it is known only of a list that follows from what it names and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


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
