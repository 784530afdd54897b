"""What is asked for when a machine is launched, and the request that asks for it.

Invariant: pure. What a request says beyond the machine's own choices is the same for every machine of the lab, and it is what the lab's older
tool asked for, field by field; `tests/machines` holds it against that tool's recorded requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import images, machine_types
from epic_lab.machines.gpus import gpus_of, machine_type_for
from epic_lab.machines.machine_types import Gpus
from epic_lab.machines.names import MachineName

TAGS = ("epic-lab", "epic-lab-notebooks")
LAB_TAG = TAGS[0]
DISK_TYPE = "pd-balanced"
DEFAULT_DISK_GB = 200
SMALLEST_DISK_GB = 20
LARGEST_DISK_GB = 65536

# The service's own name, whichever address it is reached at.
_API = "https://compute.googleapis.com/compute/v1"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_MACHINE_TYPE = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
_LABEL_KEY = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")
_DURATION = re.compile(r"(\d+)([mhd])")
_UNIT_SECONDS = {"m": 60, "h": 3600, "d": 86400}
# https://cloud.google.com/compute/docs/instances/limit-vm-runtime
_SHORTEST_RUN_SECONDS = 30
_LONGEST_RUN_SECONDS = 120 * 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A machine as somebody wants it, judged: `judged` makes these.

    Attributes:
        name: its whole name.
        machine_type: as the cloud calls it.
        disk_gb: the size of its disk.
        spot: whether the cloud may take it back at any time, for a lower price.
        gpus: those to attach or that come with the machine type.
        image: where its first disk comes from, below the API's address.
        labels: what to write on it.
        service_account: as whom its programs ask the cloud.
        max_run_seconds: after how long it stops by itself, or ``None``.
        scripts: where it fetches its set-up from: ``gs://…``.
    """

    name: MachineName
    machine_type: str
    disk_gb: int
    spot: bool
    gpus: Gpus | None
    image: str
    scripts: str
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "default"
    max_run_seconds: int | None = None


def judged(
    name: MachineName,
    *,
    scripts: str,
    machine_type: str | None = None,
    disk_gb: int = DEFAULT_DISK_GB,
    spot: bool = False,
    gpu: str | None = None,
    image: str = images.DEFAULT,
    labels: Sequence[str] = (),
    service_account: str | None = None,
    max_run: str | None = None,
) -> Launch:
    """Return the machine that is meant, so far as can be judged without asking the cloud.

    Raises:
        LabError: one of the choices cannot be meant, or two of them do not go together.
    """
    if machine_type is not None:
        check_machine_type(machine_type)
    if not SMALLEST_DISK_GB <= disk_gb <= LARGEST_DISK_GB:
        raise _refused(
            f"a disk of {disk_gb} GB cannot be: expected {SMALLEST_DISK_GB} to {LARGEST_DISK_GB} GB",
            f"Without a size it has {DEFAULT_DISK_GB} GB.",
            disk_gb=disk_gb,
        )
    gpus = None if gpu is None else gpus_of(gpu)
    chosen = (machine_type or machine_types.DEFAULT) if gpus is None else machine_type_for(gpus, machine_type)
    kind = machine_types.parse(chosen)
    return Launch(
        name=name,
        machine_type=chosen,
        disk_gb=disk_gb,
        spot=spot,
        gpus=gpus or kind.gpus,
        image=images.source_image(image, arm=kind.is_arm),
        scripts=scripts,
        labels=_labels(labels),
        service_account=service_account or "default",
        max_run_seconds=None if max_run is None else _run_seconds(max_run),
    )


def check_machine_type(name: str) -> None:
    """Check that *name* can be a machine type.

    Raises:
        LabError: it cannot.
    """
    if _MACHINE_TYPE.fullmatch(name) is None:
        raise _refused(
            f"{name!r} is no machine type: expected a name such as {machine_types.DEFAULT}",
            "https://cloud.google.com/compute/docs/machine-resource lists them; for more memory n2-highmem-8, for more processors n2-standard-16.",
            machine_type=name,
        )


