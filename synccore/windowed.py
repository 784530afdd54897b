"""Doing things in other threads, a bounded number at a time, with results in order.

Invariant: no more than the window is ever in flight, so memory does not grow with the number of items.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def workers(count: int, name: str) -> Iterator[Executor]:
    """Have *count* threads for the length of a ``with`` block, which ends when their work has, or, after an error, what had begun.

    An interrupt waits for nothing: somebody wants to leave, and what hangs in a thread may hang for long.
    """
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(count, thread_name_prefix=name)
    try:
        yield executor
    except BaseException as error:
        executor.shutdown(wait=not isinstance(error, KeyboardInterrupt), cancel_futures=True)
        raise
    executor.shutdown()


def windowed(
    executor: Executor,
    work: Callable[[T], R],
    items: Iterable[T],
    *,
    count: int,
    weight: Callable[[T], int] = lambda _item: 0,
    weight_limit: int = 0,
) -> Iterator[R]:
    """Yield ``work(item)`` for each item in order, computed ahead by *executor*.

    At most *count* items are in flight, and, unless it is a single one, no more than *weight_limit* by *weight*. When the
    consumer stops, or an item raises, what has not begun is cancelled.
    """
    flying: deque[tuple[Future[R], int]] = deque()
    load = 0
    try:
        for item in items:
            size = weight(item)
            while flying and (len(flying) >= count or load + size > weight_limit > 0):
                future, done = flying.popleft()
                load -= done
                yield future.result()
            flying.append((executor.submit(work, item), size))
            load += size
        while flying:
            yield flying.popleft()[0].result()
    finally:
        for future, _ in flying:
            future.cancel()
