"""Letting several actors use one storage in turns that a test chooses.

Invariant: a storage call happens whole, and only in a turn of its actor; once the chosen turns are over each of the rest runs
to its end, one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from synccore.backends.base import Backend, Found, Listed, Unchanged, Version
from synccore.digest import Digest
from synccore.keys import Key

_T = TypeVar("_T")

Turn = tuple[str, int]
"""An actor, and how many storage calls it may make before the next turn begins."""


class Turns:
    """Keeps to an order of turns.

    Args:
        order: the turns; an actor that has ended is passed over.
        between: called whenever a turn is over, before the next begins.
    """

    def __init__(self, order: Sequence[Turn], between: Callable[[], object] = lambda: None) -> None:
        self._left = list(order)
        self._between = between
        self._running: list[str] = []
        self._changed = threading.Condition()

    def run(self, actors: Mapping[str, Callable[[], object]]) -> dict[str, BaseException]:
        """Let all of *actors* run to their end, and return what each of them raised, if anything."""
        self._running = list(actors)
        raised: dict[str, BaseException] = {}

        def play(name: str, act: Callable[[], object]) -> None:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - it is handed to the test
                raised[name] = error
            finally:
                with self._changed:
                    self._running.remove(name)
                    self._changed.notify_all()

        threads = [threading.Thread(target=play, args=item, daemon=True) for item in actors.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "the actors wait for each other"
        return raised

    def call(self, name: str, act: Callable[[], _T]) -> _T:
        """Do *act*, a storage call of the actor *name*, when it is its turn."""
        with self._changed:
            self._changed.wait_for(lambda: self._current() == name)
            try:
                return act()
            finally:
                self._count()
                self._changed.notify_all()

    def _count(self) -> None:
        if not self._left:
            return
        (name, calls), *rest = self._left
        self._left = [(name, calls - 1), *rest] if calls > 1 else rest
        if calls == 1:
            self._between()

    def _current(self) -> str:
        while self._left and self._left[0][0] not in self._running:
            self._left.pop(0)
        return self._left[0][0] if self._left else self._running[0]


class TurnTaking:
    """The storage *inner* as the actor *name* has it."""

    def __init__(self, inner: Backend, turns: Turns, name: str) -> None:
        self._inner = inner
        self._turns = turns
        self._name = name

    @property
    def base_url(self) -> str:
        """The inner backend's."""
        return self._inner.base_url

    def warm(self, calls: int = 1) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: the inner backend is everybody's."""

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get in a turn of ours."""
        return self._turns.call(self._name, lambda: self._inner.get(key, unless=unless))

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get a part in a turn of ours."""
        return self._turns.call(self._name, lambda: self._inner.get_range(key, start, length))

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        """Put in a turn of ours."""
        return self._turns.call(self._name, lambda: self._inner.put(key, data, replacing=replacing, digest=digest))

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete in a turn of ours."""
        self._turns.call(self._name, lambda: self._inner.delete(key, expecting=expecting))

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List in a turn of ours, all at once."""
        return iter(self._turns.call(self._name, lambda: list(self._inner.keys(prefix))))

    def now_seconds(self) -> float:
        """Look at the clock in a turn of ours."""
        return self._turns.call(self._name, self._inner.now_seconds)
