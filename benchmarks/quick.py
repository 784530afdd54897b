"""The quick form, for continuous integration: one round of one tree, and counts that may not grow.

Times are printed and never judged: machines differ. What is counted does not depend on the machine.

Invariant: nothing is fetched but the packages that the tree is made of, and every ceiling is one of DESIGN's budgets or follows
from one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import runner
from benchmarks.network import ROOT, Network
from benchmarks.results import DOWN, UP, Results
from benchmarks.site import Site
from benchmarks.steps import EDIT, FIRST, SAME, Step
from benchmarks.tools.base import Tool
from benchmarks.tools.ours import Ours
from benchmarks.trees import Tree

TREE = "300"
RTT_MS = 20
TOOLS = ("ours", "rclone-strong", "git", "tar-zstd")
LIMITS = runner.Limits(rounds=1, patience_seconds=20)

_EVERYDAY_BYTES = 160 * 1024 + 20_000  # the body's budget, and what HTTP and TLS put around two connections


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What a step in a direction may cost at most.

    Attributes:
        requests: to the bucket.
        connections: that are opened.
        bytes_each_way: over the network, protocols included; for a first time, as a part of the tree's size.
    """

    requests: int
    connections: int
    bytes_each_way: float


_EVERYDAY = Ceiling(requests=1, connections=2, bytes_each_way=_EVERYDAY_BYTES)

CEILINGS: dict[tuple[str, str], Ceiling] = {
    ("first", UP): Ceiling(requests=3, connections=2, bytes_each_way=0.40),
    ("first", DOWN): Ceiling(requests=3, connections=2, bytes_each_way=0.40),
    ("same", UP): replace(_EVERYDAY, bytes_each_way=8_000),
    ("same", DOWN): replace(_EVERYDAY, bytes_each_way=8_000),
    ("edit", UP): _EVERYDAY,
    ("edit", DOWN): _EVERYDAY,
    ("edit20", UP): _EVERYDAY,
    ("edit20", DOWN): _EVERYDAY,
    ("rename", UP): _EVERYDAY,
    ("touch", UP): replace(_EVERYDAY, bytes_each_way=8_000),
    ("touch", DOWN): replace(_EVERYDAY, bytes_each_way=8_000),
}


def regressions(found: Results) -> list[str]:
    """Return a line for each count that is above its ceiling."""
    lines = []
    for (step, direction), ceiling in CEILINGS.items():
        measure = found.tools["ours"].measures[step][direction]
        bytes_each_way = ceiling.bytes_each_way * (found.size_bytes if step == FIRST.name else 1)
        for what, found_here, allowed in (
            ("requests", measure.median("requests"), ceiling.requests),
            ("connections", measure.median("connections"), ceiling.connections),
            ("bytes up", measure.median("bytes_up"), bytes_each_way),
            ("bytes down", measure.median("bytes_down"), bytes_each_way),
        ):
            if found_here > allowed:
                lines.append(f"{step} {direction}: expected at most {allowed:,.0f} {what}, found {found_here:,}")
    return lines


def opened_files(tree: Tree, folder: Path, cache: Path) -> list[str]:
    """Return a line for each everyday command that opens a file of a tree which it need not."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made, Network(Path(made), 0) as network:
        site = Site(folder=Path(made) / "ours", network=network, tree=tree, cache=cache)
        site.clear()
        ours = Ours()
        ours.set_up(site)

        def after(step: Step, check: Callable[[Sequence[str], Sequence[str]], bool], allowed: str) -> None:
            before = {it: it.stat().st_mtime_ns for it in site.source.rglob("*.py")}
            step.change(site.source, 0)
            changed = [it.name for it in before if it.stat().st_mtime_ns != before[it]]
            for word, home, root in (
                ("upload", site.laptop, site.source),
                ("download", site.machine, site.target),
            ):
                opened = [it for it in _opened_by(ours, site, word, home, root) if not it.startswith(".git")]
                if not check(opened, changed):
                    lines.append(
                        f"{step.name} {word}: expected {allowed} to be opened, found {len(opened)}: {opened[:3]}"
                    )

        for word, home, root in (("upload", site.laptop, site.source), ("download", site.machine, site.target)):
            _opened_by(ours, site, word, home, root)
        _settle(ours, site)
        after(SAME, lambda opened, _: not any(it.endswith(".py") for it in opened), "no file")
        after(
            EDIT,
            lambda opened, changed: {Path(it).name for it in opened if it.endswith(".py")} <= set(changed),
            "the edited file",
        )
    return lines


def _settle(ours: Ours, site: Site) -> None:
    """Upload once more: what was written in the same instant as the first look is read again, once."""
    _opened_by(ours, site, "upload", site.laptop, site.source)


def _opened_by(ours: Tool, site: Site, word: str, home: Path, root: Path) -> list[str]:
    (command,) = ours.upload(site) if word == "upload" else ours.download(site)
    report = site.folder / "opened.json"
    paths = [str(ROOT), *filter(None, [command.variables.get("PYTHONPATH")])]
    variables = {**command.variables, "PYTHONPATH": os.pathsep.join(paths)}
    words = [sys.executable, "-m", "benchmarks.opened", str(root), str(report), word]
    ran = subprocess.run(words, cwd=home, env=variables, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"{word} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    names: list[str] = json.loads(report.read_text(encoding="utf-8"))
    return names
