"""Where each shell looks for a user's completion scripts.

Invariant: only files that are wholly the lab's are written; no start-up file of a shell is ever touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from epic_lab.config import Environment
from epic_lab.errors import LabError, LabErrorKind

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = ("epic-lab", "epic-synccode", "epic-notebook")


class Installed(NamedTuple):
    """What was written, and what else the user must do."""

    files: tuple[Path, ...]
    changed: bool
    advice: str


def place_of(environment: Environment, shell: str, program: str) -> Path:
    """Return the file in which *shell* looks for the script of *program*."""
    home = environment.home
    if shell == "bash":
        return (environment.data_folder or home / ".local" / "share") / "bash-completion" / "completions" / program
    if shell == "fish":
        return (environment.settings_folder or home / ".config") / "fish" / "completions" / f"{program}.fish"
    return home / ".zfunc" / f"_{program}"


def install(environment: Environment, shell: str, scripts: Mapping[str, str]) -> Installed:
    """Write each program's script where *shell* finds it; twice is once.

    Raises:
        LabError: the disk refuses.
    """
    changed = False
    files = {place_of(environment, shell, program): script for program, script in scripts.items()}
    for path, script in files.items():
        data = script.encode()
        try:
            if path.is_file() and path.read_bytes() == data:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise LabError(
                LabErrorKind.LOCAL_DISK,
                f"cannot write {path}: {error.strerror or error}",
                hint=f"Print the script instead, and put it where it belongs: epic-lab completion {shell}",
                path=path,
            ) from error
        changed = True
    return Installed(tuple(files), changed, _ADVICE[shell])


_ADVICE = {
    "bash": "New shells complete, where the package bash-completion is installed.",
    "zsh": "New shells complete, once ~/.zshrc has these lines:\n  fpath=(~/.zfunc $fpath)\n  autoload -Uz compinit && compinit",
    "fish": "New shells complete.",
}
