"""`epic-lab`: sets the lab up, checks it, and hosts the other two commands.

Invariant: the group knows its commands by name only; a hosted group, and all that is behind it, is imported when it is run.
"""

from __future__ import annotations

import sys

import click

from epic_lab.cli import boundary, options
from epic_lab.cli.options import LazyCommand
from epic_lab.version import VERSION

PROG_NAME = "epic-lab"

COMMANDS = {
    "init": LazyCommand("epic_lab.cli.lab.init", "Write a laptop's configuration, asking for what is not given."),
    "doctor": LazyCommand("epic_lab.cli.lab.doctor", "Check that everything the lab needs is there and works."),
    "completion": LazyCommand(
        "epic_lab.cli.lab.completion", "Let the shell complete what is typed after the lab's commands."
    ),
    "synccode": LazyCommand(
        "epic_lab.cli.synccode.group",
        "Run on a VM exactly the code that is on the laptop, uncommitted edits included.",
        attribute="group",
    ),
    "notebook": LazyCommand(
        "epic_lab.cli.notebook",
        "Have a machine of your own in the cloud, with JupyterLab on it.",
        attribute="notebook",
    ),
}


@click.group(
    PROG_NAME,
    cls=options.LazyGroup,
    commands_by_name=COMMANDS,
    epilog=(
        "\b\nThe first time:\n  laptop$ epic-lab init\n  laptop$ epic-lab doctor\n\n"
        f"\b\nExit codes:\n{boundary.exit_code_lines()}"
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, prog_name=PROG_NAME, message="%(prog)s %(version)s")
def group() -> None:
    """Set the lab up, check it, and reach its other commands.

    `epic-lab synccode …` is the same as `epic-synccode …`, and `epic-lab notebook …` as `epic-notebook …`. Every command but completion takes --json and then prints one JSON
    document. `epic-lab COMMAND --help` teaches the command.
    """


def main() -> None:
    """Run the command line and exit."""
    sys.exit(boundary.run_group(group, PROG_NAME))
