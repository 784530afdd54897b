"""Run a command of ours in this process and say which files below a folder it opened.

    python -m benchmarks.opened FOLDER REPORT upload

Invariant: the command is what the installed one runs, and its exit code is passed on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from synccore.testing.opened_files import OpenedFiles


def main(arguments: list[str]) -> int:
    """Run the command and write the names to the report."""
    folder, report, *words = arguments
    from epic_lab.cli.synccode import run

    sys.argv = ["epic-synccode", *words]
    codes: list[int] = []
    names = OpenedFiles().during(Path(folder), lambda: codes.append(run()))
    Path(report).write_text(json.dumps(names), encoding="utf-8")
    return codes[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
