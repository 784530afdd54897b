"""One machine of the cloud that the tests play: what was asked for, what the service makes of it, and how it is shown.

Invariant: what was asked for is kept as it was asked; everything else that is shown follows from it and from `Machine.status`.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from epic_lab.testing.compute.catalogue import (
    ACCELERATOR_ZONES,
    IMAGES,
    MACHINE_TYPES,
    ZONES,
    Image,
    MachineType,
)
from epic_lab.testing.compute.refusals import RefusalError, invalid, invalid_field, not_found
from epic_lab.testing.compute.serial_port import SerialPort

API = "https://www.googleapis.com/compute/v1/"
PROJECT_NUMBER = "123456789012"
WITH_ADDRESS = frozenset({"STAGING", "RUNNING", "STOPPING", "SUSPENDING"})
WITH_PROCESSORS = frozenset({"PROVISIONING", "STAGING", "RUNNING", "STOPPING", "SUSPENDING"})

_LINK = re.compile(r"(?:https://[a-z.]+/compute/(?:v1|beta)/)?(.+)")
_LABEL = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE = re.compile(r"[-_a-z0-9]{0,63}")


@dataclass(slots=True, kw_only=True)
class Machine:
    """A machine and all that changes about it.

    Attributes:
        asked: the body of the request that made it.
        number: its id.
        status: in the words of the API.
        disks: those that it has, in the order of the request, as the API shows them.
        busy: the operation that is at work on it, by name.
        resuming: whether it comes from being suspended, and so does not boot.
        starts: how often it has begun to run, which also makes its address.
        to_print: what its boot has not printed yet, each line with the seconds after the one before.
        stamps: when it was made, started, stopped, suspended, by the API's names.
    """

    project: str
    zone: str
    asked: Mapping[str, Any]
    number: int
    machine_type: MachineType
    labels: dict[str, str]
    disks: list[dict[str, Any]]
    status: str = "PROVISIONING"
    busy: str | None = None
    resuming: bool = False
    starts: int = 0
    stamps: dict[str, str] = field(default_factory=dict)
    serial: SerialPort = field(default_factory=SerialPort)
    to_print: list[tuple[float, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.asked["name"])

    @property
    def path(self) -> str:
        """What it is called in errors."""
        return f"projects/{self.project}/zones/{self.zone}/instances/{self.name}"

    @property
    def accelerators(self) -> dict[str, int]:
        """How many of each are in it."""
        found = {
            last(it["acceleratorType"]): int(it.get("acceleratorCount", 1))
            for it in self.asked.get("guestAccelerators", [])
        }
        bundled, _, count = self.machine_type.accelerator.partition(":")
        return {**found, **({bundled: int(count)} if bundled else {})}

    @property
    def spot(self) -> bool:
        """Whether it may be taken away."""
        scheduling = self.asked.get("scheduling", {})
        return bool(scheduling.get("preemptible")) or scheduling.get("provisioningModel") == "SPOT"

    @property
    def addresses(self) -> int:
        """How many outer addresses it has now."""
        asked = sum(len(it.get("accessConfigs", [])) for it in self.asked["networkInterfaces"])
        return asked if self.status in WITH_ADDRESS else 0

    def resource(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        asked = copy.deepcopy(dict(self.asked))
        zone_link = f"{API}projects/{self.project}/zones/{self.zone}"
        metadata, tags = asked.get("metadata", {}), asked.get("tags", {})
        shown = {
            **asked,
            "kind": "compute#instance",
            "id": str(self.number),
            "zone": zone_link,
            "selfLink": f"{API}{self.path}",
            "status": self.status,
            "machineType": f"{zone_link}/machineTypes/{self.machine_type.name}",
            "cpuPlatform": "Intel Cascade Lake" if self.status in WITH_ADDRESS else "Unknown CPU Platform",
            "disks": [self._disk(at, it) for at, it in enumerate(asked["disks"])],
            "networkInterfaces": [self._interface(at, it) for at, it in enumerate(asked["networkInterfaces"])],
            "metadata": {"kind": "compute#metadata", **metadata, "fingerprint": fingerprint(metadata)},
            "tags": {**tags, "fingerprint": fingerprint(tags)},
            "labelFingerprint": fingerprint(self.labels),
            "scheduling": self._scheduling(asked.get("scheduling", {})),
            "canIpForward": asked.get("canIpForward", False),
            "deletionProtection": asked.get("deletionProtection", False),
            "startRestricted": False,
            "fingerprint": fingerprint([self.labels, self.machine_type.name, self.status]),
            **self.stamps,
        }
        shown.pop("labels", None)
        if self.labels:
            shown["labels"] = dict(self.labels)
        if "serviceAccounts" in asked:
            default = f"{PROJECT_NUMBER}-compute@developer.gserviceaccount.com"
            shown["serviceAccounts"] = [
                {**it, "email": default if it["email"] == "default" else it["email"]} for it in asked["serviceAccounts"]
            ]
        return shown

    def _scheduling(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        settled = {"preemptible": self.spot, "provisioningModel": "SPOT" if self.spot else "STANDARD"}
        usual = {"onHostMaintenance": "TERMINATE" if self.spot else "MIGRATE", "automaticRestart": not self.spot}
        return {**usual, **asked, **settled}

    def _disk(self, at: int, asked: dict[str, Any]) -> dict[str, Any]:
        asked.pop("initializeParams", None)
        disk = self.disks[at]
        usual = {"deviceName": f"persistent-disk-{at}", "mode": "READ_WRITE", "type": "PERSISTENT", "interface": "SCSI"}
        settled = {"index": at, "source": disk["selfLink"], "diskSizeGb": disk["sizeGb"], "architecture": "X86_64"}
        return {**usual, **asked, "kind": "compute#attachedDisk", **settled}

    def _interface(self, at: int, asked: dict[str, Any]) -> dict[str, Any]:
        region = ZONES[self.zone]
        inner, outer = self.number % 250 + 2, self.starts % 250 + 1
        network = asked.get("network", "global/networks/default")
        subnetwork = asked.get("subnetwork", f"regions/{region}/subnetworks/default")
        configs = [
            {
                **it,
                "kind": "compute#accessConfig",
                **({"natIP": f"203.0.{self.number % 200}.{outer}"} if self.status in WITH_ADDRESS else {}),
            }
            for it in asked.pop("accessConfigs", [])
        ]
        return {
            **asked,
            "kind": "compute#networkInterface",
            "name": f"nic{at}",
            "network": self._link(network),
            "subnetwork": self._link(subnetwork),
            "networkIP": f"10.128.{at}.{inner}",
            "stackType": "IPV4_ONLY",
            "fingerprint": fingerprint([self.number, at]),
            **({"accessConfigs": configs} if configs else {}),
        }

    def _link(self, text: str) -> str:
        path = shortened(text)
        return API + (path if path.startswith("projects/") else f"projects/{self.project}/{path}")


def fingerprint(content: object) -> str:
    """Return what changes with *content*, as the service makes it: 8 bytes in base64."""
    return base64.b64encode(hashlib.sha256(repr(content).encode()).digest()[:8]).decode()


def shortened(link: str) -> str:
    """Return a link without the service's address."""
    match = _LINK.fullmatch(link)
    return match.group(1) if match else link


