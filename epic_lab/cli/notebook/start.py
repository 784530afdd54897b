"""`epic-notebook start`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life
from epic_lab.machines.states import Verb


@click.command(epilog=options.examples("epic-notebook start gpu", "epic-notebook start gpu --json"))
@life.name_argument
@options.json_option
def command(name: str, *, as_json: bool) -> None:
    """Start a stopped machine.

    A suspended one is resumed. `epic-notebook wait NAME` then waits until its JupyterLab answers.
    """
    life.change(Verb.START, name, as_json=as_json)
