"""``epic-synccode upload`` and ``epic-synccode download``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.network import BUCKET
from benchmarks.programs import first_line_of
from benchmarks.site import Command, Site
from benchmarks.tools.base import Tool

PROGRAM = Path(sys.executable).with_name("epic-synccode")


class Ours(Tool):
    """What this repository is about.

    Args:
        name: in tables.
        in_directory: whether the store is a directory of this machine in place of the bucket, which is what an archive in a
            local file is to be compared with.
    """

    def __init__(self, name: str = "ours", *, in_directory: bool = False) -> None:
        self.name = name
        self.local = in_directory

    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured: it is not installed beside this Python."""
        return None if PROGRAM.exists() else f"there is no {PROGRAM}"

    def version(self, cache: Path) -> str:
        """Return its version."""
        return first_line_of(PROGRAM, "--version")

    def set_up(self, site: Site) -> None:
        """Write both configurations."""
        url = f"file://{site.folder}/store" if self.local else f"gs://{BUCKET}/synccode"
        store = f"SYNCCODE_GCS_BASE_URL={url}\nSYNCCODE_USERNAME=ann\n"
        code = f"SYNCCODE_LOCAL_CODE_BASE={site.source.parent}\nSYNCCODE_REPOS={site.source.name}\n"
        for home, text in ((site.laptop, store + code), (site.machine, store)):
            (home / ".epic").mkdir()
            (home / ".epic" / "lab").write_text(text)

    def upload(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [self._command(site, site.laptop, "upload")]

    def download(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [self._command(site, site.machine, "download")]

    def _command(self, site: Site, home: Path, word: str) -> Command:
        storage = {"STORAGE_EMULATOR_HOST": f"https://{site.network.https}"}
        variables = {**site.variables(home), **storage, **python_path()}
        return Command(words=(str(PROGRAM), word), cwd=home, variables=variables)


def python_path() -> dict[str, str]:
    """Return the variable by which the product is tried from a working tree, where it is not installed from there."""
    if "PYTHONPATH" not in os.environ:
        return {}
    return {"PYTHONPATH": os.pathsep.join(str(Path(it).resolve()) for it in os.environ["PYTHONPATH"].split(os.pathsep))}
