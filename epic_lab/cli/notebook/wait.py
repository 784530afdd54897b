"""`epic-notebook wait`, and how a wait until JupyterLab answers is worded."""

from __future__ import annotations

import click

from epic_lab import notebook_watch
from epic_lab.cli import options
from epic_lab.cli.notebook import life, wording
from epic_lab.cli.notebook.stages import stages_on
from epic_lab.notebook import Notebooks
from epic_lab.notebook_watch import Readiness, Waited


@click.command(epilog=options.examples("epic-notebook wait gpu", "epic-notebook wait gpu --minutes 10"))
@life.name_argument
@click.option(
    "--minutes",
    type=click.IntRange(min=1),
    default=int(notebook_watch.READY_SECONDS // 60),
    show_default=True,
    metavar="NUMBER",
    help="How long to wait.",
)
@options.json_option
def command(name: str, *, minutes: int, as_json: bool) -> None:
    """Wait until a machine's JupyterLab answers.

    The steps of the set-up are shown as they come. ^C stops the waiting and not the machine.
    """
    notebooks, output = life.opened(as_json=as_json)
    machine = notebooks.find(name)
    with life.left_going(machine.name, hint(machine.name)), stages_on(output) as tell:
        waited = notebook_watch.wait_until_ready(notebooks, machine, tell=tell, within_seconds=60.0 * minutes)
    output.result(lines(notebooks, waited), document(notebooks, waited))


def hint(name: str) -> str:
    """Say how to go on waiting."""
    return f"`epic-notebook wait {name}` waits again; `epic-notebook terminate {name}` ends it."


def lines(notebooks: Notebooks, waited: Waited) -> list[str]:
    """Word the end of the wait."""
    name = waited.machine.name
    after = wording.elapsed(waited.elapsed_seconds)
    if waited.readiness is Readiness.READY:
        said = f"{name}  ready after {after}"
    else:
        said = f"{name}  runs; its set-up has ended and says nothing of JupyterLab"
    url = notebooks.url(name)
    return [said, *([f"  {url}"] if url else [])]


def document(notebooks: Notebooks, waited: Waited) -> dict[str, object]:
    """Return the end of the wait as JSON says it."""
    return {
        "command": "wait",
        "project": notebooks.cloud.project,
        "machine": wording.machine_document(notebooks, waited.machine),
        "readiness": waited.readiness.value,
        "elapsed_seconds": round(waited.elapsed_seconds, 1),
    }
