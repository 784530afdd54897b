"""`epic-notebook resume`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life
from epic_lab.machines.states import Verb


@click.command(epilog=options.examples("epic-notebook resume gpu", "epic-notebook resume gpu --json"))
@life.name_argument
@options.json_option
def command(name: str, *, as_json: bool) -> None:
    """Wake a suspended machine.

    It goes on where it was. A machine that was stopped has lost its memory and is started with `epic-notebook start`.
    """
    life.change(Verb.RESUME, name, as_json=as_json)
