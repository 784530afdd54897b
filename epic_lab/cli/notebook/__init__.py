"""`epic-notebook`: a machine of one's own in the cloud.

Invariant: the group knows its commands by name only; a command's module is imported when it runs, and Google's library when something is asked.
"""

from __future__ import annotations

import sys

import click

from epic_lab.cli import boundary, options
from epic_lab.cli.options import LazyCommand
from epic_lab.version import VERSION

PROG_NAME = "epic-notebook"

COMMANDS = {
    "launch": LazyCommand("epic_lab.cli.notebook.launch", "Make a machine and wait until its JupyterLab answers."),
    "list": LazyCommand("epic_lab.cli.notebook.listing", "List the lab's machines and what they cost."),
    "status": LazyCommand("epic_lab.cli.notebook.status", "Say how a machine is and what it costs."),
    "open": LazyCommand("epic_lab.cli.notebook.opening", "Open a machine's JupyterLab in the browser."),
    "suspend": LazyCommand("epic_lab.cli.notebook.suspend", "Put a machine to sleep with all that it has in memory."),
    "resume": LazyCommand("epic_lab.cli.notebook.resume", "Wake a suspended machine."),
    "stop": LazyCommand("epic_lab.cli.notebook.stop", "Shut a machine down; its disk stays."),
    "start": LazyCommand("epic_lab.cli.notebook.start", "Start a stopped machine."),
    "terminate": LazyCommand("epic_lab.cli.notebook.terminate", "Delete a machine and its disk for good."),
    "resize": LazyCommand("epic_lab.cli.notebook.resize", "Give a machine another type or a larger disk."),
    "wait": LazyCommand("epic_lab.cli.notebook.wait", "Wait until a machine's JupyterLab answers."),
    "logs": LazyCommand("epic_lab.cli.notebook.logs", "Show what a machine writes to its console."),
    "logs_f": LazyCommand("epic_lab.cli.notebook.logs_f", "Follow what a machine writes to its console."),
    "ssh": LazyCommand("epic_lab.cli.notebook.ssh", "Log in to a machine as the jupyter user."),
    "ssh_raw": LazyCommand("epic_lab.cli.notebook.ssh_raw", "Log in to a machine as yourself."),
}


def _epilog() -> str:
    everyday = (
        "  epic-notebook launch cpu n2-standard-8\n  epic-notebook open cpu\n"
        "  epic-notebook suspend cpu     (in the evening)\n  epic-notebook resume cpu      (in the morning)"
    )
    return f"\b\nEvery day:\n{everyday}\n\n\b\nExit codes:\n{boundary.exit_code_lines()}"


@click.group(
    PROG_NAME,
    cls=options.LazyGroup,
    commands_by_name=COMMANDS,
    epilog=_epilog(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, prog_name=PROG_NAME, message="%(prog)s %(version)s")
def group() -> None:
    """Have a machine of your own in the cloud, with JupyterLab on it.

    Machines are named <username>-<suffix>, the name being SYNCCODE_USERNAME of ~/.epic/lab; the commands take the suffix alone, too.
    A suspended machine keeps everything, kernels included, and costs a fraction; a stopped one keeps its disk.

    Prices are estimates, from a table of list prices. `epic-notebook COMMAND --help` teaches the command.
    """


notebook = group  # by which `epic-lab` hosts it


def main() -> None:
    """Run the command line and exit."""
    sys.exit(boundary.run_group(group, PROG_NAME))
