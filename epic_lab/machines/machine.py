"""A machine as the cloud describes it, in the lab's own words.

Invariant: pure; `of_instance` reads the JSON of Compute Engine v1 and puts up with whatever is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from epic_lab.machines.machine_types import Gpus, parse


class State(str, Enum):
    """What a machine is doing, in the words of the cloud; `STOPPED` is what version 1 calls ``TERMINATED``."""

    PENDING = "PENDING"
    PROVISIONING = "PROVISIONING"
    STAGING = "STAGING"
    RUNNING = "RUNNING"
    SUSPENDING = "SUSPENDING"
    SUSPENDED = "SUSPENDED"
    PENDING_STOP = "PENDING_STOP"
    STOPPING = "STOPPING"
    STOPPED = "TERMINATED"
    REPAIRING = "REPAIRING"
    DEPROVISIONING = "DEPROVISIONING"
    UNKNOWN = "UNKNOWN"

    @classmethod
    def of(cls, status: str) -> State:
        """Return the state that the cloud calls *status*."""
        if status == "STOPPED":
            return cls.STOPPED
        return cls(status) if status in cls._value2member_map_ else cls.UNKNOWN

    @property
    def said(self) -> str:
        """The state as a sentence says it: ``running``, ``stopped``."""
        return "stopped" if self is State.STOPPED else self.value.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk of a machine; the type is ``None`` where the cloud has not said."""

    name: str
    size_gb: int
    is_boot: bool
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine of the lab.

    Attributes:
        name: its whole name.
        zone: where it is.
        state: what it is doing.
        machine_type: as the cloud calls it.
        gpus: those it has.
        is_spot: whether the cloud may take it back.
        disks: the boot disk among them.
        created_seconds: when it was made, in seconds since 1970, or ``None`` where the cloud does not say.
        started_seconds: when it was last started or resumed, likewise.
        address: its address in the internet, which a suspended or stopped machine has not.
        labels: what is written on it.
        tags: what the network's rules know it by.
        max_run_seconds: after how long it stops by itself.
    """

    name: str
    zone: str
    state: State
    machine_type: str
    gpus: Gpus | None = None
    is_spot: bool = False
    disks: Sequence[Disk] = ()
    created_seconds: float | None = None
    started_seconds: float | None = None
    address: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    max_run_seconds: int | None = None

    @property
    def boot_disk(self) -> Disk | None:
        """The disk that it starts from."""
        return next((disk for disk in self.disks if disk.is_boot), None)

    @property
    def region(self) -> str:
        """The region that its zone is in."""
        return self.zone.rpartition("-")[0]


def of_instance(instance: Mapping[str, Any]) -> Machine:
    """Read what Compute Engine says of a machine."""
    machine_type = _last(instance.get("machineType", ""))
    scheduling = instance.get("scheduling", {})
    limit = scheduling.get("maxRunDuration", {}).get("seconds")
    started = instance.get("lastStartTimestamp") or instance.get("creationTimestamp")
    return Machine(
        name=instance.get("name", ""),
        zone=_last(instance.get("zone", "")),
        state=State.of(instance.get("status", "")),
        machine_type=machine_type,
        gpus=_gpus(instance) or parse(machine_type).gpus,
        is_spot=scheduling.get("provisioningModel") == "SPOT" or bool(scheduling.get("preemptible")),
        disks=tuple(_disk(disk) for disk in instance.get("disks", ())),
        created_seconds=_seconds(instance.get("creationTimestamp")),
        started_seconds=_seconds(started),
        address=_address(instance),
        labels=dict(instance.get("labels", {})),
        tags=tuple(instance.get("tags", {}).get("items", ())),
        max_run_seconds=None if limit is None else int(limit),
    )


def _gpus(instance: Mapping[str, Any]) -> Gpus | None:
    for accelerator in instance.get("guestAccelerators", ()):
        return Gpus(_last(accelerator.get("acceleratorType", "")), int(accelerator.get("acceleratorCount", 1)))
    return None


def _disk(disk: Mapping[str, Any]) -> Disk:
    asked = disk.get("initializeParams", {})
    size_gb = int(disk.get("diskSizeGb") or asked.get("diskSizeGb") or 0)
    disk_type = asked.get("diskType")
    # The source is the disk itself, which may be called otherwise than the machine sees it.
    name = _last(disk.get("source", "")) or disk.get("deviceName", "")
    return Disk(
        name=name, size_gb=size_gb, is_boot=bool(disk.get("boot")), type=_last(disk_type) if disk_type else None
    )


def _address(instance: Mapping[str, Any]) -> str | None:
    for interface in instance.get("networkInterfaces", ()):
        for access in interface.get("accessConfigs", ()):
            if access.get("natIP"):
                return str(access["natIP"])
    return None


def _seconds(timestamp: str | None) -> float | None:
    if not timestamp:
        return None
    try:
        return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _last(url: str) -> str:
    return url.rpartition("/")[2]
