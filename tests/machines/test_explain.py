"""The cloud's refusals, told at once or by an operation, as people can act on them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import refusal
from epic_lab.machines.explain import Attempt, explain, role_for, with_usage
from epic_lab.machines.refusal import Refusal, Sort
from epic_lab.testing.compute import refusals
from synccore.errors import BackendError, ErrorKind

ATTEMPT = Attempt(doing="launching ana-1 in us-central1-a", project="proj1", machine="ana-1", changes=True)

TOLD: dict[str, refusals.Refusal] = {
    "quota": refusals.quota_exceeded("N2_CPUS", limit=8),
    "quota of the project": refusals.quota_exceeded("GPUS_ALL_REGIONS", limit=0, region=None),
    "stock-out": refusals.stock_out("proj1", "us-central1-a", elsewhere=("us-central1-b", "us-central1-f")),
    "permission": refusals.permission_denied("compute.instances.create", "projects/proj1/zones/z/instances/ana-1"),
    "service account": refusals.service_account_denied("lab@proj1.iam.gserviceaccount.com"),
    "api": refusals.api_disabled(),
    "credentials": refusals.unauthenticated(),
    "rate": refusals.rate_limited(),
    "operation rate": refusals.operation_rate_exceeded(),
    "503": refusals.unavailable(503),
    "500": refusals.unavailable(500),
    "missing": refusals.not_found("projects/ubuntu-os-cloud/global/images/family/x"),
    "taken": refusals.already_exists("projects/proj1/zones/us-central1-a/instances/ana-1"),
    "not ready": refusals.not_ready("projects/proj1/zones/us-central1-a/instances/ana-1"),
    "state": refusals.invalid_state("projects/proj1/zones/us-central1-a/instances/ana-1", "it is TERMINATED"),
    "other": refusals.invalid("Invalid value for field 'resource.disks[0]': ''. At most one boot disk."),
}

EXPLAINED = {
    "quota": (LabErrorKind.QUOTA_EXCEEDED, "needs more N2_CPUS than project proj1 may have in us-central1: limit 8"),
    "quota of the project": (LabErrorKind.QUOTA_EXCEEDED, "needs more GPUS_ALL_REGIONS than project proj1 may have as a whole: limit 0"),
    "stock-out": (LabErrorKind.OUT_OF_STOCK, "no zone that was tried has n2-standard-4 left now: us-central1-a"),
    "permission": (LabErrorKind.NO_PERMISSION, "the account lacks the permission compute.instances.create in project proj1"),
    "service account": (LabErrorKind.NO_PERMISSION, "the right to act as service account lab@proj1.iam.gserviceaccount.com"),
    "api": (LabErrorKind.API_DISABLED, "Compute Engine is not enabled in project proj1"),
    "credentials": (ErrorKind.NO_CREDENTIALS, "Google does not take the credentials"),
    "rate": (LabErrorKind.RATE_LIMITED, "too many requests"),
    "operation rate": (LabErrorKind.RATE_LIMITED, "too many requests"),
    "503": (LabErrorKind.CLOUD_UNAVAILABLE, "The service is currently unavailable."),
    "500": (LabErrorKind.CLOUD_UNAVAILABLE, "Internal error."),
    "missing": (LabErrorKind.NO_SUCH_RESOURCE, "the cloud has no projects/ubuntu-os-cloud/global/images/family/x"),
    "taken": (LabErrorKind.NAME_TAKEN, "there is a machine ana-1 already"),
    "not ready": (LabErrorKind.WRONG_STATE, "ana-1 is not in a state for it"),
    "state": (LabErrorKind.WRONG_STATE, "it is TERMINATED"),
    "other": (LabErrorKind.CLOUD_REFUSED, "At most one boot disk."),
}  # fmt: skip


def at_once(told: refusals.Refusal) -> Refusal:
    response = told.response()
    return refusal.of_answer(response.status, json.loads(response.body))


def by_operation(told: refusals.Refusal) -> Refusal:
    found = refusal.of_operation({"status": "DONE", **told.operation_error()})
    assert found is not None
    return found


@pytest.mark.parametrize("read", [at_once, by_operation])
@pytest.mark.parametrize("name", TOLD)
def test_a_refusal_is_explained_with_the_clouds_own_code(name: str, read: Any) -> None:
    told = TOLD[name]
    found = read(told)
    error = explain(found, ATTEMPT)
    kind, message = EXPLAINED[name]
    assert error.kind is kind
    assert message in error.message
    assert found.code in {told.code, told.reason}
    assert f"({found.code})" in error.message
    assert error.facts["code"] == found.code
    assert "\n" not in error.message
    if isinstance(error, LabError):
        assert error.hint


@pytest.mark.parametrize("sort", Sort)
def test_every_sort_of_refusal_has_an_explanation(sort: Sort) -> None:
    codes = [code for code, known in refusal._SORTS.items() if known is sort]
    statuses = {Sort.UNAVAILABLE: 502, Sort.OTHER: 400}
    found = Refusal(
        status=statuses.get(sort, 400),
        message="so",
        codes=tuple(codes[:1]),
        is_unreachable=sort is Sort.UNREACHABLE,
    )
    assert found.sort is sort
    assert isinstance(explain(found, ATTEMPT), LabError | BackendError)


@pytest.mark.parametrize(
    ("found", "may_pass"),
    [
        (at_once(TOLD["503"]), True),
        (at_once(TOLD["rate"]), True),
        (Refusal(status=refusal.NO_ANSWER, message="cut"), True),
        (Refusal(status=refusal.NO_ANSWER, message="refused", is_unreachable=True), True),
        (at_once(TOLD["stock-out"]), False),
        (at_once(TOLD["quota"]), False),
        (at_once(TOLD["permission"]), False),
        (at_once(TOLD["not ready"]), False),
    ],
)
def test_only_what_may_pass_is_tried_again_and_a_stock_out_does_not(found: Refusal, *, may_pass: bool) -> None:
    assert found.may_pass is may_pass


def test_a_quota_says_how_much_is_in_use_and_where_to_ask_for_more() -> None:
    error = explain(at_once(TOLD["quota"]), ATTEMPT)
    assert isinstance(error, LabError)
    known = with_usage(error, 6.0)
    assert "limit 8, in use 6 (QUOTA_EXCEEDED)" in known.message
    assert "https://console.cloud.google.com/iam-admin/quotas?project=proj1" in known.hint
    assert known.facts["used"] == 6.0
    assert known.facts["metric"] == "N2_CPUS"


def test_a_stock_out_proposes_the_zones_that_the_cloud_does() -> None:
    error = explain(at_once(TOLD["stock-out"]), ATTEMPT)
    assert error.facts["elsewhere"] == ("us-central1-b", "us-central1-f")
    assert isinstance(error, LabError)
    assert "--zone us-central1-b,us-central1-f" in error.hint


@pytest.mark.parametrize(
    ("permission", "role"),
    [
        ("compute.instances.create", "roles/compute.instanceAdmin.v1"),
        ("compute.instances.list", "roles/compute.viewer"),
        ("compute.instances.getSerialPortOutput", "roles/compute.viewer"),
        ("compute.subnetworks.useExternalIp", "roles/compute.networkUser"),
        ("iam.serviceAccounts.actAs", "roles/iam.serviceAccountUser"),
        (None, "roles/compute.instanceAdmin.v1"),
    ],
)
def test_a_missing_permission_comes_with_a_role_that_grants_it(permission: str | None, role: str) -> None:
    assert role_for(permission) == role


@pytest.mark.parametrize("place", ["https://compute.googleapis.com/compute/v1/projects/proj1/zones", "zones"])
def test_a_machine_type_that_a_zone_has_not_is_named(place: str) -> None:
    message = (
        f"Invalid value for field 'resource.machineType': '{place}/us-central1-a/machineTypes/n2-standard-5'. "
        "The referenced resource does not exist."
    )
    error = explain(at_once(refusals.invalid(message)), ATTEMPT)
    assert error.kind is LabErrorKind.NO_SUCH_RESOURCE
    assert "there is no machine type n2-standard-5 in us-central1-a (invalid)" in error.message


def test_a_zone_that_is_none_is_named() -> None:
    error = explain(at_once(refusals.invalid_field("zone", "us-central1-z", "Unknown zone.")), ATTEMPT)
    assert error.kind is LabErrorKind.NO_SUCH_RESOURCE
    assert isinstance(error, LabError)
    assert "GCP_ZONE" in error.hint


def test_a_machine_that_cannot_be_suspended_can_be_stopped() -> None:
    attempt = Attempt(doing="suspending ana-1", project="proj1", machine="ana-1", changes=True)
    error = explain(at_once(refusals.invalid("Instance with local SSDs cannot be suspended.")), attempt)
    assert error.kind is LabErrorKind.CANNOT_SUSPEND
    assert isinstance(error, LabError)
    assert "epic-notebook stop ana-1" in error.hint


def test_an_answer_that_never_came_may_have_been_a_yes() -> None:
    error = explain(Refusal(status=refusal.NO_ANSWER, message="Connection reset by peer"), ATTEMPT)
    assert isinstance(error, LabError)
    assert "It may have been done all the same" in error.hint
    looking = Attempt(doing="listing the machines", project="proj1")
    error = explain(Refusal(status=refusal.NO_ANSWER, message="Connection reset by peer"), looking)
    assert isinstance(error, LabError)
    assert "may have been done" not in error.hint


@pytest.mark.parametrize("body", [None, "<html>502</html>", {}, {"error": "no"}, {"error": {}}])
def test_an_answer_that_says_nothing_is_put_up_with(body: object) -> None:
    found = refusal.of_answer(502, body)
    assert found.sort is Sort.UNAVAILABLE
    assert found.code == "HTTP 502"


def test_an_operation_that_ended_well_is_no_refusal() -> None:
    assert refusal.of_operation({"status": "DONE", "progress": 100}) is None
