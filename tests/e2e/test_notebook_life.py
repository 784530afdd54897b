"""A machine's life, from the installed commands to a Compute Engine that lets nothing pass which its API does not know."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from notebook_actor import ZONE, Researcher, finished, in_order

from epic_lab.testing.compute.faults import EndIn, Fault, NeverEnd, Refuse
from epic_lab.testing.compute.refusals import rate_limited, stock_out, unavailable
from epic_lab.testing.compute.service import Mutation
from epic_lab.testing.compute_server import ComputeServer
from synccore.testing.gcs_faults import LoseAnswer, Reset, Truncate


def machines(ann: Researcher) -> dict[str, Any]:
    return {it["name"]: it for it in ann.report("list")["machines"]}


@pytest.mark.slow
def test_a_machine_lives(compute: ComputeServer, ann: Researcher) -> None:
    made = ann.report("launch", "cpu", "n2-standard-8", "300", "--wait", "--label", "project=folding")
    assert (made["readiness"], made["machine"]["state"]) == ("ready", "running")
    assert (made["machine"]["machine_type"], made["machine"]["disk_gb"]) == ("n2-standard-8", 300)

    assert machines(ann)["ann-cpu"]["labels"] == {"project": "folding"}
    running = ann.report("status", "cpu")
    assert running["setup"]["ready"]
    assert running["machine"]["address"]

    assert ann.report("suspend", "cpu")["after"] == "suspended"
    asleep = machines(ann)["ann-cpu"]
    assert (asleep["state"], asleep["address"]) == ("suspended", None)
    assert 0 < asleep["price"]["now_hour"] < running["machine"]["price"]["now_hour"]
    assert ann.report("resume", "ann-cpu")["before"] == "suspended"

    boot = ann.report("logs", "cpu")
    assert "epic-lab: ready" in boot["text"]
    assert ann.report("logs", "cpu", "--start", str(boot["next"]))["text"] == ""

    assert ann.report("resize", "cpu", "--disk", "400")["machine"]["disk_gb"] == 400
    assert ann.report("stop", "cpu")["after"] == "stopped"
    resized = ann.report("resize", "cpu", "n2-highmem-4")
    assert resized["before"]["machine_type"] == "n2-standard-8"
    assert ann.report("start", "cpu")["done"] == "start"
    assert ann.report("wait", "cpu")["machine"]["machine_type"] == "n2-highmem-4"

    assert ann.report("terminate", "cpu", "--yes")["after"] is None
    assert machines(ann) == {}
    assert compute.service.disks == {}


def test_a_launch_tells_what_it_does_until_jupyterlab_answers(compute: ComputeServer, ann: Researcher) -> None:
    compute.service.seconds_a_look = 15.0
    said = ann.run("launch", "cpu", "--wait")
    assert said.code == 0, said
    assert in_order(said.err, ["n2-standard-4", "$", "estimate", f"creating ann-cpu in {ZONE}", "boots", "step ", "/9"])
    assert in_order(said.out, ["ann-cpu", "ready after"])


def test_a_dry_run_asks_nobody_and_prints_what_a_launch_asks_for(compute: ComputeServer, ann: Researcher) -> None:
    words = ("launch", "spotty", "n2-standard-4", "100", "spot", "--label", "a=b")
    planned = ann.report(*words, "--dry-run")
    assert compute.log == []
    ann.report(*words, "--no-wait")
    (asked,) = compute.asked("instances.insert")
    assert asked.body == planned["request"]
    assert asked.body["scheduling"]["provisioningModel"] == "SPOT"


def test_every_change_has_a_request_id_of_its_own(compute: ComputeServer, ann: Researcher, launched: str) -> None:
    for verb in ("suspend", "resume"):
        ann.report(verb, launched)
    ids = [it.query.get("requestId") for it in compute.log if it.call in {"instances.suspend", "instances.resume"}]
    assert len(ids) == len(set(ids)) == 2
    assert all(ids)


def test_what_is_done_already_is_said_and_asked_for_once(
    compute: ComputeServer, ann: Researcher, launched: str
) -> None:
    ann.report("suspend", launched)
    again = ann.report("suspend", launched)
    assert (again["done"], again["before"], again["after"]) == (None, "suspended", "suspended")
    assert ann.run("suspend", launched).out == "ann-cpu  is suspended already; nothing to do\n"
    assert compute.calls["instances.suspend"] == 1


def test_a_command_waits_for_what_is_under_way(compute: ComputeServer, ann: Researcher, launched: str) -> None:
    compute.service.seconds_a_look = 5.0
    compute.service.suspend(ZONE, "ann-cpu", Mutation(kind="suspend"))
    assert ann.report("resume", launched)["before"] == "suspending"
    assert compute.service.machines[ZONE, "ann-cpu"].status in {"STAGING", "RUNNING"}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_launch_goes_to_the_next_zone_where_one_has_no_stock(
    compute: ComputeServer, ann: Researcher, *, at_once: bool
) -> None:
    compute.service.told_at_once = at_once
    compute.service.stocked_out |= {ZONE, "us-central1-b"}
    zones = f"{ZONE},us-central1-b,us-central1-c,us-central1-f"
    made = ann.report("launch", "cpu", "--zone", zones, "--no-wait")
    assert made["zones_without_stock"] == [ZONE, "us-central1-b"]
    assert made["machine"]["zone"] == "us-central1-c"
    assert [it.zone for it in compute.asked("instances.insert")] == [ZONE, "us-central1-b", "us-central1-c"]
    # It is found where it is, which is not where the configuration looks first.
    assert ann.report("status", "cpu")["machine"]["zone"] == "us-central1-c"


@pytest.mark.parametrize(
    "fault",
    [LoseAnswer(), LoseAnswer(503), Truncate(30), Reset(), Refuse(unavailable()), Refuse(rate_limited())],
    ids=repr,
)
def test_a_launch_gets_over_what_passes_and_makes_one_machine(
    compute: ComputeServer, ann: Researcher, fault: Fault
) -> None:
    compute.inject(fault, call="instances.insert")
    assert ann.report("launch", "cpu", "--no-wait")["machine"]["name"] == "ann-cpu"
    asked = compute.asked("instances.insert")
    assert len(asked) == 2
    assert len({it.query["requestId"] for it in asked}) == 1
    assert list(compute.service.machines) == [(ZONE, "ann-cpu")]


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("instances.suspend", LoseAnswer(503)),
        ("zoneOperations.wait", Refuse(unavailable())),
        ("instances.get", Reset()),
    ],
    ids=lambda it: it if isinstance(it, str) else type(it).__name__,
)
def test_a_suspension_gets_over_what_passes(
    compute: ComputeServer, ann: Researcher, launched: str, call: str, fault: Fault
) -> None:
    compute.inject(fault, call=call)
    assert ann.report("suspend", launched)["after"] == "suspended"


def test_interrupting_a_launch_leaves_the_machine_and_says_so(compute: ComputeServer, ann: Researcher) -> None:
    compute.inject(NeverEnd(), call="instances.insert")
    process = ann.begin("launch", "cpu", "--wait")
    compute.wait_for("zoneOperations.wait", times=2)
    process.send_signal(signal.SIGINT)
    said = finished(process)
    assert said.code == 130, said
    assert "goes on" in said.err
    assert "epic-notebook wait ann-cpu" in said.err
    assert compute.calls["instances.delete"] == 0
    assert list(compute.service.machines) == [(ZONE, "ann-cpu")]


def test_following_the_logs_survives_a_buffer_that_forgets_and_ends_with_the_machine(
    compute: ComputeServer, ann: Researcher
) -> None:
    compute.service.serial_kept_bytes = 300
    compute.service.boot_script = [(float(at), f"line {at:03}") for at in range(200)]
    ann.report("launch", "cpu", "--no-wait")
    compute.service.seconds_a_look = 45.0
    process = ann.begin("logs", "cpu", "-f")
    compute.wait_for("instances.getSerialPortOutput", times=4)
    with compute.service.lock:
        compute.service.stop(ZONE, "ann-cpu", Mutation(kind="stop"))
    said = finished(process)
    assert said.code == 0, said
    lines = said.out.splitlines()
    assert lines[-1] == "line 199"
    assert len(lines) == len(set(lines))
    whole = [line for line in lines if line.startswith("line ")]
    assert whole == sorted(whole)
    assert "kept no more" in said.err
    assert "does not run any more" in said.err


def test_a_machine_is_ended_only_when_it_is_meant(compute: ComputeServer, ann: Researcher, launched: str) -> None:
    ann.refused("not-confirmed", 1, "terminate", launched)
    assert compute.calls["instances.delete"] == 0
    assert ann.run("terminate", launched, "--yes").code == 0
    assert compute.service.machines == {}


def test_a_machine_is_reached_by_the_lab_s_domain(compute: ComputeServer, ann: Researcher, launched: str) -> None:
    ann.configure(compute.url, GCP_PROXY_DOMAIN="lab.example.org")
    said = ann.run("open", launched, "--print")
    assert (said.code, said.out) == (0, "https://lab.example.org/ann-cpu\n")
    ann.report("suspend", launched)
    ann.refused("wrong-state", 3, "open", launched, "--print")


def test_machines_that_are_not_the_lab_s_are_left_alone(compute: ComputeServer, ann: Researcher, launched: str) -> None:
    foreign = {**compute.service.machines[ZONE, "ann-cpu"].asked, "name": "ann-web", "tags": {"items": ["web"]}}
    compute.service.insert(ZONE, foreign, Mutation(kind="insert"))
    compute.service.timeline.pass_time(60)
    assert list(machines(ann)) == ["ann-cpu"]
    ann.refused("no-machine", 4, "terminate", "web", "--yes")
    assert (ZONE, "ann-web") in compute.service.machines


def test_a_start_without_stock_leaves_the_machine_stopped(
    compute: ComputeServer, ann: Researcher, launched: str
) -> None:
    ann.report("stop", launched)
    compute.inject(EndIn(stock_out("proj1", ZONE)), call="instances.start")
    ann.refused("out-of-stock", 5, "start", launched)
    assert ann.report("status", launched)["machine"]["state"] == "stopped"


def test_two_launches_at_once_make_one_machine(compute: ComputeServer, ann: Researcher) -> None:
    said = [finished(it) for it in [ann.begin("launch", "cpu", "--no-wait") for _ in range(2)]]
    assert sorted(it.code for it in said) == [0, 3], said
    assert list(compute.service.machines) == [(ZONE, "ann-cpu")]


def test_a_spot_machine_that_is_taken_away_in_its_boot_ends_the_wait(compute: ComputeServer, ann: Researcher) -> None:
    compute.service.boot_script = compute.service.boot_script[:5]
    process = ann.begin("launch", "cheap", "n2-standard-4", "100", "spot", "--wait", "--json")
    compute.wait_for("instances.getSerialPortOutput")
    with compute.service.lock:
        compute.service.preempt(ZONE, "ann-cheap")
    said = finished(process)
    assert said.code == 3, said
    error = said.document["error"]
    assert "spot" in error["message"]
    assert "epic-notebook start ann-cheap" in error["hint"]


def test_a_set_up_that_fails_ends_the_wait_with_its_step(compute: ComputeServer, ann: Researcher) -> None:
    compute.service.boot_script = [
        *compute.service.boot_script[:9],
        (41.0, "google_metadata_script_runner[981]: startup-script exit status 1"),
    ]
    message, hint = ann.refused("setup-failed", 1, "launch", "cpu", "--wait")
    assert "step 2/9, gcc and node" in message
    assert "epic-notebook logs ann-cpu" in hint
