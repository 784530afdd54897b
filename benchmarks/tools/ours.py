"""``epic-synccode upload`` and ``epic-synccode download``."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from shutil import copyfile, copytree
from tempfile import TemporaryDirectory

from benchmarks.network import BUCKET, ROOT
from benchmarks.programs import first_line_of
from benchmarks.site import Command, Site
from benchmarks.tools.base import Tool

PROGRAM = Path(sys.executable).with_name("epic-synccode")
_NAMES_PRODUCT = "installed-from"
_PACKAGES = ("epic_lab", "synccore")
_BESIDE = ("pyproject.toml", "README.md")


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
        program = program_in(cache)
        return None if program.exists() else f"there is no {program}"

    def fetch(self, cache: Path, *, install: bool) -> None:
        """Install the product as its users do: the finder of an editable installation costs each start of Python 13 ms."""
        if not self.local and program_in(cache) == PROGRAM and "PYTHONPATH" not in os.environ:
            folder = cache / "ours"
            subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], check=True)
            pip = [
                sys.executable,
                "-m",
                "pip",
                "--python",
                str(folder),
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            with TemporaryDirectory() as made:  # what is built leaves its traces beside the source
                for name in (*_PACKAGES, *_BESIDE):
                    (copytree if (ROOT / name).is_dir() else copyfile)(ROOT / name, Path(made) / name)
                if subprocess.run([*pip, made], check=False).returncode == 0:
                    (folder / _NAMES_PRODUCT).write_text(_product(), encoding="utf-8")

    def version(self, cache: Path) -> str:
        """Return its version."""
        return first_line_of(program_in(cache), "--version")

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
        certificates = site.network.certificates.variables
        usual = {name: it for name, it in site.variables(home).items() if name != "SSL_CERT_FILE"}
        variables = {**usual, **certificates, **storage, **python_path()}
        return Command(words=(str(program_in(site.cache)), word), cwd=home, variables=variables)


def program_in(cache: Path) -> Path:
    """Return the command as it was installed in *cache*, or the one beside this Python if that is of another source."""
    folder = cache / "ours"
    note = folder / _NAMES_PRODUCT
    if "PYTHONPATH" in os.environ or not note.exists() or note.read_text(encoding="utf-8") != _product():
        return PROGRAM
    return folder / Path(PROGRAM.parent.name) / PROGRAM.name


@cache
def _product() -> str:
    """Return what stands for the source of the product as it is now."""
    told = hashlib.sha256()
    sources = [it for folder in _PACKAGES for it in (ROOT / folder).rglob("*.py")]
    for path in sorted([ROOT / "pyproject.toml", *sources]):
        told.update(f"{path} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()


def python_path() -> dict[str, str]:
    """Return the variable by which the product is tried from a working tree, where it is not installed from there."""
    if "PYTHONPATH" not in os.environ:
        return {}
    return {"PYTHONPATH": os.pathsep.join(str(Path(it).resolve()) for it in os.environ["PYTHONPATH"].split(os.pathsep))}
