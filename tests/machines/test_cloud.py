"""Speaking to Compute Engine: repetitions that are safe, deadlines that are ours, and waits at the right address."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import launch as launches
from epic_lab.machines.cloud import Access, Cloud
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.names import MachineName
from epic_lab.machines.states import Request
from epic_lab.testing.compute.faults import EndIn, NeverEnd, Refuse
from epic_lab.testing.compute.refusals import permission_denied, rate_limited, stock_out, unavailable
from epic_lab.testing.compute_server import ComputeServer
from synccore.backends.patience import Patience
from synccore.errors import BackendError, ErrorKind
from synccore.testing.gcs_faults import LoseAnswer, Reset, Stall

ZONE = "us-central1-a"
ROOT = Path(__file__).parents[2]


def no_sleep(_seconds: float) -> None:
    """Wait for nothing: the server's time passes by its own rules."""


QUICK = Patience(deadline_seconds=30.0, sleep=no_sleep)


@pytest.fixture
def access(compute: ComputeServer) -> Access:
    return Access(project="proj1", endpoint=compute.url, patience=QUICK, connecting=QUICK)


@pytest.fixture
def engine(access: Access) -> Cloud:
    return Cloud(access)


def body(name: str = "ann-7", **choices: Any) -> dict[str, Any]:
    launch = launches.judged(MachineName(name), scripts="gs://lab/scripts", **choices)
    return launches.instance(launch, project="proj1", zone=ZONE)


def made(engine: Cloud, compute: ComputeServer, name: str = "ann-7", **choices: Any) -> Machine:
    engine.wait(engine.insert(ZONE, body(name, **choices)), within_seconds=60)
    compute.service.timeline.pass_time(10)
    machine = engine.machine(ZONE, name)
    assert machine is not None
    return machine


def test_a_machine_comes_back_as_it_was_asked_for(engine: Cloud, compute: ComputeServer) -> None:
    machine = made(engine, compute, machine_type="n2-standard-8", disk_gb=300, spot=True, labels=["a=b"])
    assert machine.state is State.RUNNING
    assert (machine.machine_type, machine.zone, machine.is_spot) == ("n2-standard-8", ZONE, True)
    assert machine.labels == {"a": "b"}
    assert machine.tags == ("epic-lab", "epic-lab-notebooks")
    assert machine.boot_disk is not None
    assert machine.boot_disk.size_gb == 300
    assert machine.address
    assert machine.created_seconds
    assert abs(machine.created_seconds - time.time()) < 86400


def test_the_body_that_was_meant_is_the_body_that_is_sent(engine: Cloud, compute: ComputeServer) -> None:
    engine.insert(ZONE, body(gpu="t4", max_run="2h"))
    [asked] = compute.asked("instances.insert")
    assert asked.body == body(gpu="t4", max_run="2h")


@pytest.mark.parametrize("fault", [LoseAnswer(), Reset(), Refuse(unavailable(503)), Refuse(rate_limited())])
def test_a_launch_whose_answer_is_lost_makes_one_machine(engine: Cloud, compute: ComputeServer, fault: Any) -> None:
    compute.inject(fault, call="instances.insert")
    engine.wait(engine.insert(ZONE, body()), within_seconds=60)
    first, second = compute.asked("instances.insert")
    assert first.query["requestId"] == second.query["requestId"]
    assert len(compute.service.machines) == 1


@pytest.mark.parametrize(
    "request_", [Request.SUSPEND, Request.STOP, Request.DELETE], ids=lambda request: str(request.value)
)
def test_every_change_carries_an_id_by_which_its_repetition_is_known(
    engine: Cloud, compute: ComputeServer, request_: Request
) -> None:
    machine = made(engine, compute)
    call = f"instances.{request_.value}"
    compute.inject(LoseAnswer(), call=call)
    engine.wait(engine.change(machine, request_), within_seconds=60)
    first, second = compute.asked(call)
    assert first.query["requestId"] == second.query["requestId"] != ""


