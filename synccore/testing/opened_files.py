"""Which files a process opens.

Invariant: Python itself announces each of them (`sys.addaudithook`), so that nothing is opened unseen, by whatever call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path


class OpenedFiles:
    """Which files below a directory this process opens; a try for one that is not there is none."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._names: list[str] = []
        sys.addaudithook(self._note)

    def during(self, root: Path, act: Callable[[], object]) -> list[str]:
        """Return the paths below *root* that *act* opened; those opened by a directory's handle by their names alone."""
        self._root, self._names = str(root), []
        try:
            act()
        finally:
            self._root = None
        return self._names

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" or self._root is None:
            return
        name = arguments[0]
        if isinstance(name, bytes):
            self._names.append(name.decode())
        elif isinstance(name, str) and name.startswith(self._root + "/") and Path(name).is_file():
            self._names.append(name[len(self._root) + 1 :])
