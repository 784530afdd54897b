"""What each command means in each state."""

from __future__ import annotations

import dataclasses

import pytest

from epic_lab.machines.machine import Machine, State
from epic_lab.machines.machine_types import Gpus
from epic_lab.machines.states import Do, Nothing, Refuse, Request, Verb, Wait, decide, unsuspendable

PLACES = {
    Verb.SUSPEND: State.SUSPENDED,
    Verb.RESUME: State.RUNNING,
    Verb.STOP: State.STOPPED,
    Verb.START: State.RUNNING,
    Verb.USE: State.RUNNING,
}
RESTS = {State.RUNNING, State.SUSPENDED, State.STOPPED}


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", State)
def test_every_verb_has_an_answer_for_every_state(verb: Verb, state: State) -> None:
    assert isinstance(decide(verb, state), Do | Nothing | Wait | Refuse)


@pytest.mark.parametrize("verb", PLACES)
def test_who_is_where_the_verb_leads_has_nothing_to_do(verb: Verb) -> None:
    assert decide(verb, PLACES[verb]) == Nothing()


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", State)
def test_nobody_waits_for_what_does_not_come_by_itself(verb: Verb, state: State) -> None:
    decision = decide(verb, state)
    if isinstance(decision, Wait):
        assert state not in RESTS
        assert decision.until in RESTS
        assert not isinstance(decide(verb, decision.until), Wait)


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("state", State)
def test_what_a_refusal_proposes_is_not_itself_refused(verb: Verb, state: State) -> None:
    decision = decide(verb, state)
    if isinstance(decision, Refuse) and decision.remedy in {each.value for each in Verb}:
        assert not isinstance(decide(Verb(decision.remedy), state), Refuse)


@pytest.mark.parametrize(
    ("verb", "state", "decision"),
    [
        (Verb.SUSPEND, State.RUNNING, Do(Request.SUSPEND)),
        (Verb.SUSPEND, State.STAGING, Wait(State.RUNNING)),
        (Verb.SUSPEND, State.SUSPENDING, Wait(State.SUSPENDED)),
        (Verb.RESUME, State.SUSPENDED, Do(Request.RESUME)),
        (Verb.RESUME, State.SUSPENDING, Wait(State.SUSPENDED)),
        (Verb.START, State.STOPPED, Do(Request.START)),
        (Verb.START, State.SUSPENDED, Do(Request.RESUME)),
        (Verb.START, State.STOPPING, Wait(State.STOPPED)),
        (Verb.STOP, State.RUNNING, Do(Request.STOP)),
        (Verb.STOP, State.REPAIRING, Do(Request.STOP)),
        (Verb.RETYPE, State.STOPPED, Do(Request.SET_MACHINE_TYPE)),
        (Verb.TERMINATE, State.SUSPENDED, Do(Request.DELETE)),
        (Verb.TERMINATE, State.UNKNOWN, Do(Request.DELETE)),
    ],
)
def test_the_table(verb: Verb, state: State, decision: object) -> None:
    assert decide(verb, state) == decision


def test_a_stopped_machine_is_not_resumed_for_its_memory_is_gone() -> None:
    assert decide(Verb.RESUME, State.STOPPED) == Refuse("its memory is gone; it can be started anew", "start")


def test_only_a_gpu_is_known_to_forbid_a_suspension() -> None:
    plain = Machine(name="ana-1", zone="us-central1-a", state=State.RUNNING, machine_type="n2-standard-4")
    assert unsuspendable(plain) is None
    assert "nvidia-l4" in str(unsuspendable(dataclasses.replace(plain, gpus=Gpus("nvidia-l4", 1))))


@pytest.mark.parametrize("word", ["STOPPED", "TERMINATED"])
def test_a_stopped_machine_is_known_by_either_of_its_words(word: str) -> None:
    assert State.of(word) is State.STOPPED


def test_a_state_that_is_new_is_unknown_and_no_failure() -> None:
    assert State.of("HIBERNATING") is State.UNKNOWN
