"""`epic-synccode`: the laptop's code in every notebook.

Invariant: an upload or a download that is asked for by that one word means what the group would find out that it means.
"""

from __future__ import annotations

import sys

PROG_NAME = "epic-synccode"

# What is typed every day needs no parser, and click's import takes 15 of 120 ms.
_EVERYDAY = {"upload": "uploading", "up": "uploading", "download": "downloading", "dn": "downloading"}


def run() -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:]
    if len(words) == 1 and words[0] in _EVERYDAY:
        _begin()
        from importlib import import_module

        from epic_lab.cli import boundary

        return boundary.run(import_module(f"epic_lab.cli.synccode.{_EVERYDAY[words[0]]}").run)
    from epic_lab.cli import boundary
    from epic_lab.cli.synccode.group import group

    return boundary.run_group(group, PROG_NAME)


def _begin() -> None:
    """Begin to connect; whatever the command needs is imported meanwhile."""
    import os

    from synccore import headstart

    headstart.begin(os.path.expanduser("~/.epic/state/address"))  # noqa: PTH111 - pathlib takes 3 ms to import


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run())
