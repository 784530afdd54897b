"""How far a set-up has come, by what a machine writes to its console."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from epic_lab.machines.serial import Part, Setup, missed

KERNEL = "[    0.000000] Linux version 6.14.0-1017-gcp (buildd@lcy02-amd64-044)\r\n"
STEP_1 = "google_metadata_script_runner[981]: startup-script: epic-lab: step 1/9 the jupyter user\r\n"
STEP_3 = "google_metadata_script_runner[981]: startup-script: epic-lab: step 3/9 installing JupyterLab\n"
READY = "google_metadata_script_runner[981]: startup-script: epic-lab: ready\n"
FAILED = "startup-script: epic-lab: failed conda: no space left on device\n"
ENDED = "google_metadata_script_runner[981]: Finished running startup scripts.\n"
EXIT_0 = "google_metadata_script_runner[981]: startup-script exit status 0\n"
EXIT_3 = "google_metadata_script_runner[981]: startup-script exit status 3\n"
LINES = (KERNEL, STEP_1, STEP_3, READY, FAILED, ENDED, EXIT_0, EXIT_3, "anything\n", "epic-lab: step x/9 no\n")


def after(*texts: str) -> Setup:
    return Setup().after("".join(texts))


def test_a_step_says_its_number_and_what_it_does() -> None:
    setup = after(KERNEL, STEP_1, "noise\n", STEP_3)
    assert (setup.step, setup.steps, setup.doing) == (3, 9, "installing JupyterLab")
    assert setup.speaks
    assert not setup.is_ready


def test_it_is_ready_when_it_says_so() -> None:
    assert after(KERNEL, STEP_1, READY).is_ready


def test_a_failure_is_told_with_its_step() -> None:
    setup = after(KERNEL, STEP_3, FAILED, EXIT_3)
    assert setup.failure == "conda: no space left on device"
    assert setup.step == 3
    assert setup.has_ended


def test_a_script_that_ends_badly_without_a_word_has_failed() -> None:
    assert after(KERNEL, EXIT_3).failure == "the start-up script ended with status 3"


def test_a_script_that_says_nothing_of_jupyterlab_has_ended_all_the_same() -> None:
    setup = after(KERNEL, EXIT_0, ENDED)
    assert setup.has_ended
    assert not setup.speaks
    assert setup.failure is None


def test_what_was_said_before_a_boot_is_over() -> None:
    setup = after(KERNEL, STEP_3, READY, KERNEL)
    assert setup == Setup(has_booted=True)


def test_a_step_after_a_failure_means_that_it_is_tried_again() -> None:
    setup = after(KERNEL, STEP_3, FAILED, STEP_3)
    assert setup.failure is None
    assert setup.step == 3


@given(st.lists(st.sampled_from(LINES)), st.lists(st.integers(min_value=0, max_value=400)))
def test_it_is_the_same_however_the_output_is_cut(lines: list[str], cuts: list[int]) -> None:
    text = "".join(lines)
    setup, begin = Setup(), 0
    for cut in sorted({min(cut, len(text)) for cut in cuts} | {len(text)}):
        setup = setup.after(text[begin:cut])
        begin = cut
    assert setup == after(text)


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    assert len(after("x" * 1_000_000).rest) == 0


def test_what_is_kept_no_more_is_counted() -> None:
    assert missed(100, Part(start=250, next=300, text="…")) == 150
    assert missed(100, Part(start=100, next=300, text="…")) == 0


def test_who_asks_for_everything_or_for_the_end_misses_nothing() -> None:
    assert missed(0, Part(start=250, next=300, text="…")) == 0
    assert missed(-50, Part(start=250, next=300, text="…")) == 0
