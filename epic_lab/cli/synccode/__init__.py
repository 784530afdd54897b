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
        module = _EVERYDAY[words[0]]
        _begin(module)
        from importlib import import_module

        from epic_lab.cli import boundary

        return boundary.run(import_module(f"epic_lab.cli.synccode.{module}").run)
    from epic_lab.cli import boundary
    from epic_lab.cli.synccode.group import group

    return boundary.run_group(group, PROG_NAME)


def _begin(module: str) -> None:
    """Begin what takes others some time, where the last command has begun it; what this one needs is imported meanwhile."""
    import os

    from synccore import headstart

    state = os.path.expanduser("~/.epic/state")  # noqa: PTH111 - pathlib takes 3 ms to import
    headstart.begin(f"{state}/address")
    looked_at = f"{state}/looked-at"
    if module == "uploading" and os.path.exists(looked_at):  # noqa: PTH110 - likewise
        from synccore.worktree import ahead

        ahead.begin(looked_at)
    headstart.secure()
    if module == "uploading" and os.path.exists(looked_at):  # noqa: PTH110 - likewise
        ahead.begin_listings()


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run())
