"""Keeping `sys.path` in step with the synchronised code.

Invariant: only entries that were put there from here are ever taken away again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable


class SearchPath:
    """The entries of `sys.path` that are ours.

    They stand where those of ``PYTHONPATH`` would: after the folder of the notebook, before Python's own.
    """

    def __init__(self) -> None:
        self._ours: list[str] = []

    def become(self, paths: Iterable[str]) -> None:
        """Make *paths* our entries, in their order; what somebody else has put on `sys.path` already stays where it is."""
        before = set(self._ours)
        others = [entry for entry in sys.path if entry not in before]
        taken = set(others)
        self._ours = [path for path in dict.fromkeys(paths) if path not in taken]
        # An interactive Python has the current folder first, as the empty string.
        at = 1 if others[:1] == [""] else 0
        sys.path[:] = others[:at] + self._ours + others[at:]
