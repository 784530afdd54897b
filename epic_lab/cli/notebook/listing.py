"""`epic-notebook list`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli import wording as words
from epic_lab.cli.notebook import life, wording
from epic_lab.machines import prices
from epic_lab.machines.machine import Machine
from epic_lab.notebook import Found, Notebooks

_HEAD = ("NAME", "STATE", "MACHINE", "ZONE", "AGE", "NOW/H", "SUSPENDED/H", "WHO", "URL")


@click.command(epilog=options.examples("epic-notebook list", "epic-notebook list --mine", "epic-notebook list --json"))
@click.option("--mine", is_flag=True, help="Only your own machines.")
@options.json_option
def command(*, mine: bool, as_json: bool) -> None:
    """List the lab's machines and what they cost.

    The prices are an hour's, now and while suspended: estimates, from a table of list prices. A machine of the lab is one that has the
    network tag epic-lab.
    """
    notebooks, output = life.opened(as_json=as_json)
    found = notebooks.every()
    machines = [machine for machine in found.machines if not mine or notebooks.is_own(machine)]
    if found.unreachable:
        output.warn(f"these zones did not answer, and their machines are missing here: {', '.join(found.unreachable)}")
    output.result(lines(notebooks, machines, mine=mine), document(notebooks, machines, found))


def lines(notebooks: Notebooks, machines: list[Machine], *, mine: bool) -> list[str]:
    """Word the list: a line for each machine, and what they cost together."""
    if not machines:
        whose = "you have no machine" if mine else "the lab has no machine"
        return [f"{whose} in project {notebooks.cloud.project}; `epic-notebook launch NAME` makes one"]
    rows = [_row(notebooks, machine) for machine in machines]
    if not notebooks.domain:
        rows = [row[:-1] for row in rows]
    head = _HEAD[: len(rows[0])]
    costs = [prices.of_machine(machine).now(machine.state) for machine in machines]
    unknown = sum(cost is None for cost in costs)
    total = wording.money(sum(cost for cost in costs if cost is not None))
    without = f", without {words.counted(unknown, 'machine')} of unknown price" if unknown else ""
    estimate = f"an estimate: list prices, {prices.table()['as_of']}"
    return [
        *words.columns([head, *rows]),
        f"{words.counted(len(machines), 'machine')}, {total} an hour now{without}  ({estimate})",
    ]


def document(notebooks: Notebooks, machines: list[Machine], found: Found) -> dict[str, object]:
    """Return the list as JSON says it."""
    return {
        "command": "list",
        "project": notebooks.cloud.project,
        "machines": [wording.machine_document(notebooks, machine) for machine in machines],
        "unreachable_zones": list(found.unreachable),
    }


def _row(notebooks: Notebooks, machine: Machine) -> tuple[str, ...]:
    price = prices.of_machine(machine)
    can_suspend = price.suspended is not None
    return (
        machine.name,
        machine.state.said,
        wording.what(machine),
        machine.zone,
        wording.age_of(machine),
        wording.money(price.now(machine.state)),
        wording.money(price.suspended) if can_suspend else "-",
        notebooks.owner(machine),
        notebooks.url(machine.name) or "",
    )
