"""The main job, before your eyes: ``make demo``.

This repository, as it is on the disk with its uncommitted edits, is uploaded from a laptop's home to a store in a
directory. A real IPython kernel starts in another, clean home, synchronises and imports the uploaded code. Then a file is edited,
uploaded, and the next kernel runs the edit.

Invariant: everything goes through the installed commands and a real kernel; both homes are temporary, and the repository
that you stand in is only read.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
REPO = "epic_lab_demo"
_KERNEL_SECONDS = 60
_LEFT_OUT = shutil.ignore_patterns(
    ".venv", "__pycache__", "*.egg-info", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"
)

_IMPORT = """
import benchmarks, benchmarks.note
print(benchmarks.note.__file__)
print(benchmarks.note.TEXT)
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a kernel said.

    Attributes:
        greeting: the lines that it printed when it started.
        answer: the lines that the cell printed.
        start_seconds: from the launch of its process until it answered.
    """

    greeting: list[str]
    answer: list[str]
    start_seconds: float


@dataclass(frozen=True, slots=True)
class Home:
    """A home directory of its own, as of another machine."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process there is told."""
        kept = {
            key: value for key, value in os.environ.items() if key in {"PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT"}
        }
        return {
            **kept,
            "HOME": str(self.path),
            "USERPROFILE": str(self.path),
            "IPYTHONDIR": str(self.path / ".ipython"),
        }

    def command(self, *words: str) -> dict[str, Any]:
        """Run ``epic-synccode`` there and return its report."""
        program = Path(sys.executable).with_name("epic-synccode")
        ran = subprocess.run(
            [str(program), *words, "--json"],
            env=self.environment,
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise SystemExit(f"epic-synccode {' '.join(words)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
        report: dict[str, Any] = json.loads(ran.stdout)
        return report

    def kernel(self, code: str) -> Kernel:
        """Start a kernel there, run *code* in it, and end it."""
        began = time.perf_counter()
        with _kernel(self) as (manager, client):
            client.wait_for_ready(timeout=_KERNEL_SECONDS)
            ready = time.perf_counter() - began
            printed: list[str] = []

            def collect(message: dict[str, Any]) -> None:
                if message["msg_type"] == "stream":
                    printed.append(message["content"]["text"])
                elif message["msg_type"] == "error":
                    printed.append("\n".join(message["content"]["traceback"]))

            client.execute_interactive(code, timeout=_KERNEL_SECONDS, output_hook=collect)
            del manager
        greeting = (self.path / "kernel.log").read_text(encoding="utf-8").splitlines()
        return Kernel([line for line in greeting if line.startswith("synccode")], "".join(printed).splitlines(), ready)


@contextmanager
def _kernel(home: Home) -> Iterator[tuple[KernelManager, Any]]:
    # What is printed while a kernel starts, before anybody is connected, goes to its process's own output.
    with (home.path / "kernel.log").open("w", encoding="utf-8") as log:
        manager = KernelManager()
        manager.start_kernel(env=home.environment, cwd=str(home.path), stdout=log, stderr=subprocess.STDOUT)
        client = manager.blocking_client()
        client.start_channels()
        try:
            yield manager, client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


class Demo:
    """The steps, and the table that tells of them."""

    def __init__(self, folder: Path, console: Console) -> None:
        """Lay out a laptop, a machine and a store under *folder*."""
        self._console = console
        self._store = f"file://{(folder / 'store').as_posix()}"
        self._laptop = Home(folder / "laptop")
        self._machine = Home(folder / "machine")
        self._code = self._laptop.path / "code" / REPO
        self._table = Table(
            "step", "what came of it", "storage calls", "seconds", title_justify="left", box=None, pad_edge=False
        )

    def run(self) -> None:
        """Do it all."""
        self._set_up()
        self._upload("upload the repository")
        self._start_kernel("start a kernel", "committed")
        self._start_kernel("start another: nothing new", "committed")
        self._edit("edited on the laptop, not committed")
        self._upload("edit a file; upload")
        self._start_kernel("start a kernel", "edited on the laptop, not committed")
        self._upload("upload again: nothing new")
        self._console.print()
        self._console.print(self._table)

    def _set_up(self) -> None:
        for home in (self._laptop, self._machine):
            home.path.mkdir()
        shutil.copytree(ROOT, self._code, symlinks=True, ignore=_LEFT_OUT)
        self._edit("committed")
        settings = self._laptop.path / ".epic" / "lab"
        settings.parent.mkdir()
        settings.write_text(
            f"SYNCCODE_GCS_BASE_URL={self._store}\nSYNCCODE_USERNAME=ann\nSYNCCODE_LOCAL_CODE_BASE=~/code\nSYNCCODE_REPOS={REPO}\n",
            encoding="utf-8",
        )
        self._machine.command("configure-vm", "--base-url", self._store, "--username", "ann")
        startup = self._machine.path / ".ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "00-epic-lab.py").write_text("from epic_lab.ipython_startup import *\n", encoding="utf-8")
        self._console.print(f"[bold]laptop[/]   {escape(str(self._code))}: this repository, as it is on the disk")
        self._console.print(f"[bold]store[/]    {escape(self._store)}")
        self._console.print(
            f"[bold]machine[/]  {escape(str(self._machine.path))}: a clean home, with one line in its IPython profile\n"
        )

    def _edit(self, text: str) -> None:
        (self._code / "benchmarks" / "note.py").write_text(f'"""A note."""\n\nTEXT = {text!r}\n', encoding="utf-8")

    def _upload(self, step: str) -> None:
        began = time.perf_counter()
        report = self._laptop.command("upload")
        seconds = time.perf_counter() - began
        (repo,) = report["repos"]
        what = f"{repo['files']:,} files, {repo['size_bytes'] / 1e6:.1f} MB; {repo['added']} new, {repo['modified']} changed"
        self._tell(f"laptop$ epic-synccode upload\n         {repo['outcome']}: {what}, snapshot {repo['snapshot'][:7]}")
        self._row(step, f"{repo['outcome']}: {what}", _calls(report), seconds)

    def _start_kernel(self, step: str, expected: str) -> None:
        kernel = self._machine.kernel(_IMPORT)
        self._tell(
            "machine: a kernel starts\n         "
            + "\n         ".join([*kernel.greeting, "In [1]: import benchmarks.note", *kernel.answer])
        )
        if kernel.answer[-1:] != [expected] or str(self._machine.path / "synccode" / REPO) not in "".join(
            kernel.answer
        ):
            raise SystemExit(f"the kernel did not run the uploaded code: expected {expected!r}, found {kernel.answer}")
        self._row(step, f"runs the code that says: {expected}", "", kernel.start_seconds)

    def _tell(self, text: str) -> None:
        self._console.print(escape(text) + "\n", highlight=False, soft_wrap=True)

    def _row(self, step: str, what: str, calls: str, seconds: float) -> None:
        self._table.add_row(step, what, calls, f"{seconds:.2f}")


def _calls(report: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(report["calls"].items()))


def main() -> None:
    """Run the demonstration in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="epic-lab-demo-") as folder:
        Demo(Path(folder).resolve(), Console()).run()


if __name__ == "__main__":
    main()
