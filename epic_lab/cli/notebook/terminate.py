"""`epic-notebook terminate`."""

from __future__ import annotations

import sys

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life, wording
from epic_lab.cli.notebook.stages import stages_on
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines.machine import Machine
from epic_lab.machines.states import Verb
from epic_lab.notebook import Changed, Notebooks


@click.command(epilog=options.examples("epic-notebook terminate gpu", "epic-notebook terminate gpu --yes"))
@life.name_argument
@click.option("--yes", is_flag=True, help="Do not ask first.")
@options.json_option
def command(name: str, *, yes: bool, as_json: bool) -> None:
    """Delete a machine and its disk for good.

    What is on the disk and nowhere else is lost. Code that came from a laptop is still there, and in the store.
    """
    notebooks, output = life.opened(as_json=as_json)
    machine = notebooks.find(name)
    if not yes:
        _confirm(notebooks, machine, can_ask=not as_json and sys.stdin.isatty())
    hint = f"It may be under way: `epic-notebook status {machine.name}`."
    with life.left_going(machine.name, hint), stages_on(output) as tell:
        changed = notebooks.change(Verb.TERMINATE, machine, tell=tell)
    output.result(wording.changed_lines(notebooks, changed), document(notebooks, changed))


def document(notebooks: Notebooks, changed: Changed) -> dict[str, object]:
    """Return what was done as JSON says it."""
    return wording.changed_document("terminate", notebooks, changed)


def _confirm(notebooks: Notebooks, machine: Machine, *, can_ask: bool) -> None:
    """Ask whether it is meant.

    Raises:
        LabError: it is not, or nobody can be asked.
    """
    disk = machine.boot_disk
    lost = f" and its disk of {disk.size_gb} GB" if disk else ""
    whose = "" if machine.name == notebooks.name(machine.name) else f" {notebooks.owner(machine)}'s machine"
    question = f"Delete{whose} {machine.name} ({wording.what(machine)}, {machine.state.said}){lost} for good?"
    if can_ask and click.confirm(question, err=True):
        return
    why = "was not confirmed" if can_ask else "must be confirmed, and there is no terminal to ask on"
    raise LabError(
        LabErrorKind.NOT_CONFIRMED,
        f"the end of {machine.name} {why}; nothing was changed",
        hint=f"`epic-notebook terminate {machine.name} --yes` does not ask; `epic-notebook stop {machine.name}` keeps the disk.",
        machine=machine.name,
    )
