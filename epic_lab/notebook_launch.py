"""Launching a machine: in the first zone that has one left.

Invariant: at most one machine is made, whatever answers are lost, and of a name that exists in no zone of the lab already.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import launch as launches
from epic_lab.machines.explain import stock_out_error
from epic_lab.machines.launch import Launch
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.stage import Stage, StageListener, ignore_stages
from epic_lab.notebook import CHANGE_SECONDS, Notebooks, gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A machine that was made.

    Attributes:
        machine: as the cloud describes it.
        without_stock: the zones that were tried before its own and had none left.
        beside: the user's other machines that run, which may have been forgotten.
        elapsed_seconds: how long it took.
    """

    machine: Machine
    without_stock: tuple[str, ...]
    beside: tuple[Machine, ...]
    elapsed_seconds: float


def launch(
    notebooks: Notebooks, wanted: Launch, zones: Sequence[str], *, tell: StageListener = ignore_stages
) -> Launched:
    """Make the machine *wanted* in the first of *zones* that has one left, and return when the cloud has made it.

    It has not booted by then.

    Raises:
        LabError: the name is taken, or the cloud refuses; for want of stock only after every zone was tried.
    """
    began = time.monotonic()
    tell(Stage(f"asking whether {wanted.name} is free"))
    beside = _require_free(notebooks, wanted)
    tried: list[str] = []
    shortage: LabError | None = None
    for zone in zones:
        tell(Stage(f"creating {wanted.name} in {zone}"))
        try:
            _make(notebooks, wanted, zone)
        except LabError as error:
            if error.kind is not LabErrorKind.OUT_OF_STOCK:
                raise
            tried.append(zone)
            shortage = error
            continue
        machine = notebooks.cloud.machine(zone, wanted.name)
        if machine is None:
            raise gone(wanted.name, zone)
        elapsed_seconds = time.monotonic() - began
        return Launched(machine=machine, without_stock=tuple(tried), beside=beside, elapsed_seconds=elapsed_seconds)
    assert shortage is not None  # noqa: S101 - there is at least one zone, and each of them was out of stock
    raise _out_of_stock(notebooks, wanted, tried, shortage) from shortage


def _require_free(notebooks: Notebooks, wanted: Launch) -> tuple[Machine, ...]:
    """Refuse a name that is taken in any zone, as machines are reached by their names alone; return the user's machines that run."""
    everybody = notebooks.cloud.machines().machines
    same = next((machine for machine in everybody if machine.name == wanted.name), None)
    if same is not None:
        raise LabError(
            LabErrorKind.NAME_TAKEN,
            f"there is a machine {same.name} already: it is {same.state.said}, in {same.zone}",
            hint=f"`epic-notebook status {same.name}` says more; launch under another name, or terminate that one first.",
            machine=same.name,
            zone=same.zone,
            state=same.state.value,
        )
    return tuple(machine for machine in everybody if machine.state is State.RUNNING and notebooks.is_own(machine))


def _make(notebooks: Notebooks, wanted: Launch, zone: str) -> None:
    cloud = notebooks.cloud
    try:
        operation = cloud.insert(zone, launches.instance(wanted, project=cloud.project, zone=zone))
        cloud.wait(operation, within_seconds=CHANGE_SECONDS)
    except LabError as error:
        raise notebooks.with_usage(error) from error


def _out_of_stock(notebooks: Notebooks, wanted: Launch, tried: Sequence[str], shortage: LabError) -> LabError:
    """Name the zones near those that were tried which offer such machines: those that the cloud proposes first."""
    proposed = shortage.facts["elsewhere"]
    nearby: list[str] = [zone for zone in proposed if isinstance(zone, str)] if isinstance(proposed, tuple) else []
    with suppress(LabError):  # the shortage itself is the news
        regions = {zone.rpartition("-")[0] for zone in tried}
        offering = notebooks.cloud.zones_offering(wanted.machine_type)
        nearby += [zone for zone in offering if zone.rpartition("-")[0] in regions]
    what = f"{'spot ' if wanted.spot else ''}{wanted.machine_type}"
    if wanted.gpus is not None:
        what += f" with {wanted.gpus.count} {wanted.gpus.type}"
    elsewhere = [zone for zone in dict.fromkeys(nearby) if zone not in tried]
    return stock_out_error(shortage.facts, wanted=what, tried=tried, elsewhere=elsewhere)
