"""`epic-synccode download`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.synccode import downloading


@click.command(epilog=options.examples("epic-synccode download", "epic-synccode dn --json"))
@options.json_option
def command(*, as_json: bool) -> None:
    """Bring ~/synccode to what was uploaded last.

    Each repository is at ~/synccode/REPO. Only what differs is fetched and written. A kernel's start does the same by itself.

    A file that was edited here is saved under ~/synccode/.rescued before the laptop's version is written, and a line says
    where; files that synchronisation never wrote stay as they are. A repository that is no longer synchronised keeps its copy.
    """
    downloading.run(as_json=as_json)
