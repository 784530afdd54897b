"""`epic-notebook suspend`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life
from epic_lab.machines.states import Verb


@click.command(epilog=options.examples("epic-notebook suspend gpu", "epic-notebook suspend gpu --json"))
@life.name_argument
@options.json_option
def command(name: str, *, as_json: bool) -> None:
    """Put a machine to sleep with all that it has in memory.

    Kernels, variables and open files are there again after `epic-notebook resume`. Meanwhile it costs its disk and the keeping of its memory.
    The cloud keeps a suspended machine for 60 days and then stops it. A machine with a GPU cannot be suspended; stop it.
    """
    life.change(Verb.SUSPEND, name, as_json=as_json)
