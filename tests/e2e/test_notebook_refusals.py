"""What Compute Engine refuses, as somebody at a terminal meets it: one message, what to do, and the cloud's code to search for."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebook_actor import ZONE, Researcher

from epic_lab.testing.compute.faults import EndIn
from epic_lab.testing.compute.refusals import operation_rate_exceeded, unavailable
from epic_lab.testing.compute.service import Mutation
from epic_lab.testing.compute_server import ComputeServer

LAUNCH = ("launch", "cpu", "--no-wait")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_quota_is_named_with_its_limit_what_is_used_and_where_to_ask(
    compute: ComputeServer, ann: Researcher, launched: str, *, at_once: bool
) -> None:
    compute.service.limits["N2_CPUS"] = 6
    compute.service.told_at_once = at_once
    message, hint = ann.refused("quota-exceeded", 5, "launch", "second", "--no-wait")
    for word in ("N2_CPUS", "us-central1", "6", "4", "QUOTA_EXCEEDED"):
        assert word in message
    assert "https://console.cloud.google.com/iam-admin/quotas?project=proj1" in hint
    assert list(compute.service.machines) == [(ZONE, "ann-cpu")]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_stock_out_names_the_zones_that_were_tried_and_what_else_there_is(
    compute: ComputeServer, ann: Researcher, *, at_once: bool
) -> None:
    compute.service.stocked_out |= {ZONE, "us-central1-b"}
    compute.service.told_at_once = at_once
    message, hint = ann.refused("out-of-stock", 5, *LAUNCH, "--zone", f"{ZONE},us-central1-b")
    for word in (ZONE, "us-central1-b", "n2-standard-4", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"):
        assert word in message
    assert "us-central1-c" in hint
    assert compute.service.machines == {}


@pytest.mark.parametrize(
    ("permission", "role"),
    [
        ("compute.instances.create", "roles/compute.instanceAdmin.v1"),
        ("compute.instances.list", "roles/compute.viewer"),
        ("iam.serviceAccounts.actAs", "roles/iam.serviceAccountUser"),
    ],
)
def test_a_permission_is_named_with_the_role_that_grants_it(
    compute: ComputeServer, ann: Researcher, permission: str, role: str
) -> None:
    compute.denied_permissions.add(permission)
    message, hint = ann.refused("no-permission", 5, *LAUNCH)
    assert permission in message
    assert role in hint


def test_an_api_that_is_not_enabled_comes_with_the_command_that_enables_it(
    compute: ComputeServer, ann: Researcher
) -> None:
    compute.enabled = False
    message, hint = ann.refused("api-disabled", 5, "list")
    assert "SERVICE_DISABLED" in message
    assert "gcloud services enable compute.googleapis.com --project=proj1" in hint
    said = ann.run("list")
    assert (said.code, said.out) == (5, "")
    assert said.err.splitlines()[0] == f"error: {message}"
    assert said.err.count("error:") == 1


def test_a_name_that_is_taken_is_said_before_anything_is_asked_for(
    compute: ComputeServer, ann: Researcher, launched: str
) -> None:
    message, hint = ann.refused("name-taken", 3, *LAUNCH, "--zone", "us-central1-b")
    assert ZONE in message
    assert "epic-notebook status ann-cpu" in hint
    assert compute.calls["instances.insert"] == 0


def test_a_name_that_is_not_there_comes_with_the_nearest(
    compute: ComputeServer, ann: Researcher, launched: str
) -> None:
    message, hint = ann.refused("no-machine", 4, "suspend", "cpi")
    assert "ann-cpi" in message
    assert "ann-cpu" in hint
    assert compute.calls["instances.suspend"] == 0


@pytest.mark.parametrize(
    ("before", "verb", "remedy"), [("suspended", "stop", "resume"), ("stopped", "resume", "start")]
)
def test_a_wrong_state_is_named_with_what_comes_first(
    compute: ComputeServer, ann: Researcher, before: str, verb: str, remedy: str
) -> None:
    body = ann.report(*LAUNCH, "--dry-run")["request"]
    with compute.service.lock:
        compute.service.insert(ZONE, body, Mutation(kind="insert"))
        compute.service.timeline.pass_time(60)
        change = compute.service.suspend if before == "suspended" else compute.service.stop
        change(ZONE, "ann-cpu", Mutation(kind="change"))
        compute.service.timeline.pass_time(60)
    message, hint = ann.refused("wrong-state", 3, verb, "cpu")
    assert before in message
    assert f"epic-notebook {remedy} ann-cpu" in hint


def test_a_machine_with_a_gpu_is_not_suspended_and_stop_is_proposed(compute: ComputeServer, ann: Researcher) -> None:
    ann.report("launch", "gpu", "n1-standard-8", "--gpu", "t4", "--no-wait")
    message, hint = ann.refused("cannot-suspend", 1, "suspend", "gpu")
    assert "nvidia-tesla-t4" in message
    assert "epic-notebook stop ann-gpu" in hint
    assert compute.calls["instances.suspend"] == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((*LAUNCH, "--zone", "us-east1-d", "--gpu", "t4"), "nvidia-tesla-t4"),
        (("launch", "cpu", "n9-standard-4", "--no-wait"), "n9-standard-4"),
        ((*LAUNCH, "--zone", "us-moon1-a"), "us-moon1-a"),
        ((*LAUNCH, "--image", "projects/ubuntu-os-cloud/global/images/ubuntu-9904"), "ubuntu-9904"),
    ],
)
def test_what_the_cloud_does_not_have_is_named(
    compute: ComputeServer, ann: Researcher, words: tuple[str, ...], named: str
) -> None:
    message, _ = ann.refused("no-such-resource", 4, *words)
    assert named in message
    assert compute.service.machines == {}


def test_another_project_is_not_found(compute: ComputeServer, ann: Researcher) -> None:
    ann.configure(compute.url, GCP_PROJECT_ID="proj2")
    message, hint = ann.refused("no-such-resource", 4, "list")
    assert "proj2" in message
    assert "GCP_PROJECT_ID" in hint


def test_a_cloud_that_cannot_be_reached_is_a_matter_of_the_network(compute: ComputeServer, ann: Researcher) -> None:
    ann.configure("http://127.0.0.1:1")
    message, hint = ann.refused("cloud-unreachable", 5, "list")
    assert "no connection" in message
    assert "network" in hint
    assert compute.log == []


def test_an_operation_that_fails_is_told_as_it_is(compute: ComputeServer, ann: Researcher) -> None:
    compute.inject(EndIn(unavailable(500)), call="instances.insert")
    message, hint = ann.refused("cloud-unavailable", 5, *LAUNCH)
    assert "INTERNAL_ERROR" in message
    # It ended, once and for all: nothing was tried again, and nothing is in doubt.
    assert "several tries" not in message
    assert "may have been done" not in hint
    compute.inject(EndIn(operation_rate_exceeded()), call="instances.insert")
    message, _ = ann.refused("rate-limited", 5, *LAUNCH)
    assert "RESOURCE_OPERATION_RATE_EXCEEDED" in message
    assert "waiting did not help" not in message


@pytest.mark.parametrize(
    "words", [("launch", "Über"), ("launch", "cpu-"), ("launch", "x" * 63), ("launch", "cpu", "--label", "A=b")]
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    compute: ComputeServer, ann: Researcher, words: tuple[str, ...]
) -> None:
    said = ann.run(*words)
    assert said.code == 2, said
    assert compute.log == []


@pytest.mark.parametrize("key", ["GCP_PROJECT_ID", "GCP_ZONE", "GCP_GCS_SCRIPTS_BASE_PATH", "SYNCCODE_USERNAME"])
def test_a_key_that_is_missing_is_named_before_anything_is_sent(
    compute: ComputeServer, ann: Researcher, key: str
) -> None:
    ann.configure(compute.url, **{key: ""})
    message, _ = ann.refused("missing-key", 1, *LAUNCH)
    assert key in message
    assert compute.log == []


def test_without_gcloud_a_session_says_so(
    compute: ComputeServer, ann: Researcher, launched: str, tmp_path: Path
) -> None:
    ann.variables["PATH"] = str(tmp_path)
    said = ann.run("ssh", launched)
    assert said.code == 1, said
    assert "gcloud" in said.err
