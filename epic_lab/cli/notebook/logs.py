"""`epic-notebook logs`, and how a console is shown."""

from __future__ import annotations

import sys

import click

from epic_lab import notebook_watch
from epic_lab.cli import options
from epic_lab.cli import wording as words
from epic_lab.cli.notebook import life, wording
from epic_lab.cli.output import Output
from epic_lab.notebook_watch import Heard
from epic_lab.printable import printable_lines


@click.command(
    epilog=options.examples(
        "epic-notebook logs gpu", "epic-notebook logs gpu -f", "epic-notebook logs gpu --start 48213"
    )
)
@life.name_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the machine stops or ^C.")
@click.option(
    "--start",
    type=int,
    default=0,
    show_default=True,
    metavar="POSITION",
    help="Where to begin, as an earlier call said; a negative one counts bytes from the end.",
)
@options.json_option
def command(name: str, *, follow: bool, start: int, as_json: bool) -> None:
    """Show what a machine writes to its console.

    The boot and the set-up are in it. The cloud keeps about the last megabyte. A note says where the output ends, so that a later call can
    go on from there.
    """
    if follow and as_json:
        raise click.UsageError("--follow has no end, and --json is one document", ctx=click.get_current_context())
    show(name, follow=follow, start=start, as_json=as_json)


def show(name: str, *, follow: bool, start: int, as_json: bool) -> None:
    """Show the console of the machine that *name* means, from *start* on."""
    notebooks, output = life.opened(as_json=as_json)
    machine = notebooks.find(name)
    if not follow:
        heard = notebook_watch.console(notebooks, machine, start=start)
        _note_hole(output, heard)
        output.result([heard.text.rstrip("\n")] if heard.text else [], wording.console_document(machine.name, heard))
        if not as_json:
            output.note(f"to go on from here: epic-notebook logs {name} --start {heard.next}")
        return
    position = start
    try:
        for heard in notebook_watch.follow(notebooks, machine, start=start):
            _note_hole(output, heard)
            if heard.is_anew:
                output.note(f"{machine.name} was started anew")
            _print(heard.text)
            position = heard.next
    except KeyboardInterrupt:
        output.note(f"to go on from here: epic-notebook logs {name} -f --start {position}")
        return
    output.note(f"{machine.name} does not run any more")


def _note_hole(output: Output, heard: Heard) -> None:
    if heard.missed_bytes:
        output.note(f"{words.size(heard.missed_bytes)} of output before this are kept no more")


def _print(text: str) -> None:
    shown = printable_lines(text.replace("\r\n", "\n")) if sys.stdout is not None and sys.stdout.isatty() else text
    click.echo(shown, nl=False)