def last(link: str) -> str:
    """Return what a link names."""
    return link.rpartition("/")[2]


def zonal(link: str, kind: str, project: str, zone: str) -> str | None:
    """Return the name in a link to something in *zone*, or ``None`` where it leads elsewhere."""
    match = re.fullmatch(rf"(?:(?:projects/([^/]+)/)?zones/([^/]+)/)?{kind}/([^/]+)", shortened(link))
    if match is None or match[1] not in {None, project} or match[2] not in {None, zone}:
        return None
    return match[3]


def image_named(link: str) -> Image:
    """Return the image that a link means, by name or by family.

    Raises:
        RefusalError: there is none.
    """
    path = shortened(link)
    match = re.fullmatch(r"projects/([^/]+)/global/images/(family/)?([^/]+)", path)
    found = [
        it for it in IMAGES if match and it.project == match[1] and match[3] == (it.family if match[2] else it.name)
    ]
    if match is None:
        raise RefusalError(
            invalid_field("resource.disks[0].initializeParams.sourceImage", link, "The URL is malformed.")
        )
    if not found:
        raise RefusalError(not_found(path))
    return found[-1]


def check_asked(asked: Mapping[str, Any], project: str, zone: str) -> None:
    """Refuse a request for a machine that cannot be made, as the service does.

    Raises:
        RefusalError: with what is wrong first.
    """
    name = zonal(str(asked.get("machineType", "")), "machineTypes", project, zone)
    if name not in MACHINE_TYPES:
        link = asked.get("machineType", "")
        raise RefusalError(invalid_field("resource.machineType", link, "The referenced resource does not exist."))
    check_labels(asked.get("labels", {}))
    if not asked.get("networkInterfaces"):
        raise RefusalError(invalid("At least one network interface is required."))
    boots = [it for it in asked.get("disks", []) if it.get("boot")]
    if len(boots) != 1:
        raise RefusalError(invalid("Boot disk must be the first disk attached to the instance."))
    for at, disk in enumerate(asked["disks"]):
        _check_disk(at, disk, project, zone)
    _check_scheduling(asked, MACHINE_TYPES[name])
    for it in asked.get("guestAccelerators", []):
        kind = zonal(it["acceleratorType"], "acceleratorTypes", project, zone)
        if zone not in ACCELERATOR_ZONES.get(kind or "", ()):
            raise RefusalError(not_found(f"projects/{project}/zones/{zone}/acceleratorTypes/{kind}"))
        if not name.startswith("n1-"):
            raise RefusalError(invalid(f"[{name}, {kind}] features are not compatible for creating instance."))


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that the service does not take.

    Raises:
        RefusalError: naming the first that is wrong.
    """
    for key, value in labels.items():
        if not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise RefusalError(invalid_field("resource.labels", f"{key}={value}", "Label is not valid."))


def _check_disk(at: int, disk: Mapping[str, Any], project: str, zone: str) -> None:
    parameters = disk.get("initializeParams", {})
    where = f"resource.disks[{at}].initializeParams"
    kind = parameters.get("diskType")
    if kind is not None and zonal(kind, "diskTypes", project, zone) not in DISK_TYPES:
        raise RefusalError(invalid_field(f"{where}.diskType", kind, "The referenced resource does not exist."))
    size = int(parameters.get("diskSizeGb", "0"))
    if "sourceImage" in parameters and size and size < (least := image_named(parameters["sourceImage"]).size_gb):
        why = f"Requested disk size cannot be smaller than the image size ({least} GB)"
        raise RefusalError(invalid_field(f"{where}.diskSizeGb", size, why))


DISK_TYPES = frozenset({"pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"})


def _check_scheduling(asked: Mapping[str, Any], machine_type: MachineType) -> None:
    scheduling = asked.get("scheduling", {})
    spot = scheduling.get("preemptible") or scheduling.get("provisioningModel") == "SPOT"
    if spot and scheduling.get("automaticRestart", False):
        raise RefusalError(invalid("Scheduling must have preemptible be false when AutomaticRestart is true."))
    migrates = scheduling.get("onHostMaintenance", "TERMINATE" if spot else "MIGRATE") == "MIGRATE"
    if spot and migrates:
        raise RefusalError(invalid("Scheduling must have preemptible be false when OnHostMaintenance is MIGRATE."))
    if (asked.get("guestAccelerators") or machine_type.accelerator) and migrates:
        raise RefusalError(invalid("Instances with guest accelerators do not support live migration."))
    if "maxRunDuration" in scheduling and "instanceTerminationAction" not in scheduling:
        raise RefusalError(invalid("Scheduling must have instanceTerminationAction set when maxRunDuration is set."))
