"""The commands of `epic-synccode`, their names and their help.

Invariant: the group knows its commands by name only; a command's module, and the engine behind it, is imported when it runs.
"""

from __future__ import annotations

import click

from epic_lab.cli import boundary, options
from epic_lab.cli.options import LazyCommand
from epic_lab.cli.synccode import PROG_NAME
from epic_lab.version import VERSION

COMMANDS = {
    "upload": LazyCommand(
        "epic_lab.cli.synccode.upload", "Publish the laptop's code, uncommitted edits included.", "up"
    ),
    "download": LazyCommand("epic_lab.cli.synccode.download", "Bring ~/synccode to what was uploaded last.", "dn"),
    "status": LazyCommand("epic_lab.cli.synccode.status", "Compare this machine's code with the store."),
    "log": LazyCommand("epic_lab.cli.synccode.log", "Show what was uploaded, newest first."),
    "explain": LazyCommand("epic_lab.cli.synccode.explain", "Say why paths are uploaded or left out."),
    "rescued": LazyCommand(
        "epic_lab.cli.synccode.rescued", "List the edits that were saved here before they were replaced."
    ),
    "delete": LazyCommand("epic_lab.cli.synccode.delete", "Stop synchronising a repository."),
    "verify": LazyCommand("epic_lab.cli.synccode.verify", "Check that everything stored is whole."),
    "prune": LazyCommand(
        "epic_lab.cli.synccode.prune", "Delete what neither the newest code nor the kept history needs."
    ),
    "path": LazyCommand("epic_lab.cli.synccode.path", "Print the folders to import from, for PYTHONPATH."),
    "configure-vm": LazyCommand("epic_lab.cli.synccode.configure_vm", "Write a VM's configuration."),
}


def _epilog() -> str:
    everyday = (
        "  laptop$ epic-synccode upload\n  vm$     epic-synccode download   (a kernel's start does this by itself)"
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
    """Run on a VM exactly the code that is on the laptop, uncommitted edits included.

    A laptop uploads the repositories that SYNCCODE_REPOS names in ~/.epic/lab; a VM, which names none, downloads them into
    ~/synccode. An upload never leaves half of itself behind, and a download never loses an edit that was made on the VM.

    Every command takes --json and then prints one JSON document. `epic-synccode COMMAND --help` teaches the command.
    """
