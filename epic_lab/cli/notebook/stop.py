"""`epic-notebook stop`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life
from epic_lab.machines.states import Verb


@click.command(epilog=options.examples("epic-notebook stop gpu", "epic-notebook stop gpu --json"))
@life.name_argument
@options.json_option
def command(name: str, *, as_json: bool) -> None:
    """Shut a machine down; its disk stays.

    What is in memory is lost, kernels included. A stopped machine costs its disk and nothing else.
    """
    life.change(Verb.STOP, name, as_json=as_json)
