import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.windowed import windowed
from synccore.workers import Workers


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 5), st.integers(0, 12))
def test_results_come_in_order_and_no_more_than_the_window_is_ever_in_flight(
    items: list[int], count: int, limit: int
) -> None:
    drawn: list[int] = []
    taken = 0
    lock = threading.Lock()

    def source() -> Iterator[int]:
        for item in items:
            yield item
            drawn.append(item)

    with Workers(2, "test") as workers:
        results = windowed(
            workers, lambda item: item * 2, source(), count=count, weight=lambda item: item, weight_limit=limit
        )
        for expected, result in zip(items, results, strict=True):
            assert result == 2 * expected
            with lock:
                flying = drawn[taken:]
            # One more may be drawn, which waits for room.
            assert len(flying) <= count + 1
            if limit:
                assert sum(flying[:-1]) <= limit or len(flying) <= 2
            taken += 1


def test_an_error_comes_in_its_place_and_what_has_not_begun_never_does() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            raise ValueError(item)
        if item == 2:
            gate.wait()
        return item

    with Workers(1, "test") as workers:
        results = windowed(workers, work, range(9), count=5)
        assert next(results) == 0
        with pytest.raises(ValueError, match="1"):
            next(results)
        gate.set()
    assert set(begun) <= {0, 1, 2}


def test_a_consumer_that_stops_cancels_what_has_not_begun() -> None:
    begun: list[int] = []
    gate = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item:
            gate.wait()
        return item

    with Workers(1, "test") as workers:
        results = windowed(workers, work, range(100), count=50)
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        gate.set()
    assert set(begun) <= {0, 1}
