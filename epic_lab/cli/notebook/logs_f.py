"""`epic-notebook logs_f`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.notebook import life, logs


@click.command(epilog=options.examples("epic-notebook logs_f gpu"))
@life.name_argument
def command(name: str) -> None:
    """Follow what a machine writes to its console.

    The same as `epic-notebook logs NAME --follow`: until the machine stops, or ^C.
    """
    logs.show(name, follow=True, start=0, as_json=False)
