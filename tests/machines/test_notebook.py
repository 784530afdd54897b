"""The use cases of machines, against a Compute Engine of the tests' own."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from compute_clients import Clients

from epic_lab import notebook_watch
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import launch as launches
from epic_lab.machines.cloud import Access, Cloud
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.stage import Stage
from epic_lab.machines.states import Request, Verb
from epic_lab.notebook import Notebooks
from epic_lab.notebook_launch import Launched, launch
from epic_lab.notebook_watch import Readiness, wait_until_ready
from epic_lab.testing.compute.faults import EndIn, Refuse
from epic_lab.testing.compute.refusals import permission_denied, quota_exceeded, stock_out
from epic_lab.testing.compute_server import ComputeServer

ZONES = ("us-central1-a", "us-central1-b")


class Told(list[Stage]):
    """What a listener heard."""

    def __call__(self, stage: Stage, /) -> None:
        self.append(stage)

    @property
    def said(self) -> list[str]:
        return [stage.doing for stage in self]


@pytest.fixture
def notebooks(compute: ComputeServer) -> Notebooks:
    compute.service.seconds_a_look = 5.0
    cloud = Cloud(Access(project="proj1", endpoint=compute.url))
    return Notebooks(cloud=cloud, username="ann", zone=ZONES[0], domain="lab.example.org", sleep=no_sleep)


def no_sleep(_seconds: float) -> None:
    """Wait for nothing: the server's time passes with each look."""


@pytest.fixture
def told() -> Told:
    return Told()


def made(notebooks: Notebooks, name: str = "gpu", zones: tuple[str, ...] = ZONES, **choices: Any) -> Launched:
    wanted = launches.judged(notebooks.name(name), scripts="gs://lab/scripts", **choices)
    return launch(notebooks, wanted, zones)


def running(notebooks: Notebooks, name: str = "gpu", **choices: Any) -> Machine:
    """Make a machine and let it run."""
    machine = made(notebooks, name, **choices).machine
    while machine.state is not State.RUNNING:
        machine = notebooks.settled(machine)
    return machine


# -- launching ---------------------------------------------------------------------------------------------------------


def test_a_launch_makes_the_machine_in_the_first_zone(notebooks: Notebooks, compute: ComputeServer) -> None:
    launched = made(notebooks)
    assert (launched.machine.name, launched.machine.zone) == ("ann-gpu", "us-central1-a")
    assert launched.without_stock == ()
    assert compute.calls["instances.insert"] == 1


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "by the operation"])
def test_a_zone_without_stock_is_passed_by(notebooks: Notebooks, compute: ComputeServer, *, at_once: bool) -> None:
    compute.service.stocked_out.add("us-central1-a")
    compute.service.told_at_once = at_once
    launched = made(notebooks)
    assert launched.machine.zone == "us-central1-b"
    assert launched.without_stock == ("us-central1-a",)


def test_where_no_zone_has_stock_the_zones_nearby_that_offer_it_are_named(
    notebooks: Notebooks, compute: ComputeServer
) -> None:
    compute.service.stocked_out.update(ZONES)
    with pytest.raises(LabError) as failed:
        made(notebooks, spot=True)
    assert failed.value.kind is LabErrorKind.OUT_OF_STOCK
    assert "has spot n2-standard-4 left now: us-central1-a, us-central1-b" in failed.value.message
    assert "--zone us-central1-c,us-central1-f" in failed.value.hint
    assert compute.service.machines == {}


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "by the operation"])
def test_a_quota_is_explained_with_what_is_in_use(
    notebooks: Notebooks, compute: ComputeServer, *, at_once: bool
) -> None:
    made(notebooks, "one")
    compute.service.limits["N2_CPUS"] = 6
    compute.service.told_at_once = at_once
    with pytest.raises(LabError) as failed:
        made(notebooks, "two")
    assert failed.value.kind is LabErrorKind.QUOTA_EXCEEDED
    assert "N2_CPUS" in failed.value.message
    assert "in us-central1: limit 6, in use 4 (QUOTA_EXCEEDED)" in failed.value.message


