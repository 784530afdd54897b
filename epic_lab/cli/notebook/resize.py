"""`epic-notebook resize`."""

from __future__ import annotations

import time

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life, wording
from epic_lab.cli.notebook.stages import stages_on
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import prices
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.stage import StageListener
from epic_lab.machines.states import Verb
from epic_lab.notebook import Notebooks


@click.command(
    epilog=options.examples(
        "epic-notebook resize gpu n2-standard-16 --restart",
        "epic-notebook resize gpu --disk 500",
    )
)
@life.name_argument
@click.argument("machine_type", metavar="[MACHINE_TYPE]", required=False)
@click.option("--disk", "disk_gb", type=click.IntRange(min=1), metavar="GB", help="Make the disk that large.")
@click.option("--restart", is_flag=True, help="Stop the machine for a new type if it runs, and start it again.")
@options.json_option
def command(name: str, *, machine_type: str | None, disk_gb: int | None, restart: bool, as_json: bool) -> None:
    """Give a machine another type or a larger disk.

    The disk can grow while the machine runs, and never shrinks; the file system grows at the next start. The type can change only while the
    machine is stopped: what is in memory is lost.
    """
    if machine_type is None and disk_gb is None:
        raise click.UsageError("give a MACHINE_TYPE, or --disk GB, or both", ctx=click.get_current_context())
    notebooks, output = life.opened(as_json=as_json)
    machine = notebooks.find(name)
    began = time.monotonic()
    hint = f"`epic-notebook status {machine.name}` shows what it is now."
    with life.left_going(machine.name, hint), stages_on(output) as tell:
        if machine_type is not None:
            notebooks.require_type(machine, machine_type)
        if disk_gb is not None:
            notebooks.resize_disk(machine, disk_gb, tell=tell)
        if machine_type is not None and machine_type != machine.machine_type:
            _retype(notebooks, machine, machine_type, restart=restart, tell=tell)
        now = notebooks.find(machine.name)
    elapsed_seconds = time.monotonic() - began
    output.result(lines(machine, now), document(notebooks, machine, now, elapsed_seconds=elapsed_seconds))


def lines(before: Machine, now: Machine) -> list[str]:
    """Word what has changed."""
    changes = []
    if before.machine_type != now.machine_type:
        changes.append(f"{before.machine_type} -> {now.machine_type}")
    if _disk_gb(before) != _disk_gb(now):
        changes.append(f"disk {_disk_gb(before)} GB -> {_disk_gb(now)} GB")
    price = wording.price_line(prices.of_machine(now), spot=now.is_spot)
    return [
        f"{now.name}  {', '.join(changes) or 'has that size already; nothing to do'}; it is {now.state.said}",
        f"  {price}",
    ]


def document(notebooks: Notebooks, before: Machine, now: Machine, *, elapsed_seconds: float) -> dict[str, object]:
    """Return what has changed as JSON says it."""
    return {
        "command": "resize",
        "project": notebooks.cloud.project,
        "machine": wording.machine_document(notebooks, now),
        "before": {"machine_type": before.machine_type, "disk_gb": _disk_gb(before)},
        "elapsed_seconds": round(elapsed_seconds, 1),
    }


def _retype(notebooks: Notebooks, machine: Machine, machine_type: str, *, restart: bool, tell: StageListener) -> None:
    runs = machine.state is State.RUNNING
    if runs and not restart:
        raise LabError(
            LabErrorKind.WRONG_STATE,
            f"{machine.name} is running and cannot be given another type: only a stopped machine can",
            hint=f"This stops it, changes it and starts it again; what is in memory is lost:\n"
            f"  epic-notebook resize {machine.name} {machine_type} --restart",
            machine=machine.name,
            state=machine.state.value,
        )
    if not runs:
        notebooks.retype(machine, machine_type, tell=tell)
        return
    stopped = notebooks.change(Verb.STOP, machine, tell=tell).machine
    try:
        notebooks.retype(stopped, machine_type, tell=tell)
    finally:  # whatever came of it, the machine runs again as it did
        notebooks.change(Verb.START, stopped, tell=tell)


def _disk_gb(machine: Machine) -> int:
    disk = machine.boot_disk
    return 0 if disk is None else disk.size_gb
