"""Asking whether the head has moved, while git is still at a tree of which nothing seems to have changed.

Invariant: whoever wants the answer gets that of the storage, error or not; whoever wants none is not told of one.
"""

from __future__ import annotations

import threading

from synccore.refs import HeadAt, NoHead
from synccore.store import Store


class AskingHead:
    """A question to *store* about its head, asked in a thread once it seems to be needed.

    An interrupt waits for no answer.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._about: HeadAt | None = None
        self._thread: threading.Thread | None = None
        self._newer: HeadAt | NoHead | None = None
        self._error: Exception | None = None

    def begin(self, about: HeadAt) -> None:
        """Ask whether the head is still what *about* says."""
        self._about = about
        self._thread = threading.Thread(target=self._ask, args=(about,), name="head", daemon=True)
        self._thread.start()

    def _ask(self, about: HeadAt) -> None:
        try:
            self._newer = self._store.newer_head(about)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is wanted
            self._error = error

    def settle(self) -> None:
        """Wait for the answer if there was a question: its connection is wanted for something else."""
        if self._thread is not None:
            self._thread.join()

    def finish(self, about: HeadAt | NoHead) -> HeadAt | NoHead | None:
        """Return what `Store.newer_head` says of *about*, asking now if it was not asked before."""
        if about is not self._about:
            return self._store.newer_head(about)
        self.settle()
        self._about = None
        if self._error is not None:
            raise self._error
        return self._newer