def test_a_quota_is_explained_though_its_use_may_not_be_looked_at(notebooks: Notebooks, compute: ComputeServer) -> None:
    compute.service.limits["N2_CPUS"] = 2
    compute.denied_permissions.add("compute.regions.get")
    with pytest.raises(LabError) as failed:
        made(notebooks)
    assert "limit 2 (QUOTA_EXCEEDED)" in failed.value.message


def test_a_name_that_is_taken_in_another_zone_is_taken(notebooks: Notebooks, compute: ComputeServer) -> None:
    made(notebooks, zones=("europe-west4-a",))
    with pytest.raises(LabError) as refused:
        made(notebooks)
    assert refused.value.kind is LabErrorKind.NAME_TAKEN
    assert "in europe-west4-a" in refused.value.message
    assert compute.calls["instances.insert"] == 1


def test_a_launch_knows_which_of_the_users_machines_run_already(notebooks: Notebooks) -> None:
    running(notebooks, "old")
    notebooks.change(Verb.SUSPEND, running(notebooks, "asleep"))
    running(dataclasses.replace(notebooks, username="bob"), "theirs")
    assert [machine.name for machine in made(notebooks, "new").beside] == ["ann-old"]


# -- finding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["gpu", "ann-gpu"])
@pytest.mark.parametrize("zone", ["us-central1-a", "us-east1-b"])
def test_a_machine_is_found_in_any_zone_by_either_name(notebooks: Notebooks, given: str, zone: str) -> None:
    made(notebooks, zones=(zone,))
    assert notebooks.find(given).zone == zone


def test_the_usual_zone_is_asked_for_one_machine_alone(notebooks: Notebooks, compute: ComputeServer) -> None:
    made(notebooks)
    compute.forget()
    notebooks.find("gpu")
    assert compute.calls == {"instances.get": 1}


def test_somebody_elses_machine_is_found_by_its_whole_name(notebooks: Notebooks) -> None:
    made(dataclasses.replace(notebooks, username="bob"), "cpu")
    machine = notebooks.find("bob-cpu")
    assert notebooks.owner(machine) == "bob"


def test_a_machine_that_is_not_the_labs_is_not_found(notebooks: Notebooks, cloud: Clients) -> None:
    cloud.launch("ann-web")
    assert notebooks.every().machines == ()
    with pytest.raises(LabError) as missing:
        notebooks.find("web")
    assert missing.value.kind is LabErrorKind.NO_MACHINE


def test_a_missing_machine_is_answered_with_the_nearest_names(notebooks: Notebooks) -> None:
    made(notebooks)
    with pytest.raises(LabError) as missing:
        notebooks.find("gpo")
    assert missing.value.message == "there is no machine ann-gpo in project proj1"
    assert missing.value.hint == "Did you mean ann-gpu?"


def test_a_name_that_is_near_none_is_answered_with_the_users_own(notebooks: Notebooks) -> None:
    made(notebooks)
    with pytest.raises(LabError) as missing:
        notebooks.find("something-else")
    assert missing.value.hint == "Yours are ann-gpu."


def test_a_name_that_is_there_twice_is_not_chosen_from(notebooks: Notebooks, cloud: Clients) -> None:
    made(notebooks)
    wanted = launches.judged(notebooks.name("gpu"), scripts="gs://lab/scripts")
    request = launches.instance(wanted, project="proj1", zone="us-east1-b")
    notebooks.cloud.wait(notebooks.cloud.insert("us-east1-b", request), within_seconds=60)
    with pytest.raises(LabError) as unclear:
        dataclasses.replace(notebooks, zone=None).find("gpu")
    assert "there are 2 machines called ann-gpu: in us-central1-a, us-east1-b" in unclear.value.message
    assert notebooks.find("gpu").zone == "us-central1-a"


# -- a life ------------------------------------------------------------------------------------------------------------


