"""Doing things in other threads, a bounded number at a time, with results in order.

Invariant: no more than the window is ever in flight, so memory does not grow with the number of items.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from synccore.workers import Outcome, Workers

T = TypeVar("T")
R = TypeVar("R")


def windowed(
    workers: Workers,
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    count: int,
    weight: Callable[[T], int] = lambda _item: 0,
    weight_limit: int = 0,
) -> Iterator[R]:
    """Yield ``work(item)`` for each item in order, computed ahead by *workers*.

    At most *count* items are in flight, and, unless it is a single one, no more than *weight_limit* by *weight*. When the
    consumer stops, or an item raises, what has not begun is cancelled.
    """
    flying: deque[tuple[Outcome[R], int]] = deque()
    load = 0
    try:
        for item in items:
            size = weight(item)
            while flying and (len(flying) >= count or load + size > weight_limit > 0):
                outcome, done = flying.popleft()
                load -= done
                yield outcome.result()
            flying.append((workers.submit(work, item), size))
            load += size
        while flying:
            yield flying.popleft()[0].result()
    finally:
        for outcome, _ in flying:
            outcome.cancel()
