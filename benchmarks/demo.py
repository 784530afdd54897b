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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

ROOT = Path(__file__).resolve().parent.parent
REPO = "epic_lab_demo"
_KERNEL_SECONDS = 60
_LEFT_OUT = shutil.ignore_patterns(
    ".venv", "__pycache__", "*.egg-info", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"
)

_FIRST = "written on the laptop, not committed"
_SECOND = "edited on the laptop, not committed"

_CELL = "import benchmarks.note as note; note.TEXT, note.__file__"
_CALLS = """
import json
from epic_lab.kernel.hook import kernel_code
print(json.dumps({"calls": dict(kernel_code().calls), "text": note.TEXT, "file": note.__file__}))
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a kernel said.

    Attributes:
        line: the line in which it said what it synchronised.
        calls: how often it asked the store, by kind.
        text: what the imported module says.
        file: where that module stands.
        start_seconds: from the launch of its process until it answered.
    """

    line: str
    calls: dict[str, int]
    text: str
    file: str
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

    def kernel(self) -> Kernel:
        """Start a kernel there, let it import the uploaded module, and end it."""
        # Sockets in a folder, where nobody else can take them; the path of one must be short.
        with tempfile.TemporaryDirectory(prefix="epic-", ignore_cleanup_errors=True) as sockets:
            return self._kernel(KernelManager(connection_file=f"{sockets}/kernel.json", transport="ipc"))

    def _kernel(self, manager: KernelManager) -> Kernel:
        began = time.perf_counter()
        manager.start_kernel(env=self.environment, cwd=str(self.path))
        client = manager.blocking_client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=_KERNEL_SECONDS)
            ready = time.perf_counter() - began
            said = _run(client, _CELL)
            found = json.loads(_run(client, _CALLS)[-1])
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()
        line = next((line for line in said if line.startswith("synccode")), "")
        return Kernel(line, found["calls"], found["text"], found["file"], ready)


def _run(client: Any, code: str) -> list[str]:
    """Run a cell and return the lines that it printed."""
    printed: list[str] = []

    def collect(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])
        elif message["msg_type"] == "error":
            raise SystemExit("\n".join(message["content"]["traceback"]))

    client.execute_interactive(code, timeout=_KERNEL_SECONDS, output_hook=collect)
    return "".join(printed).splitlines()


class Demo:
    """The steps, told as they happen, and the table that sums them up."""

    def __init__(self, folder: Path, console: Console) -> None:
        """Lay out a laptop, a machine and a store under *folder*."""
        self._console = console
        self._store = f"file://{(folder / 'store').as_posix()}"
        self._laptop = Home(folder / "laptop")
        self._machine = Home(folder / "machine")
        self._code = self._laptop.path / "code" / REPO
        self._table = Table(
            "", "storage calls", Column("seconds", justify="right"), box=box.SIMPLE_HEAD, pad_edge=False
        )

    def run(self) -> None:
        """Do it all."""
        self._set_up()
        self._upload("first upload", "This repository, as it is on the disk, goes into the store.")
        self._start_kernel(
            "first kernel", "A kernel starts in a clean home, with one line in its IPython profile.", _FIRST
        )
        self._start_kernel("kernel, nothing new", "Another one starts: one request, and nothing else.", _FIRST)
        self._edit(_SECOND)
        self._upload("upload of an edit", "A file is edited, not committed: one request carries it.")
        self._start_kernel("kernel after an edit", "The next kernel runs the edit.", _SECOND)
        self._upload("upload, nothing new", "Nothing has changed since: one request, and no file is read.")
        self._console.print(self._table)
        self._console.print(
            "[dim]seconds: whole commands, start of Python included; kernels, from launch until they answer[/]"
        )

    def _set_up(self) -> None:
        for home in (self._laptop, self._machine):
            home.path.mkdir()
        shutil.copytree(ROOT, self._code, symlinks=True, ignore=_LEFT_OUT)
        self._edit(_FIRST)
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

    def _edit(self, text: str) -> None:
        (self._code / "benchmarks" / "note.py").write_text(f'"""A note."""\n\nTEXT = {text!r}\n', encoding="utf-8")

    def _upload(self, step: str, story: str) -> None:
        began = time.perf_counter()
        report = self._laptop.command("upload")
        seconds = time.perf_counter() - began
        (repo,) = report["repos"]
        changes = {"added": "new", "modified": "changed", "deleted": "deleted"}
        counts = [f"{repo[key]:,} {word}" for key, word in changes.items() if repo[key]] or ["unchanged"]
        self._tell(
            story,
            "laptop$ [bold]epic-synccode upload[/]",
            f"        snapshot [cyan]{repo['snapshot'][:7]}[/] of {repo['files']:,} files, {repo['size_bytes'] / 1e6:.1f} MB: "
            f"{', '.join(counts)}; {report['stored_bytes'] / 1e3:,.1f} kB stored",
        )
        self._row(step, report["calls"], seconds)

    def _start_kernel(self, step: str, story: str, expected: str) -> None:
        kernel = self._machine.kernel()
        uploaded = str(self._machine.path / "synccode" / REPO)
        if kernel.text != expected or not kernel.file.startswith(uploaded):
            raise SystemExit(f"the kernel did not run the uploaded code: expected {expected!r}, found {kernel}")
        self._tell(
            story,
            "machine [dim]In \\[1]:[/] [bold]import benchmarks.note as note; note.TEXT[/]",
            f"        [green]{escape(kernel.line)}[/]",
            f"        [dim]Out\\[1]:[/] {kernel.text!r}  [dim]from ~/{escape(str(Path(kernel.file).relative_to(self._machine.path)))}[/]",
        )
        self._row(step, kernel.calls, kernel.start_seconds)

    def _tell(self, story: str, *lines: str) -> None:
        self._console.print(f"[italic]{story}[/]", highlight=False)
        for line in lines:
            self._console.print("  " + line, highlight=False, soft_wrap=True)
        self._console.print()

    def _row(self, step: str, calls: dict[str, int], seconds: float) -> None:
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(calls.items()))
        self._table.add_row(step, told, f"{seconds:.2f}")


def main() -> None:
    """Run the demonstration in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="epic-lab-demo-") as folder:
        Demo(Path(folder).resolve(), Console()).run()


if __name__ == "__main__":
    main()