def test_a_machine_is_taken_through_its_life(notebooks: Notebooks, told: Told) -> None:
    machine = running(notebooks)
    life = [
        (Verb.SUSPEND, State.RUNNING, State.SUSPENDED, Request.SUSPEND),
        (Verb.SUSPEND, State.SUSPENDED, State.SUSPENDED, None),
        (Verb.RESUME, State.SUSPENDED, State.RUNNING, Request.RESUME),
        (Verb.STOP, State.RUNNING, State.STOPPED, Request.STOP),
        (Verb.STOP, State.STOPPED, State.STOPPED, None),
        (Verb.START, State.STOPPED, State.RUNNING, Request.START),
        (Verb.TERMINATE, State.RUNNING, None, Request.DELETE),
    ]
    for verb, before, after, done in life:
        changed = notebooks.change(verb, machine, tell=told)
        assert (changed.before, changed.done) == (before, done)
        if changed.after in {State.PROVISIONING, State.STAGING}:
            changed = dataclasses.replace(changed, after=notebooks.settled(changed.machine).state)
        machine = changed.machine if changed.after is None else notebooks.find("gpu")
        assert changed.after in {after, State.STAGING}
    assert told.said == [
        "suspending ann-gpu",
        "resuming ann-gpu",
        "stopping ann-gpu",
        "starting ann-gpu",
        "terminating ann-gpu",
    ]
    assert notebooks.every().machines == ()


def test_a_machine_that_is_being_suspended_is_waited_for_and_then_resumed(
    notebooks: Notebooks, cloud: Clients, compute: ComputeServer, told: Told
) -> None:
    running(notebooks)
    compute.service.seconds_a_look = 0.0
    cloud.instances.suspend_unary(project="proj1", zone=ZONES[0], instance="ann-gpu")
    machine = notebooks.find("gpu")
    assert machine.state is State.SUSPENDING
    compute.service.seconds_a_look = 10.0
    changed = notebooks.change(Verb.RESUME, machine, tell=told)
    assert told.said == ["waiting until ann-gpu is suspended", "resuming ann-gpu"]
    assert changed.before is State.SUSPENDING


def test_what_cannot_be_done_is_refused_with_what_can(notebooks: Notebooks) -> None:
    machine = running(notebooks)
    stopped = notebooks.change(Verb.STOP, machine).machine
    with pytest.raises(LabError) as refused:
        notebooks.change(Verb.RESUME, stopped)
    assert refused.value.kind is LabErrorKind.WRONG_STATE
    assert (
        refused.value.message == "ann-gpu is stopped and cannot be resumed: its memory is gone; it can be started anew"
    )
    assert refused.value.hint == "`epic-notebook start ann-gpu` comes first."


def test_a_machine_with_a_gpu_is_not_even_asked_to_suspend(notebooks: Notebooks, compute: ComputeServer) -> None:
    machine = running(notebooks, gpu="t4", zones=("us-central1-a",))
    with pytest.raises(LabError) as refused:
        notebooks.change(Verb.SUSPEND, machine)
    assert refused.value.kind is LabErrorKind.CANNOT_SUSPEND
    assert "nvidia-tesla-t4" in refused.value.message
    assert "epic-notebook stop ann-gpu" in refused.value.hint
    assert "instances.suspend" not in compute.calls


def test_a_machine_that_goes_while_it_is_waited_for_is_gone(
    notebooks: Notebooks, cloud: Clients, compute: ComputeServer
) -> None:
    machine = running(notebooks)
    cloud.instances.delete_unary(project="proj1", zone=ZONES[0], instance="ann-gpu")
    compute.service.timeline.pass_time(60)
    with pytest.raises(LabError) as gone:
        notebooks.settled(machine)
    assert gone.value.message == "ann-gpu in us-central1-a is gone: it was terminated meanwhile"


