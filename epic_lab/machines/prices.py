"""What a machine costs, by a table in the package: an estimate, and always called one.

Invariant: pure but for reading the table once. Where the table lacks a price the answer is ``None``, never a guess; where it lacks a region
the prices are those of its own region and say so.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TypedDict

from epic_lab.machines.launch import DISK_TYPE, Launch
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.machine_types import Gpus, parse

HOURS_A_MONTH = 730

_FREE_STATES = {State.DEPROVISIONING, State.PENDING}
_IDLE_STATES = {State.STOPPED, State.STOPPING}


class _Family(TypedDict):
    vcpu_hour: float
    memory_gb_hour: float


class _Region(TypedDict):
    machine: float
    disk: float


class Table(TypedDict):
    """The file `prices.json`; prices in dollars, for the region that it names."""

    as_of: str
    currency: str
    region: str
    source: str
    families: Mapping[str, _Family]
    gpu_hour: Mapping[str, float]
    disk_gb_month: Mapping[str, float]
    suspended_memory_gb_month: float
    external_ip_hour: Mapping[str, float]
    spot_share_at_most: float
    regions: Mapping[str, _Region]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a machine costs an hour, in dollars, by list prices.

    Attributes:
        running: while it runs, or ``None`` where the table has no such machine; of a spot machine the most that it costs.
        suspended: while it is suspended: its disk and its saved memory; ``None`` where it cannot be, or its memory is not known.
        stopped: while it is stopped: its disk.
        as_of: the day of the table.
        region: the region whose prices they are.
        is_own_region: whether that is the machine's own.
    """

    running: float | None
    suspended: float | None
    stopped: float
    as_of: str
    region: str
    is_own_region: bool

    def now(self, state: State) -> float | None:
        """Return what it costs in *state*."""
        if state in _FREE_STATES:
            return 0.0
        if state is State.SUSPENDED:
            return self.suspended
        return self.stopped if state in _IDLE_STATES else self.running


@functools.cache
def table() -> Table:
    """Return the table of the package."""
    found: Table = json.loads((files("epic_lab.machines") / "prices.json").read_text(encoding="utf-8"))
    return found


def of_launch(launch: Launch, zone: str) -> Price:
    """Return what *launch* will cost in *zone*."""
    return _price(launch.machine_type, launch.gpus, {DISK_TYPE: launch.disk_gb}, spot=launch.spot, zone=zone)


def of_machine(machine: Machine) -> Price:
    """Return what *machine* costs; a disk whose type the cloud has not said counts as the lab's usual one."""
    disks: dict[str, int] = {}
    for disk in machine.disks:
        kind = disk.type or DISK_TYPE
        disks[kind] = disks.get(kind, 0) + disk.size_gb
    return _price(machine.machine_type, machine.gpus, disks, spot=machine.is_spot, zone=machine.zone)


def _price(machine_type: str, gpus: Gpus | None, disks: Mapping[str, int], *, spot: bool, zone: str) -> Price:
    prices = table()
    region = zone.rpartition("-")[0]
    is_own_region = region in prices["regions"]
    factors = prices["regions"][region if is_own_region else prices["region"]]
    usual = prices["disk_gb_month"][DISK_TYPE]
    a_month = sum(size_gb * prices["disk_gb_month"].get(kind, usual) for kind, size_gb in disks.items())
    stopped = a_month * factors["disk"] / HOURS_A_MONTH
    computing = _computing(machine_type, gpus)
    kind = parse(machine_type)
    suspended = None
    if kind.memory_gb is not None and gpus is None:
        saved = kind.memory_gb * prices["suspended_memory_gb_month"] * factors["disk"] / HOURS_A_MONTH
        suspended = stopped + saved
    running = None
    if computing is not None:
        share = prices["spot_share_at_most"] if spot else 1.0
        address = prices["external_ip_hour"]["spot" if spot else "standard"]
        running = computing * factors["machine"] * share + address + stopped
    return Price(
        running=running,
        suspended=suspended,
        stopped=stopped,
        as_of=prices["as_of"],
        region=region if is_own_region else prices["region"],
        is_own_region=is_own_region,
    )


def _computing(machine_type: str, gpus: Gpus | None) -> float | None:
    """Return what processors, memory and GPUs cost an hour in the table's own region."""
    prices = table()
    kind = parse(machine_type)
    family = prices["families"].get(kind.family)
    if family is None or kind.vcpus is None or kind.memory_gb is None:
        return None
    hour = kind.vcpus * family["vcpu_hour"] + kind.memory_gb * family["memory_gb_hour"]
    if gpus is None:
        return hour
    each = prices["gpu_hour"].get(gpus.type)
    return None if each is None else hour + each * gpus.count
