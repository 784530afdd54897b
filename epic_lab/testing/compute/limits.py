"""What a project may have, and how much of it is used.

Invariant: usage is counted from the machines that there are; nothing is booked, so that nothing can be forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from epic_lab.testing.compute.catalogue import ACCELERATORS, GLOBAL_LIMITS, REGIONAL_LIMITS, ZONES
from epic_lab.testing.compute.machines import WITH_PROCESSORS, Machine, last

_SSD = {"pd-ssd", "pd-balanced"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """A limit that one more machine would break; *region* is ``None`` for one of the whole project."""

    metric: str
    limit: float
    region: str | None


def usage(
    machines: Iterable[Machine], disks: Mapping[tuple[str, str], Mapping[str, Any]], region: str | None
) -> Counter[str]:
    """Return what is used in a region, or of the limits of the whole project."""
    used: Counter[str] = Counter()
    for it in machines:
        if region is None:
            used += _running(it, everywhere=True)
        elif ZONES[it.zone] == region:
            used += _running(it, everywhere=False)
            used["INSTANCES"] += 1
            used["IN_USE_ADDRESSES"] += it.addresses
    for (zone, _), disk in disks.items():
        if ZONES[zone] == region:
            used["SSD_TOTAL_GB" if last(disk["type"]) in _SSD else "DISKS_TOTAL_GB"] += int(disk["sizeGb"])
    return used


def over_limit(
    machine: Machine,
    others: Iterable[Machine],
    disks: Mapping[tuple[str, str], Mapping[str, Any]],
    changed: Mapping[str, float],
) -> Over | None:
    """Return the first limit that does not allow *machine* to run beside the others."""
    others = [it for it in others if it is not machine]
    here: str | None = ZONES[machine.zone]
    for region, limits in ((here, REGIONAL_LIMITS), (None, GLOBAL_LIMITS)):
        used = usage(others, disks, region)
        needed = _running(machine, everywhere=region is None, now=True)
        for metric, more in needed.items():
            limit = changed.get(metric, limits.get(metric))
            if limit is not None and used[metric] + more > limit:
                return Over(metric=metric, limit=limit, region=region)
    return None


def _running(machine: Machine, *, everywhere: bool, now: bool = False) -> Counter[str]:
    """Return what a machine takes as it runs, or nothing where it does not run."""
    if not now and machine.status not in WITH_PROCESSORS:
        return Counter()
    accelerators = machine.accelerators
    if everywhere:
        return Counter(
            CPUS_ALL_REGIONS=machine.machine_type.processors,
            **({"GPUS_ALL_REGIONS": sum(accelerators.values())} if accelerators else {}),
        )
    return Counter(
        {
            machine.machine_type.quota: machine.machine_type.processors,
            **{ACCELERATORS[name][2]: count for name, count in accelerators.items()},
        }
    )
