"""`epic-notebook ssh_raw`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life
from epic_lab.cli.notebook.ssh import log_in


@click.command(epilog=options.examples("epic-notebook ssh_raw gpu", "epic-notebook ssh_raw gpu -- -v"))
@life.name_argument
@click.argument("flags", metavar="[-- ARGS]...", nargs=-1, type=click.UNPROCESSED)
def command(name: str, flags: tuple[str, ...]) -> int:
    """Log in to a machine as yourself.

    The same way as `epic-notebook ssh`, with the user that gcloud chooses: for looking after the machine, where sudo is needed.
    """
    return log_in(name, user=None, flags=flags)
