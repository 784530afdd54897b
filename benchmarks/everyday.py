"""The commands of every day on a very large tree, and the start of commands: the bars of the design that name one number.

Invariant: whole commands, each a fresh process, from its start to its end.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.kernel_start import write_many
from benchmarks.network import Network
from benchmarks.results import machine
from benchmarks.site import Command, Site
from benchmarks.steps import EDIT
from benchmarks.tools.ours import Ours
from benchmarks.trees import Tree, git


def measure(*, files: int, times: int, folder: Path) -> dict[str, Any]:
    """Measure a git repository of so many small files, and the start of commands."""
    with (
        tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made,
        tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as network_folder,
        Network(Path(network_folder), 0) as network,
    ):
        root = Path(made) / "tree"
        write_many(root, files)
        git(root, "init", "-q")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", "one")
        tree = Tree(name=str(files), path=root, files=files, size_bytes=0, source="small modules")
        site = Site(folder=Path(made) / "ours", network=network, tree=tree, cache=folder)
        ours = Ours()
        site.clear()
        ours.set_up(site)
        time.sleep(2.1)  # as in a round: the tree is older than the first look at it
        (upload,), (download,) = ours.upload(site), ours.download(site)
        cases: dict[str, list[float]] = {"first upload": [_timed(upload)], "first download": [_timed(download)]}

        def take(name: str, command: Command) -> None:
            cases.setdefault(name, []).append(_timed(command))

        for turn in range(times):
            for rtt_ms in (0, 20):
                network.set_rtt(rtt_ms / 1000)
                take(f"upload, nothing changed, {rtt_ms} ms", upload)
                EDIT.change(site.source, turn * 100 + rtt_ms)
                take(f"upload, one file edited, {rtt_ms} ms", upload)
                take(f"download of it, {rtt_ms} ms", download)
                take(f"download, nothing changed, {rtt_ms} ms", download)
            for words in (("--help",), ("upload", "--help"), ("--version",)):
                command = Command(words=(upload.words[0], *words), cwd=site.laptop, variables=upload.variables)
                take(f"epic-synccode {' '.join(words)}", command)
    return {"machine": machine(folder), "files": files, "cases": cases}


def section(content: dict[str, Any]) -> list[str]:
    """Return the section of the page."""
    rows = [(name, f"{tables.seconds(statistics.median(it))} s", str(len(it))) for name, it in content["cases"].items()]
    return [
        f"## Ours, every day, with {content['files']:,} files in one git repository",
        "",
        *tables.markdown(("whole commands", "median", "runs"), rows),
    ]


def _timed(command: Command) -> float:
    began = time.perf_counter()
    subprocess.run(command.words, cwd=command.cwd, env=dict(command.variables), check=True, capture_output=True)
    return time.perf_counter() - began
