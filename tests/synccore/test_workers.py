import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.workers import Outcome, Workers, begin, join, until


@given(st.integers(1, 4), st.lists(st.one_of(st.integers(0, 9), st.none()), max_size=30))
def test_all_that_is_submitted_is_done_by_no_more_threads_than_allowed(count: int, items: list[int | None]) -> None:
    seen: set[int] = set()

    def double(item: int | None) -> int:
        seen.add(threading.get_ident())
        if item is None:
            raise ValueError("none")
        return 2 * item

    outcomes: list[Outcome[int]] = []
    with Workers(count, "test") as workers:
        outcomes.extend(workers.submit(double, item) for item in items)
    # Leaving waits for them.
    assert all(outcome.is_there() for outcome in outcomes)
    for item, outcome in zip(items, outcomes, strict=True):
        if item is None:
            with pytest.raises(ValueError, match="none"):
                outcome.result()
        else:
            assert outcome.result() == 2 * item
    assert len(seen) <= count


def test_no_more_threads_are_begun_than_there_is_work_for() -> None:
    names: list[str] = []

    def note() -> None:
        names.append(threading.current_thread().name)

    with Workers(8, "test") as workers:
        for _ in range(5):
            workers.submit(note).result()
            # It takes a moment from there until it waits for more.
            until(lambda _: workers._idle == 1)
    assert names == ["test-0"] * 5


def _gated() -> tuple[threading.Event, threading.Event, Callable[[], None]]:
    begun, gate = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait()

    return begun, gate, work


def test_an_error_waits_for_what_has_begun_and_gives_up_the_rest() -> None:
    begun, gate, work = _gated()
    done: list[str] = []
    workers = Workers(1, "test")
    first = workers.submit(work)
    workers.submit(done.append, "second")
    begun.wait()
    left: list[bool] = []

    def leave() -> None:
        with pytest.raises(ValueError, match="early"), workers:
            raise ValueError("early")
        left.append(first.is_there())

    thread = threading.Thread(target=leave)
    thread.start()
    # It gives up the rest before it waits.
    until(lambda _: not workers._pending)
    assert thread.is_alive()
    gate.set()
    join(thread)
    assert (left, done) == ([True], [])


def test_an_interrupt_waits_for_nothing() -> None:
    begun, gate, work = _gated()
    with pytest.raises(KeyboardInterrupt), Workers(1, "test") as workers:  # noqa: PT012 - what it leaves is the matter
        outcome = workers.submit(work)
        begun.wait()
        raise KeyboardInterrupt
    assert not outcome.is_there()
    gate.set()
    outcome.result()


def test_what_was_cancelled_does_not_begin() -> None:
    begun, gate, work = _gated()
    done: list[str] = []
    with Workers(1, "test") as workers:
        workers.submit(work)
        begun.wait()
        workers.submit(done.append, "cancelled").cancel()
        last = workers.submit(done.append, "last")
        gate.set()
        last.result()
    assert done == ["last"]


def test_a_thread_of_its_own_and_what_it_raises() -> None:
    assert begin("test", lambda: 7).result() == 7
    with pytest.raises(ZeroDivisionError):
        begin("test", lambda: 1 // 0).result()


def test_who_waits_looks_up() -> None:
    turns: list[float] = []

    def wait(seconds: float) -> bool:
        turns.append(seconds)
        return len(turns) == 3

    until(wait)
    assert len(turns) == 3
    # Never without end: an interrupt would not be heard then.
    assert all(0 < seconds <= 1 for seconds in turns)
