"""The suite's own Compute Engine: that it fails as it is told, in the words of the service."""

import json
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests
from compute_clients import PROJECT, ZONE, Clients, body
from google.api_core import exceptions
from google.cloud import compute_v1

from epic_lab.testing.compute.faults import EndIn, Fault, NeverEnd, Refuse, planned
from epic_lab.testing.compute.refusals import (
    Refusal,
    already_exists,
    api_disabled,
    condition_not_met,
    invalid_state,
    no_such_address,
    not_found,
    not_ready,
    operation_rate_exceeded,
    permission_denied,
    quota_exceeded,
    rate_limited,
    service_account_denied,
    stock_out,
    unavailable,
)
from epic_lab.testing.compute_server import ComputeServer
from synccore.testing.gcs_faults import Delay, LoseAnswer, Reset, Stall, Truncate

PATH = f"projects/{PROJECT}/zones/{ZONE}/instances/ann-1"
REFUSALS: dict[str, tuple[Refusal, type[exceptions.GoogleAPICallError], str]] = {
    "quota": (quota_exceeded("N2_CPUS", limit=8), exceptions.Forbidden, "quotaExceeded"),
    "global quota": (quota_exceeded("GPUS_ALL_REGIONS", region=None), exceptions.Forbidden, "quotaExceeded"),
    "stock-out": (stock_out(PROJECT, ZONE, elsewhere=["b"]), exceptions.ServiceUnavailable, "backendError"),
    "permission": (permission_denied("compute.instances.create", PATH), exceptions.Forbidden, "forbidden"),
    "service account": (
        service_account_denied("lab@proj1.iam.gserviceaccount.com"),
        exceptions.BadRequest,
        "SERVICE_ACCOUNT_ACCESS_DENIED",
    ),
    "api": (api_disabled(), exceptions.Forbidden, "accessNotConfigured"),
    "rate": (rate_limited(), exceptions.Forbidden, "rateLimitExceeded"),
    "operation rate": (operation_rate_exceeded(), exceptions.Forbidden, "rateLimitExceeded"),
    "500": (unavailable(500), exceptions.InternalServerError, "internalError"),
    "503": (unavailable(503), exceptions.ServiceUnavailable, "backendError"),
    "taken": (already_exists(PATH), exceptions.Conflict, "alreadyExists"),
    "missing": (not_found(PATH), exceptions.NotFound, "notFound"),
    "address": (no_such_address(), exceptions.NotFound, "notFound"),
    "not ready": (not_ready(PATH), exceptions.BadRequest, "resourceNotReady"),
    "state": (invalid_state(PATH, "It sleeps."), exceptions.BadRequest, "invalidState"),
    "condition": (condition_not_met(), exceptions.PreconditionFailed, "conditionNotMet"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_at_once_makes_nothing(compute: ComputeServer, cloud: Clients, name: str) -> None:
    refusal, kind, reason = REFUSALS[name]
    compute.inject(Refuse(refusal), call="instances.insert")
    with pytest.raises(kind) as caught:
        cloud.insert(body("ann-1"))
    assert caught.value.errors[0]["reason"] == reason
    assert refusal.message in caught.value.message
    assert compute.service.machines == {}
    cloud.launch("ann-1")


@pytest.mark.parametrize("name", REFUSALS)
def test_an_operation_that_ends_in_a_refusal_leaves_nothing(compute: ComputeServer, cloud: Clients, name: str) -> None:
    refusal = REFUSALS[name][0]
    compute.inject(EndIn(refusal), call="instances.insert")
    operation = cloud.insert(body("ann-1"))
    assert not operation.error.errors
    assert cloud.get("ann-1").status == "PROVISIONING"
    done = cloud.wait(operation)
    assert done.http_error_status_code == refusal.status
    assert [it.code for it in done.error.errors] == [refusal.code or refusal.reason]
    assert compute.service.machines == {}
    assert compute.service.disks == {}


def test_a_quota_says_which_and_how_much_in_both_ways(compute: ComputeServer, cloud: Clients) -> None:
    compute.service.limits["N2_CPUS"] = 3
    cloud.launch("ann-1")
    done = cloud.wait(cloud.insert(body("ann-2")))
    (told,) = done.error.errors
    info = told.error_details[0].quota_info
    assert (told.code, info.metric_name, info.limit) == ("QUOTA_EXCEEDED", "compute.googleapis.com/n2_cpus", 3)
    assert dict(info.dimensions) == {"region": "us-central1"}
    compute.service.told_at_once = True
    with pytest.raises(exceptions.Forbidden) as caught:
        cloud.insert(body("ann-2"))
    told_at_once = caught.value.errors[0]
    assert (told_at_once["code"], told_at_once["reason"]) == ("QUOTA_EXCEEDED", "quotaExceeded")
    assert told_at_once["errorDetails"][0]["quotaInfo"]["limit"] == 3
    assert list(compute.service.machines) == [(ZONE, "ann-1")]


def test_a_zone_without_stock_says_where_there_is_some_in_both_ways(compute: ComputeServer, cloud: Clients) -> None:
    compute.service.stocked_out |= {ZONE, "us-central1-b"}
    (told,) = cloud.wait(cloud.insert(body("ann-1"))).error.errors
    assert told.code == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
    assert told.error_details[2].error_info.metadatas["zonesAvailable"] == "us-central1-c,us-central1-f"
    compute.service.told_at_once = True
    with pytest.raises(exceptions.ServiceUnavailable) as caught:
        cloud.insert(body("ann-1"))
    assert caught.value.errors[0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
    cloud.launch("ann-1", zone="us-central1-c")


@pytest.mark.parametrize(("verbs", "status"), [(("stop", "start"), "TERMINATED"), (("suspend", "resume"), "SUSPENDED")])
def test_a_machine_that_cannot_run_again_stays_as_it_was(
    compute: ComputeServer, cloud: Clients, launched: str, verbs: tuple[str, str], status: str
) -> None:
    cloud.wait(cloud.change(verbs[0], launched))
    compute.service.stocked_out.add(ZONE)
    assert cloud.wait(cloud.change(verbs[1], launched)).error.errors
    assert cloud.get(launched).status == status
    compute.service.stocked_out.clear()
    cloud.wait(cloud.change(verbs[1], launched))
    compute.service.timeline.pass_time(10)
    assert cloud.get(launched).status == "RUNNING"


@pytest.mark.parametrize(
    ("permission", "act"),
    [
        ("compute.instances.create", lambda cloud: cloud.insert(body("ann-2"))),
        ("compute.subnetworks.useExternalIp", lambda cloud: cloud.insert(body("ann-2"))),
        ("compute.instances.get", lambda cloud: cloud.get("ann-1")),
        ("compute.instances.suspend", lambda cloud: cloud.change("suspend", "ann-1")),
        ("compute.instances.delete", lambda cloud: cloud.change("delete", "ann-1")),
        ("compute.instances.list", lambda cloud: list(cloud.instances.aggregated_list(project=PROJECT))),
    ],
)
def test_a_permission_that_lacks_is_named(
    compute: ComputeServer, cloud: Clients, launched: str, permission: str, act: Callable[[Clients], object]
) -> None:
    act_on = compute.service.machines.copy()
    compute.denied_permissions.add(permission)
    with pytest.raises(exceptions.Forbidden, match=f"Required '{permission}' permission for 'projects/{PROJECT}"):
        act(cloud)
    assert compute.service.machines == act_on


def test_the_right_to_use_the_service_account_is_asked_for(compute: ComputeServer, cloud: Clients) -> None:
    compute.denied_permissions.add("iam.serviceAccounts.actAs")
    with pytest.raises(exceptions.BadRequest, match=r"iam\.serviceAccountUser"):
        cloud.insert(body("ann-1"))


def test_an_api_that_is_not_enabled_answers_nothing(compute: ComputeServer, cloud: Clients) -> None:
    compute.enabled = False
    with pytest.raises(exceptions.Forbidden) as caught:
        cloud.get("ann-1")
    assert caught.value.reason == "SERVICE_DISABLED"
    assert caught.value.metadata["service"] == "compute.googleapis.com"


def test_another_project_and_another_token_are_not_known(compute: ComputeServer, cloud: Clients) -> None:
    with pytest.raises(exceptions.NotFound, match="projects/proj2"):
        cloud.projects.get(project="proj2")
    compute.tokens = {"right"}
    url = f"{compute.url}/compute/v1/projects/{PROJECT}"
    tokens = ("right", "wrong")
    answers = [requests.get(url, headers={"Authorization": f"Bearer {it}"}, timeout=20) for it in tokens]
    assert [it.status_code for it in answers] == [200, 401]
    assert answers[1].json()["error"]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("fault", [LoseAnswer(), Truncate(10)])
def test_a_lost_answer_leaves_what_was_done_and_the_same_id_finds_it(
    compute: ComputeServer, cloud: Clients, fault: Fault
) -> None:
    compute.inject(fault, call="instances.insert")
    request_id = str(uuid.uuid4())
    with pytest.raises((requests.RequestException, exceptions.GoogleAPICallError)):
        cloud.insert(body("ann-1"), request_id=request_id)
    assert list(compute.service.machines) == [(ZONE, "ann-1")]
    assert not cloud.wait(cloud.insert(body("ann-1"), request_id=request_id)).error.errors
    assert compute.calls["instances.insert"] == 2
    with pytest.raises(exceptions.Conflict):
        cloud.insert(body("ann-1"))


def test_a_reset_connection_leaves_nothing(compute: ComputeServer, cloud: Clients) -> None:
    compute.inject(Reset(), call="instances.insert")
    with pytest.raises(requests.ConnectionError):
        cloud.insert(body("ann-1"))
    assert compute.service.machines == {}


def test_an_answer_that_stalls_does_not_come(compute: ComputeServer, cloud: Clients) -> None:
    compute.inject(Stall(5), call="instances.insert")
    asked = compute_v1.InsertInstanceRequest(
        project=PROJECT, zone=ZONE, instance_resource=compute_v1.Instance.from_json(json.dumps(body("ann-1")))
    )
    with pytest.raises(requests.RequestException):
        cloud.instances.insert_unary(request=asked, retry=None, timeout=0.2)
    assert list(compute.service.machines) == [(ZONE, "ann-1")]


def test_an_operation_may_never_end(compute: ComputeServer, cloud: Clients) -> None:
    compute.inject(NeverEnd(), call="instances.insert")
    operation = cloud.insert(body("ann-1"))
    for _ in range(3):
        operation = cloud.wait(operation)
    assert operation.status == compute_v1.Operation.Status.RUNNING
    assert cloud.get("ann-1").status == "PROVISIONING"


def test_a_wait_may_end_before_the_operation_does(compute: ComputeServer, cloud: Clients) -> None:
    compute.service.wait_seconds = 4
    operation = cloud.insert(body("ann-1"))
    seen = [cloud.wait(operation).status.name for _ in range(2)]
    assert seen == ["RUNNING", "DONE"]


def test_a_fault_hits_the_requests_that_it_is_meant_for(compute: ComputeServer, cloud: Clients) -> None:
    compute.inject(Refuse(unavailable()), call="instances.insert", name="ann-2", times=2)
    compute.inject(Refuse(rate_limited()), call="instances.insert", zone="us-east1-b")
    cloud.launch("ann-1")
    for _ in range(2):
        with pytest.raises(exceptions.ServiceUnavailable):
            cloud.insert(body("ann-2"))
    cloud.launch("ann-2")
    with pytest.raises(exceptions.Forbidden):
        cloud.insert(body("ann-3", zone="us-east1-b"), zone="us-east1-b")
    compute.inject(Refuse(unavailable()))
    compute.heal()
    cloud.launch("ann-3", zone="us-east1-b")


def test_a_request_id_belongs_to_one_request(compute: ComputeServer, cloud: Clients) -> None:
    request_id = str(uuid.uuid4())
    cloud.insert(body("ann-1"), request_id=request_id)
    for asked, given in ((body("ann-2"), request_id), (body("ann-2"), "1"), (body("ann-2"), str(uuid.UUID(int=0)))):
        with pytest.raises(exceptions.BadRequest, match="requestId"):
            cloud.insert(asked, request_id=given)


def _gpu(count: int = 1) -> list[dict[str, Any]]:
    return [{"acceleratorType": f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": count}]


@pytest.mark.parametrize(
    "change",
    [
        {"machineType": f"zones/{ZONE}/machineTypes/n9-standard-2"},
        {"machineType": "zones/us-east1-b/machineTypes/n2-standard-2"},
        {"labels": {"Owner": "ann"}},
        {"networkInterfaces": []},
        {"disks": []},
        {"scheduling": {"provisioningModel": "SPOT", "onHostMaintenance": "MIGRATE"}},
        {"scheduling": {"provisioningModel": "SPOT", "automaticRestart": True}},
        {"scheduling": {"maxRunDuration": {"seconds": "60"}}},
        {"machineType": f"zones/{ZONE}/machineTypes/n1-standard-4", "guestAccelerators": _gpu()},
        {"guestAccelerators": _gpu(), "scheduling": {"onHostMaintenance": "TERMINATE"}},
    ],
)
def test_a_machine_that_cannot_be_is_refused(compute: ComputeServer, cloud: Clients, change: dict[str, Any]) -> None:
    with pytest.raises(exceptions.BadRequest):
        cloud.insert({**body("ann-1"), **change})
    assert compute.service.machines == {}


@pytest.mark.parametrize(
    ("zone", "parameters"),
    [
        (ZONE, {"sourceImage": "projects/ubuntu-os-cloud/global/images/family/ubuntu-9904"}),
        (
            ZONE,
            {"sourceImage": "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64", "diskSizeGb": "5"},
        ),
        (ZONE, {"sourceImage": "ubuntu"}),
        (ZONE, {"diskType": f"zones/{ZONE}/diskTypes/floppy"}),
    ],
)
def test_a_disk_that_cannot_be_is_refused(
    compute: ComputeServer, cloud: Clients, zone: str, parameters: dict[str, Any]
) -> None:
    asked = body("ann-1")
    asked["disks"][0]["initializeParams"] = parameters
    with pytest.raises((exceptions.BadRequest, exceptions.NotFound)):
        cloud.insert(asked, zone=zone)
    assert compute.service.machines == {}


def test_a_machine_with_a_gpu_cannot_be_suspended(compute: ComputeServer, cloud: Clients) -> None:
    scheduling = {"onHostMaintenance": "TERMINATE"}
    cloud.launch("ann-1", machine_type="n1-standard-4", guestAccelerators=_gpu(), scheduling=scheduling)
    compute.service.timeline.pass_time(10)
    with pytest.raises(exceptions.BadRequest, match="do not support suspend"):
        cloud.change("suspend", "ann-1")


def test_an_unknown_zone_is_refused(compute: ComputeServer, cloud: Clients) -> None:
    with pytest.raises(exceptions.BadRequest, match="Unknown zone"):
        cloud.insert(body("ann-1", zone="us-moon1-a"), zone="us-moon1-a")


@pytest.mark.parametrize(
    ("text", "fault", "call", "times"),
    [
        ("503", Refuse(unavailable(503)), None, 1),
        ("quota=N2_CPUS:instances.insert:2", Refuse(quota_exceeded("N2_CPUS")), "instances.insert", 2),
        ("later-stock-out:instances.insert", EndIn(planned("stock-out")[0].refusal), "instances.insert", 1),  # type: ignore[union-attr]
        ("lose-answer:instances.delete:always", LoseAnswer(), "instances.delete", sys.maxsize),
        ("delay=2", Delay(2.0), None, 1),
    ],
)
def test_a_fault_can_be_written_in_a_word(text: str, fault: Fault, call: str | None, times: int) -> None:
    assert planned(text) == (fault, call, times)


@pytest.mark.parametrize("text", ["flood", "later-reset", "503:insert", "", "quota:instances.insert:-1"])
def test_a_word_that_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the fault"):
        planned(text)


def test_it_serves_by_hand_until_it_is_terminated() -> None:
    command = [
        sys.executable,
        "-m",
        "epic_lab.testing.compute_server",
        "--project",
        "p1",
        "--fault",
        "503:zones.list:1",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        name, _, url = server.stdout.readline().strip().partition("=")
        assert name == "GCP_COMPUTE_ENDPOINT"
        statuses = [requests.get(f"{url}/compute/v1/projects/p1/zones", timeout=20).status_code for _ in range(2)]
        assert statuses == [503, 200]
        with urllib.request.urlopen(f"{url}/_kit/log") as answer:
            assert json.load(answer)["calls"] == {"zones.list": 2}
    finally:
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=20)
    assert (server.returncode, said) == (0, ("", ""))
