"""`epic-synccode path`."""

from __future__ import annotations

import os
import sys

import click

from epic_lab import synccode
from epic_lab.cli import options
from epic_lab.cli.output import Output
from epic_lab.code_paths import CodePaths
from epic_lab.lab import Lab


@click.command(epilog=options.examples('export PYTHONPATH="$(epic-synccode path)"', "epic-synccode path --json"))
@options.json_option
def command(*, as_json: bool) -> None:
    """Print the folders to import from, for PYTHONPATH.

    On a laptop these are the repositories of SYNCCODE_REPOS, on a VM those in ~/synccode, by name on both. A repository with a
    file .synccode_sub_paths gives the folders listed there instead of its root, one relative path a line; `.` is the root.
    """
    lab = Lab.here()
    output = Output.of(lab, as_json=as_json)
    found = synccode.paths(lab)
    _print_exactly()
    output.result([os.pathsep.join(map(str, found.paths))], document(found))
    for problem in found.problems:
        place = f"{problem.file}, line {problem.line}:" if problem.line else str(problem.file)
        output.warn(f"{place} {problem.fault}")
    for path in found.paths:
        if os.pathsep in str(path):
            output.warn(f"{path} has a {os.pathsep!r} in its name, which PYTHONPATH cannot say")


def document(found: CodePaths) -> dict[str, object]:
    """Return the paths as JSON says them; docs/reference/cli.md describes it."""
    return {
        "command": "path",
        "paths": [str(path) for path in found.paths],
        "problems": [{"file": str(p.file), "line": p.line, "fault": p.fault} for p in found.problems],
    }


def _print_exactly() -> None:
    """Let a folder's name that is not UTF-8 leave as the bytes that it is."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="surrogateescape")