def instance(launch: Launch, *, project: str, zone: str) -> dict[str, Any]:
    """Return the body of the request for *launch* in *zone*, as Compute Engine v1 writes it in JSON."""
    place = f"{_API}/projects/{project}/zones/{zone}"
    region = zone.rpartition("-")[0]
    script = f'export gs_base_path={launch.scripts}\ngsutil cat "$gs_base_path/on_create.sh" | bash -'
    body: dict[str, Any] = {
        "name": launch.name,
        "machineType": f"{place}/machineTypes/{launch.machine_type}",
        "canIpForward": False,
        "deletionProtection": False,
        "disks": [
            {
                "autoDelete": True,
                "boot": True,
                "deviceName": launch.name,
                "initializeParams": {
                    "diskSizeGb": str(launch.disk_gb),
                    "diskType": f"{place}/diskTypes/{DISK_TYPE}",
                    "sourceImage": f"{_API}/{launch.image}",
                },
                "mode": "READ_WRITE",
                "type": "PERSISTENT",
            }
        ],
        "metadata": {
            "items": [
                {"key": "block-project-ssh-keys", "value": "true"},
                {"key": "startup-script", "value": script},
            ]
        },
        "networkInterfaces": [
            {
                "accessConfigs": [{"name": "external-nat", "networkTier": "PREMIUM", "type": "ONE_TO_ONE_NAT"}],
                "subnetwork": f"{_API}/projects/{project}/regions/{region}/subnetworks/default",
            }
        ],
        "reservationAffinity": {"consumeReservationType": "ANY_RESERVATION"},
        "scheduling": _scheduling(launch),
        "serviceAccounts": [{"email": launch.service_account, "scopes": [_SCOPE]}],
        "shieldedInstanceConfig": {
            "enableIntegrityMonitoring": True,
            "enableSecureBoot": False,
            "enableVtpm": True,
        },
        "tags": {"items": list(TAGS)},
    }
    if launch.labels:
        body["labels"] = dict(launch.labels)
    if launch.gpus and not machine_types.parse(launch.machine_type).brings_gpus:
        accelerator = f"{place}/acceleratorTypes/{launch.gpus.type}"
        body["guestAccelerators"] = [{"acceleratorType": accelerator, "acceleratorCount": launch.gpus.count}]
    return body


def _scheduling(launch: Launch) -> dict[str, Any]:
    # An ordinary machine moves to another host for maintenance; one that cannot would be rebooted, so a GPU must say so.
    moves = not launch.spot and launch.gpus is None
    scheduling: dict[str, Any] = {
        "automaticRestart": not launch.spot,
        "onHostMaintenance": "MIGRATE" if moves else "TERMINATE",
    }
    if launch.spot:
        scheduling |= {"preemptible": True, "provisioningModel": "SPOT"}
    if launch.max_run_seconds is not None:
        # Stopped and not deleted: nobody's work goes because time is up.
        scheduling |= {
            "maxRunDuration": {"seconds": str(launch.max_run_seconds)},
            "instanceTerminationAction": "STOP",
        }
    return scheduling


def _labels(given: Sequence[str]) -> dict[str, str]:
    labels = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise _refused(
                f"{text!r} is no label: expected KEY=VALUE of small letters, digits, '-' and '_', the key beginning with a letter",
                "For example --label project=protein-folding.",
                label=text,
            )
        labels[key] = value
    return labels


def _run_seconds(text: str) -> int:
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
    if not _SHORTEST_RUN_SECONDS <= seconds <= _LONGEST_RUN_SECONDS:
        raise _refused(
            f"{text!r} is no time that a machine may run: expected a number and m, h or d, from 1m to 120d",
            "For example --max-run 12h.",
            max_run=text,
        )
    return seconds


def _refused(message: str, hint: str, **facts: object) -> LabError:
    return LabError(LabErrorKind.BAD_LAUNCH, message, hint=hint, **facts)