def test_two_changes_have_two_ids(engine: Cloud, compute: ComputeServer) -> None:
    made(engine, compute, "ann-7")
    made(engine, compute, "ann-8")
    first, second = compute.asked("instances.insert")
    assert first.query["requestId"] != second.query["requestId"]


def test_a_disk_grows_and_a_type_changes(engine: Cloud, compute: ComputeServer) -> None:
    machine = made(engine, compute)
    engine.wait(engine.enlarge(machine, "ann-7", 400), within_seconds=60)
    engine.wait(engine.change(machine, Request.STOP), within_seconds=60)
    engine.wait(engine.change(machine, Request.SET_MACHINE_TYPE, machine_type="e2-standard-4"), within_seconds=60)
    now = engine.machine(ZONE, "ann-7")
    assert now is not None
    assert now.state is State.STOPPED
    assert now.machine_type == "e2-standard-4"
    assert now.boot_disk is not None
    assert now.boot_disk.size_gb == 400


def test_an_operation_that_fails_tells_why(engine: Cloud, compute: ComputeServer) -> None:
    compute.inject(EndIn(stock_out("proj1", ZONE)), call="instances.insert")
    operation = engine.insert(ZONE, body())
    with pytest.raises(LabError) as failed:
        engine.wait(operation, within_seconds=60)
    assert failed.value.kind is LabErrorKind.OUT_OF_STOCK


def test_a_stock_out_is_not_tried_again_though_it_is_a_503(engine: Cloud, compute: ComputeServer) -> None:
    compute.inject(Refuse(stock_out("proj1", ZONE)), call="instances.insert")
    with pytest.raises(LabError) as refused:
        engine.insert(ZONE, body())
    assert refused.value.kind is LabErrorKind.OUT_OF_STOCK
    assert compute.calls["instances.insert"] == 1


def test_an_operation_that_never_ends_is_left_when_the_time_is_over(engine: Cloud, compute: ComputeServer) -> None:
    compute.inject(NeverEnd(), call="instances.insert")
    operation = engine.insert(ZONE, body())
    with pytest.raises(LabError) as late:
        engine.wait(operation, within_seconds=0.5)
    assert late.value.kind is LabErrorKind.STILL_GOING
    assert "it goes on in the cloud" in late.value.message


def test_a_wait_goes_to_the_address_that_the_change_went_to(engine: Cloud, compute: ComputeServer) -> None:
    engine.wait(engine.insert(ZONE, body()), within_seconds=60)
    assert compute.calls["zoneOperations.wait"] >= 1


def test_a_server_that_does_not_answer_is_left_after_our_deadline(access: Access, compute: ComputeServer) -> None:
    impatient = Patience(deadline_seconds=0.1)
    engine = Cloud(dataclasses.replace(access, answer_seconds=0.3, patience=impatient))
    compute.inject(Stall(0), call="instances.get", times=9)
    with pytest.raises(LabError) as late:
        engine.machine(ZONE, "ann-7")
    assert late.value.kind is LabErrorKind.CLOUD_UNAVAILABLE


def test_a_server_that_stays_out_of_order_is_given_up(access: Access, compute: ComputeServer) -> None:
    engine = Cloud(dataclasses.replace(access, patience=Patience(deadline_seconds=1.0)))
    compute.inject(Refuse(unavailable(500)), call="instances.get", times=1000)
    with pytest.raises(LabError) as given_up:
        engine.machine(ZONE, "ann-7")
    assert given_up.value.kind is LabErrorKind.CLOUD_UNAVAILABLE
    assert compute.calls["instances.get"] > 1


def test_a_refusal_for_good_is_not_tried_again(engine: Cloud, compute: ComputeServer) -> None:
    denied = permission_denied("compute.instances.get", "projects/proj1/zones/us-central1-a/instances/ann-7")
    compute.inject(Refuse(denied), call="instances.get")
    with pytest.raises(LabError) as refused:
        engine.machine(ZONE, "ann-7")
    assert refused.value.kind is LabErrorKind.NO_PERMISSION
    assert compute.calls["instances.get"] == 1


