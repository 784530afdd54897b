"""Asking whether the head has moved, while everything else is still being found out of a tree of which nothing seems to have changed.

Invariant: whoever wants the answer gets that of the storage, error or not; whoever wants none is not told of one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from synccore.refs import HeadAt, NoHead
from synccore.store import Store
from synccore.workers import until


class AskingHead:
    """A question to *store* about its head, asked in a thread once it seems to be needed.

    An interrupt waits for no answer.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._about: HeadAt | None = None
        self._is_answered = threading.Event()
        self._newer: HeadAt | NoHead | None = None
        self._error: Exception | None = None

    def begin_if(self, seems_needed: Callable[[], bool]) -> None:
        """Ask whether the head is still what this machine has seen last, if *seems_needed*, which may take its time, says so."""

        def ask() -> None:
            seen = self._store.state.seen()
            if seen is not None and seems_needed():
                self._ask(seen.at)

        self._start(ask)

    def begin(self, about: HeadAt) -> None:
        """Ask whether the head is still what *about* says, if nothing has been asked yet."""
        if self._about is None:
            self._start(lambda: self._ask(about))

    def _start(self, ask: Callable[[], None]) -> None:
        threading.Thread(target=ask, name="head", daemon=True).start()

    def _ask(self, about: HeadAt) -> None:
        with self._lock:
            if self._about is not None:
                return
            self._about = about
        try:
            self._newer = self._store.newer_head(about)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is wanted
            self._error = error
        self._is_answered.set()

    def settle(self) -> None:
        """Wait for the answer if there was a question: its connection is wanted for something else."""
        if self._about is not None:
            until(self._is_answered.wait)

    def finish(self, about: HeadAt | NoHead) -> HeadAt | NoHead | None:
        """Return what `Store.newer_head` says of *about*, asking now if it was not asked before."""
        asked = self._about
        if asked is None or not isinstance(about, HeadAt) or about.version != asked.version:
            return self._store.newer_head(about)
        until(self._is_answered.wait)
        if self._error is not None:
            raise self._error
        return self._newer
