import threading
from collections.abc import Callable

import pytest

from epic_lab.kernel.attempt import Attempt, CalledOffError, Patience
from synccore.pullreport import PullReport

ENDLESS = Patience(first_seconds=60, quiet_seconds=60, whole_seconds=60)
NONE = Patience(first_seconds=0, quiet_seconds=0, whole_seconds=0)
REPORT = PullReport(repos=())


class Steps:
    """Work that goes from step to step when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.began = threading.Event()

    def __call__(self, first: Callable[[Attempt], None], then: Callable[[Attempt], None]) -> Attempt:
        def work(attempt: Attempt) -> PullReport:
            first(attempt)
            self.began.set()
            assert self.go.wait(60)
            then(attempt)
            return REPORT

        attempt = Attempt(work)
        assert self.began.wait(60)
        return attempt


def nothing(_attempt: Attempt) -> None:
    pass


def test_the_report_of_work_that_ends_in_time_is_returned() -> None:
    attempt = Attempt(lambda _: REPORT)
    assert attempt.wait(ENDLESS)
    assert attempt.has_ended
    assert attempt.report() is REPORT


def test_what_the_work_raises_is_raised_where_its_report_is_asked_for() -> None:
    def work(_attempt: Attempt) -> PullReport:
        raise MemoryError

    attempt = Attempt(work)
    assert attempt.wait(ENDLESS)
    with pytest.raises(MemoryError):
        attempt.report()


def test_called_off_work_cannot_begin_to_write() -> None:
    steps = Steps()
    attempt = steps(Attempt.heard, Attempt.begin_writing)
    assert not attempt.wait(NONE)
    assert attempt.has_heard
    assert attempt.call_off()
    steps.go.set()
    assert attempt.wait(ENDLESS)
    with pytest.raises(CalledOffError):
        attempt.report()


def test_work_that_writes_cannot_be_called_off() -> None:
    steps = Steps()
    attempt = steps(Attempt.begin_writing, nothing)
    assert not attempt.call_off()
    steps.go.set()
    assert attempt.wait(ENDLESS)
    assert attempt.report() is REPORT


@pytest.mark.parametrize(
    ("first", "patience"),
    [
        (nothing, Patience(first_seconds=0.01, quiet_seconds=60, whole_seconds=60)),
        (Attempt.heard, Patience(first_seconds=60, quiet_seconds=0.01, whole_seconds=60)),
        (Attempt.heard, Patience(first_seconds=60, quiet_seconds=60, whole_seconds=0.01)),
    ],
    ids=["first", "quiet", "whole"],
)
def test_each_part_of_the_patience_ends_the_wait(first: Callable[[Attempt], None], patience: Patience) -> None:
    steps = Steps()
    attempt = steps(first, nothing)
    assert not attempt.wait(patience)
    steps.go.set()


def test_signs_of_life_extend_the_wait() -> None:
    def work(attempt: Attempt) -> PullReport:
        for _ in range(30):
            attempt.heard()
            threading.Event().wait(0.05)
        return REPORT

    assert Attempt(work).wait(Patience(first_seconds=1, quiet_seconds=1, whole_seconds=60))
