"""What a launch asks for: the same machine as the lab's older tool, and what the options add to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines.launch import Launch, instance, judged
from epic_lab.machines.names import MachineName, machine_name

RECORDED = Path(__file__).parent / "data" / "older_tool_requests.jsonl"
SCRIPTS = "gs://b/vmsetup_20260101"
ZONE = "us-central1-a"


def recorded_launches() -> list[dict[str, Any]]:
    """Return the bodies with which the older tool asked for machines, the version of the API aside."""
    lines = RECORDED.read_text(encoding="utf-8").replace("/compute/beta/", "/compute/v1/").splitlines()
    requests = [json.loads(line) for line in lines]
    return [it["body"] for it in requests if it["method"] == "POST" and "/instances?" in it["path"]]


def wanted(suffix: str = "gpu", **choices: Any) -> Launch:
    return judged(machine_name(suffix, "ana"), **{"scripts": SCRIPTS, **choices})


def asked(**choices: Any) -> dict[str, Any]:
    return instance(wanted(**choices), project="proj1", zone=ZONE)


@pytest.mark.parametrize(
    ("recorded", "choices"),
    [
        (0, {"machine_type": "n2-standard-2"}),
        (1, {"disk_gb": 100, "spot": True, "labels": ["a=b"]}),
        (2, {}),
    ],
    ids=["ordinary", "spot", "nothing chosen"],
)
def test_the_machine_is_the_older_tools_field_by_field(recorded: int, choices: dict[str, Any]) -> None:
    older = recorded_launches()[recorded]
    launch = judged(MachineName(older["name"]), scripts=SCRIPTS, image="ubuntu-20.04", **choices)
    assert instance(launch, project="proj1", zone=ZONE) == older


def test_without_a_choice_only_the_image_is_newer_than_the_older_tools() -> None:
    older = recorded_launches()[2]
    ours = instance(judged(MachineName(older["name"]), scripts=SCRIPTS), project="proj1", zone=ZONE)
    initial = ours["disks"][0]["initializeParams"]
    assert initial.pop("sourceImage").endswith("/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64")
    older["disks"][0]["initializeParams"].pop("sourceImage")
    assert ours == older


def test_a_gpu_is_attached_to_a_machine_that_can_have_it_and_that_stays_where_it_is() -> None:
    body = asked(gpu="t4:2")
    assert body["machineType"].endswith("/n1-standard-16")
    [accelerator] = body["guestAccelerators"]
    assert accelerator["acceleratorType"].endswith(f"/zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4")
    assert accelerator["acceleratorCount"] == 2
    assert body["scheduling"] == {"automaticRestart": True, "onHostMaintenance": "TERMINATE"}


@pytest.mark.parametrize(
    ("gpu", "machine_type"),
    [
        ("l4", "g2-standard-4"),
        ("a100:4", "a2-highgpu-4g"),
        ("a100-80gb", "a2-ultragpu-1g"),
        ("h100:8", "a3-highgpu-8g"),
    ],
)
def test_a_gpu_that_comes_with_a_machine_type_brings_it(gpu: str, machine_type: str) -> None:
    body = asked(gpu=gpu)
    assert body["machineType"].endswith(f"/{machine_type}")
    assert "guestAccelerators" not in body
    assert body["scheduling"]["onHostMaintenance"] == "TERMINATE"


def test_a_machine_type_with_a_gpu_is_known_to_have_one() -> None:
    assert asked(machine_type="g2-standard-8")["scheduling"]["onHostMaintenance"] == "TERMINATE"


def test_a_machine_that_ends_by_itself_is_stopped_and_not_deleted() -> None:
    scheduling = asked(max_run="12h")["scheduling"]
    assert scheduling["maxRunDuration"] == {"seconds": "43200"}
    assert scheduling["instanceTerminationAction"] == "STOP"


def test_a_service_account_takes_the_place_of_the_default() -> None:
    assert asked(service_account="lab@proj1.iam.gserviceaccount.com")["serviceAccounts"] == [
        {"email": "lab@proj1.iam.gserviceaccount.com", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    ]


@pytest.mark.parametrize(
    ("choices", "end"),
    [
        ({}, "/ubuntu-2404-lts-amd64"),
        ({"image": "ubuntu-22.04"}, "/ubuntu-2204-lts"),
        ({"machine_type": "t2a-standard-4"}, "/ubuntu-2404-lts-arm64"),
        ({"image": "projects/p1/global/images/ours-1"}, "/projects/p1/global/images/ours-1"),
    ],
)
def test_the_image_is_a_profiles_or_any_that_is_named_in_full(choices: dict[str, Any], end: str) -> None:
    assert asked(**choices)["disks"][0]["initializeParams"]["sourceImage"].endswith(end)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"machine_type": "spot"}, "'spot' is no machine type"),
        ({"machine_type": "n2/standard"}, "'n2/standard' is no machine type"),
        ({"disk_gb": 5}, "a disk of 5 GB cannot be: expected 20 to 65536 GB"),
        ({"labels": ["a"]}, "'a' is no label: expected KEY=VALUE"),
        ({"labels": ["A=b"]}, "'A=b' is no label"),
        ({"max_run": "3"}, "'3' is no time that a machine may run"),
        ({"max_run": "121d"}, "'121d' is no time that a machine may run"),
        ({"gpu": "voodoo"}, "'voodoo' is no GPU"),
        ({"gpu": "t4:0"}, "'t4:0' is no GPU"),
        ({"gpu": "t4", "machine_type": "n2-standard-4"}, "n2-standard-4 cannot have nvidia-tesla-t4: expected a machine type of the family n1"),
        ({"gpu": "l4", "machine_type": "n1-standard-4"}, "n1-standard-4 cannot have nvidia-l4: expected one of g2-standard-4"),
        ({"gpu": "l4:2", "machine_type": "g2-standard-4"}, "g2-standard-4 comes with 1 of nvidia-l4: expected 2 of nvidia-l4"),
        ({"gpu": "l4:3"}, "no machine type is known here that comes with 3 of nvidia-l4"),
        ({"gpu": "t4:3"}, "no machine type is known here that comes with 3 of nvidia-tesla-t4"),
        ({"image": "windows"}, "there is no image profile 'windows': expected ubuntu-24.04"),
        ({"image": "ubuntu-20.04", "machine_type": "t2a-standard-4"}, "has nothing for ARM processors"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_what_can(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError) as refused:
        wanted(**choices)
    assert refused.value.kind is LabErrorKind.BAD_LAUNCH
    assert message in refused.value.message
    assert refused.value.hint