def test_nobody_at_the_address_is_no_connection(access: Access, compute: ComputeServer) -> None:
    dead = Cloud(dataclasses.replace(access, endpoint="http://127.0.0.1:9", connecting=Patience(deadline_seconds=0.1)))
    with pytest.raises(LabError) as refused:
        dead.machines()
    assert refused.value.kind is LabErrorKind.CLOUD_UNREACHABLE
    assert compute.calls == {}


def test_who_is_not_there_is_none_and_a_project_that_is_not_there_is_an_error(engine: Cloud, access: Access) -> None:
    assert engine.machine(ZONE, "ann-9") is None
    with pytest.raises(LabError) as refused:
        Cloud(dataclasses.replace(access, project="other1")).machine(ZONE, "ann-9")
    assert refused.value.kind is LabErrorKind.NO_SUCH_RESOURCE


def test_all_zones_are_listed(engine: Cloud, compute: ComputeServer) -> None:
    made(engine, compute, "ann-7")
    elsewhere = launches.judged(MachineName("bob-1"), scripts="gs://lab/scripts")
    request = launches.instance(elsewhere, project="proj1", zone="europe-west4-a")
    engine.wait(engine.insert("europe-west4-a", request), within_seconds=60)
    listed = engine.machines()
    assert {(machine.name, machine.zone) for machine in listed.machines} == {
        ("ann-7", ZONE),
        ("bob-1", "europe-west4-a"),
    }
    assert listed.unreachable == ()


def test_a_console_is_read_from_a_position(engine: Cloud, compute: ComputeServer) -> None:
    made(engine, compute)
    first = engine.console(ZONE, "ann-7", 0)
    assert first.text.startswith("SeaBIOS")
    compute.service.timeline.pass_time(300)
    second = engine.console(ZONE, "ann-7", first.next)
    assert second.start == first.next
    assert second.text.rstrip().endswith("Finished running startup scripts.")


def test_zones_with_a_machine_type_are_found(engine: Cloud) -> None:
    zones = engine.zones_offering("n2-standard-4")
    assert ZONE in zones
    assert list(zones) == sorted(zones)
    assert engine.zones_offering("n2-standard-5") == ()


def test_a_limit_says_how_much_of_it_is_in_use(engine: Cloud, compute: ComputeServer) -> None:
    made(engine, compute, machine_type="n2-standard-8")
    assert engine.quota_used("N2_CPUS", "us-central1") == 8
    assert engine.quota_used("CPUS_ALL_REGIONS", None) == 8
    assert engine.quota_used("NO_SUCH_LIMIT", "us-central1") is None


def test_without_credentials_nothing_is_asked(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("epic_lab.machines.cloud._PRODUCT_NAME", tmp_path / "none")
    with pytest.raises(BackendError) as refused:
        Cloud(Access(project="proj1", credentials_file=tmp_path / "none")).machines()
    assert refused.value.kind is ErrorKind.NO_CREDENTIALS


def test_credentials_that_are_not_taken_are_told(compute: ComputeServer, engine: Cloud) -> None:
    compute.tokens = {"somebody"}
    with pytest.raises(BackendError) as refused:
        engine.machines()
    assert refused.value.kind is ErrorKind.NO_CREDENTIALS


LOADING = """
import sys
from epic_lab.machines.cloud import Access, Cloud
cloud = Cloud(Access(project="proj1", endpoint=sys.argv[1]))
assert cloud.machines().machines == ()
services = {name.split(".")[4] for name in sys.modules if name.startswith("google.cloud.compute_v1.services.")}
assert services == {"instances", "zone_operations"}, services  # the latter by the former itself
from google.cloud import compute_v1
assert issubclass(compute_v1.AddressesClient, object)
assert compute_v1.InstancesClient is type(cloud._client("InstancesClient"))
assert not hasattr(compute_v1, "no_such_thing")
"""


def test_only_the_services_that_are_used_are_loaded_and_who_wants_the_others_finds_them(compute: ComputeServer) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", LOADING, compute.url], check=True, cwd=ROOT, timeout=60)