@pytest.mark.parametrize(
    ("before", "verb", "remedy"),
    [
        (Verb.STOP, Verb.START, "epic-notebook resize ann-gpu n2d-standard-4"),
        (Verb.SUSPEND, Verb.RESUME, "its memory is kept meanwhile"),
    ],
)
def test_a_machine_whose_zone_has_none_left_can_run_nowhere_else(
    notebooks: Notebooks, compute: ComputeServer, before: Verb, verb: Verb, remedy: str
) -> None:
    resting = notebooks.change(before, running(notebooks)).machine
    compute.inject(EndIn(stock_out("proj1", ZONES[0])), call=f"instances.{verb.value}")
    with pytest.raises(LabError) as failed:
        notebooks.change(verb, resting)
    assert failed.value.kind is LabErrorKind.OUT_OF_STOCK
    assert failed.value.message == (
        f"us-central1-a has no n2-standard-4 left now for ann-gpu, which stays {resting.state.said} "
        "(ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS)"
    )
    assert remedy in failed.value.hint
    assert "--zone" not in failed.value.hint


def test_a_quota_that_a_start_meets_is_explained_with_what_is_in_use(
    notebooks: Notebooks, compute: ComputeServer
) -> None:
    stopped = notebooks.change(Verb.STOP, running(notebooks)).machine
    running(notebooks, "other")
    compute.inject(EndIn(quota_exceeded("N2_CPUS", limit=6)), call="instances.start")
    with pytest.raises(LabError, match=r"limit 6, in use \d+ \(QUOTA_EXCEEDED\)"):
        notebooks.change(Verb.START, stopped)


def test_a_disk_only_grows(notebooks: Notebooks) -> None:
    machine = running(notebooks)
    assert notebooks.resize_disk(machine, 200) is False
    assert notebooks.resize_disk(machine, 250) is True
    with pytest.raises(LabError, match="disks only grow"):
        notebooks.resize_disk(notebooks.find("gpu"), 200)


def test_a_type_changes_only_while_the_machine_is_stopped(notebooks: Notebooks) -> None:
    machine = running(notebooks)
    assert notebooks.retype(machine, "n2-standard-4") is False
    with pytest.raises(LabError, match="only a stopped machine can change its type"):
        notebooks.retype(machine, "n2-standard-8")
    stopped = notebooks.change(Verb.STOP, machine).machine
    assert notebooks.retype(stopped, "n2-standard-8") is True
    assert notebooks.find("gpu").machine_type == "n2-standard-8"


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_the_steps_of_the_set_up_are_told_until_jupyterlab_answers(notebooks: Notebooks, told: Told) -> None:
    machine = made(notebooks).machine
    waited = wait_until_ready(notebooks, machine, tell=told)
    assert waited.readiness is Readiness.READY
    assert waited.machine.state is State.RUNNING
    assert "ann-gpu boots" in told.said
    steps = [stage.step for stage in told if stage.step]
    assert steps == sorted(set(steps))
    assert steps[-1] == 9


BOOT = (0.5, "[    0.000000] Linux version 6.14.0-1017-gcp")


def test_a_set_up_that_fails_ends_the_wait(notebooks: Notebooks, compute: ComputeServer) -> None:
    compute.service.boot_script = (
        BOOT,
        (5.0, "epic-lab: step 4/9 JupyterLab"),
        (9.0, "epic-lab: failed pip: no network"),
    )
    with pytest.raises(LabError) as failed:
        wait_until_ready(notebooks, made(notebooks).machine)
    assert failed.value.kind is LabErrorKind.SETUP_FAILED
    assert failed.value.message == "the set-up of ann-gpu failed at step 4/9, JupyterLab: pip: no network"


def test_a_set_up_that_ends_without_jupyterlab_has_failed(notebooks: Notebooks, compute: ComputeServer) -> None:
    ended = (9.0, "google_metadata_script_runner[981]: Finished running startup scripts.")
    compute.service.boot_script = (BOOT, (5.0, "epic-lab: step 4/9 JupyterLab"), ended)
    with pytest.raises(LabError, match="it ended before JupyterLab answered"):
        wait_until_ready(notebooks, made(notebooks).machine)


def test_a_set_up_that_says_nothing_is_waited_for_until_it_ends(notebooks: Notebooks, compute: ComputeServer) -> None:
    compute.service.boot_script = (BOOT, (60.0, "google_metadata_script_runner[981]: startup-script exit status 0"))
    assert wait_until_ready(notebooks, made(notebooks).machine).readiness is Readiness.UNKNOWN


