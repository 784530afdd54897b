"""Doing something just before this process opens a certain file: somebody else at work at the worst moment.

Invariant: it happens once for each time it was asked for, at an instant that no scheduling can miss.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Interference:
    """Python's announcement of files that it opens (`sys.addaudithook`); there need be only one, for it cannot be undone."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._act: Callable[[], object] | None = None
        sys.addaudithook(self._note)

    @contextmanager
    def before_opening(self, path: Path, act: Callable[[], object]) -> Iterator[None]:
        """Do *act* before *path* is opened for the first time within the block.

        Raises:
            AssertionError: it never was.
        """
        self._path, self._act = str(path), act
        try:
            yield
            assert self._act is None, f"{path} was not opened"
        finally:
            self._path = self._act = None

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._act is not None and event == "open" and arguments[0] == self._path:
            act, self._act = self._act, None
            act()
