"""`epic-notebook status`."""

from __future__ import annotations

import click

from epic_lab import notebook_watch
from epic_lab.cli import options
from epic_lab.cli import wording as words
from epic_lab.cli.notebook import life, wording
from epic_lab.machines import prices
from epic_lab.machines.machine import Machine
from epic_lab.machines.serial import Setup
from epic_lab.notebook import Notebooks


@click.command(epilog=options.examples("epic-notebook status gpu", "epic-notebook status gpu --json"))
@life.name_argument
@options.json_option
def command(name: str, *, as_json: bool) -> None:
    """Say how a machine is and what it costs.

    Of a running machine also how far its set-up has come, by what it has written to its console.
    """
    notebooks, output = life.opened(as_json=as_json)
    machine = notebooks.find(name)
    setup = notebook_watch.setup_of(notebooks, machine)
    output.result(lines(notebooks, machine, setup), document(notebooks, machine, setup))


def lines(notebooks: Notebooks, machine: Machine, setup: Setup | None) -> list[str]:
    """Word what is known, one fact a line."""
    price = prices.of_machine(machine)
    disk = machine.boot_disk
    facts = [
        ("state", machine.state.said),
        ("set-up", "" if setup is None else setup_words(setup)),
        ("machine", wording.what(machine)),
        ("disk", f"{disk.size_gb} GB" if disk else ""),
        ("zone", machine.zone),
        ("age", wording.age_of(machine)),
        ("who", notebooks.owner(machine)),
        ("address", machine.address or ""),
        ("url", notebooks.url(machine.name) or ""),
        ("ends", f"stops by itself, after {machine.max_run_seconds // 60} min" if machine.max_run_seconds else ""),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(machine.labels.items()))),
        ("now", f"{wording.money(price.now(machine.state))} an hour"),
        ("price", wording.price_line(price, spot=machine.is_spot)),
    ]
    return [machine.name, *words.columns([("  " + fact, said) for fact, said in facts if said])]


def document(notebooks: Notebooks, machine: Machine, setup: Setup | None) -> dict[str, object]:
    """Return what is known as JSON says it."""
    return {
        "command": "status",
        "project": notebooks.cloud.project,
        "machine": wording.machine_document(notebooks, machine),
        "setup": None if setup is None else setup_document(setup),
    }


def setup_words(setup: Setup) -> str:
    """Say how far a set-up has come."""
    step = f"step {setup.step}/{setup.steps}: {setup.doing}" if setup.step else "booting"
    if setup.is_ready:
        return "ready"
    if setup.failure is not None:
        return f"failed at {step}: {setup.failure}"
    return "ended, and says nothing of JupyterLab" if setup.has_ended else step


def setup_document(setup: Setup) -> dict[str, object]:
    """Return how far a set-up has come as JSON says it."""
    return {
        "ready": setup.is_ready,
        "failure": setup.failure,
        "ended": setup.has_ended or setup.is_ready,
        "step": setup.step,
        "steps": setup.steps,
        "doing": setup.doing,
    }
