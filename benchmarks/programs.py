"""Programs that are run and whose words are wanted.

Invariant: whatever a program prints that failed stands in the message.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def output_of(words: Sequence[str | Path], variables: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program and return what it printed.

    Raises:
        SystemExit: it failed.
    """
    ran = subprocess.run([str(it) for it in words], env=variables, cwd=cwd, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def first_line_of(*words: str | Path) -> str:
    """Return the first line that a program prints."""
    return (output_of(words).splitlines() or [""])[0].strip()


def found(name: str) -> str | None:
    """Return where a program is, or ``None``."""
    return shutil.which(name)