def test_a_machine_that_is_taken_back_ends_the_wait(
    notebooks: Notebooks, compute: ComputeServer, cloud: Clients
) -> None:
    compute.service.boot_script = (BOOT,)
    machine = running(notebooks, spot=True)
    cloud.instances.stop_unary(project="proj1", zone=ZONES[0], instance="ann-gpu")
    compute.service.timeline.pass_time(60)
    with pytest.raises(LabError) as taken:
        wait_until_ready(notebooks, machine)
    assert taken.value.kind is LabErrorKind.WRONG_STATE
    assert "the cloud takes spot machines back" in taken.value.message


def test_a_set_up_that_takes_too_long_goes_on(notebooks: Notebooks, compute: ComputeServer) -> None:
    compute.service.boot_script = (BOOT,)
    with pytest.raises(LabError) as late:
        wait_until_ready(notebooks, running(notebooks), within_seconds=0.3)
    assert late.value.kind is LabErrorKind.STILL_GOING


def test_a_suspended_machine_is_not_waited_for(notebooks: Notebooks) -> None:
    suspended = notebooks.change(Verb.SUSPEND, running(notebooks)).machine
    with pytest.raises(LabError, match="it must run for that"):
        wait_until_ready(notebooks, suspended)


# -- the console -------------------------------------------------------------------------------------------------------


def test_a_console_is_followed_to_the_end_without_a_gap(
    notebooks: Notebooks, compute: ComputeServer, cloud: Clients
) -> None:
    machine = running(notebooks)
    compute.service.seconds_a_look = 30.0
    heard = ""
    for part in notebook_watch.follow(notebooks, machine, start=0):
        assert part.missed_bytes == 0
        heard += part.text
        if "Finished running" in heard and compute.calls["instances.stop"] == 0:
            cloud.instances.stop_unary(project="proj1", zone=ZONES[0], instance="ann-gpu")
    assert heard.count("epic-lab: step ") == 9
    assert heard.index("SeaBIOS") < heard.index("epic-lab: ready")


def test_a_hole_in_a_console_is_told(notebooks: Notebooks, compute: ComputeServer) -> None:
    compute.service.serial_kept_bytes = 300
    machine = running(notebooks)
    first = notebook_watch.console(notebooks, machine, start=0)
    assert first.missed_bytes == 0
    compute.service.timeline.pass_time(300)
    second = notebook_watch.console(notebooks, machine, start=first.next)
    assert second.missed_bytes > 0
    assert second.missed_bytes + len(second.text.encode()) == second.next - first.next


def test_a_machine_that_is_started_anew_has_a_new_console(
    notebooks: Notebooks, compute: ComputeServer, cloud: Clients
) -> None:
    machine = running(notebooks)
    compute.service.timeline.pass_time(300)
    before = notebook_watch.console(notebooks, machine, start=0)
    cloud.instances.stop_unary(project="proj1", zone=ZONES[0], instance="ann-gpu")
    compute.service.timeline.pass_time(60)
    cloud.instances.start_unary(project="proj1", zone=ZONES[0], instance="ann-gpu")
    compute.service.timeline.pass_time(30)
    parts = notebook_watch.follow(notebooks, machine, start=before.next)
    first, second = next(parts), next(parts)
    assert first.is_anew
    assert second.text.startswith("SeaBIOS")


def test_how_far_a_set_up_has_come_is_read_of_running_machines_alone(
    notebooks: Notebooks, compute: ComputeServer
) -> None:
    machine = running(notebooks)
    compute.service.timeline.pass_time(300)
    setup = notebook_watch.setup_of(notebooks, machine)
    assert setup is not None
    assert setup.is_ready
    denied = permission_denied("compute.instances.getSerialPortOutput", "projects/proj1/zones/z/instances/ann-gpu")
    compute.inject(Refuse(denied), call="instances.getSerialPortOutput")
    assert notebook_watch.setup_of(notebooks, machine) is None
    stopped = notebooks.change(Verb.STOP, machine).machine
    assert notebook_watch.setup_of(notebooks, stopped) is None
