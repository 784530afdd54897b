"""What the engine costs against the number of files, of repositories and of snapshots, without network and start of Python.

Invariant: the storage is a dictionary in memory, so that every second is the engine's own; requests are counted as they go.
"""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import charts, tables
from benchmarks.kernel_start import write_many
from benchmarks.results import machine
from synccore.backends.memory import MemoryBackend
from synccore.history import log
from synccore.prune import Retention, prune
from synccore.testing.lab import USER, Lab

FILES = (10, 100, 1_000, 10_000, 100_000)
REPOS = (1, 5, 10, 25, 50)
HISTORY = (1, 10, 100, 1_000, 10_000)

_FILES_IN_A_REPO = 100
_FILES_WITH_HISTORY = 30
_TIMES = 5

SAME_UP, EDIT_UP = "upload, nothing changed (a scan)", "upload, one file edited"
SAME_DOWN, EDIT_DOWN = "kernel start, nothing changed", "kernel start, one file edited"
FIRST_UP, FIRST_DOWN = "first upload", "first download"
LOG, PRUNE = "log of 10", "prune, dry run"


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operation costs at a size.

    Attributes:
        seconds: the median.
        requests: to the storage, of all kinds.
        bytes_moved: to and from it.
    """

    seconds: float
    requests: int
    bytes_moved: int


class _Clocked:
    """A lab whose operations are timed and counted."""

    def __init__(self, folder: Path) -> None:
        self.lab = Lab(folder, MemoryBackend())
        # Files count as old, as those of a tree do that somebody has; without this the newest would be read at each look.
        self.lab.clock.run_ahead()
        self._edits = 0

    def costs(self, *, names: Sequence[str], times: int = _TIMES) -> dict[str, Cost]:
        lab = self.lab
        acts: dict[str, Callable[[], object]] = {
            SAME_UP: lab.laptop.push,
            EDIT_UP: lab.laptop.push,
            SAME_DOWN: lab.machine.pull,
            EDIT_DOWN: lab.machine.pull,
            LOG: lambda: log(USER, lab.backend, limit=10),
            PRUNE: lambda: prune(USER, lab.backend, retention=Retention(), dry_run=True),
        }
        found: dict[str, list[Cost]] = {}
        for _ in range(times):
            for name in names:
                if name == EDIT_UP:
                    self.edit()
                found.setdefault(name, []).append(self.cost(acts[name]))
        return {
            name: Cost(
                statistics.median(it.seconds for it in costs),
                round(statistics.median(it.requests for it in costs)),
                round(statistics.median(it.bytes_moved for it in costs)),
            )
            for name, costs in found.items()
        }

    def cost(self, act: Callable[[], object]) -> Cost:
        backend = self.lab.backend
        backend.reset()
        began = time.perf_counter()
        act()
        seconds = time.perf_counter() - began
        return Cost(seconds, sum(backend.calls.values()), backend.bytes_read + backend.bytes_written)

    def edit(self) -> None:
        self._edits += 1
        file = next(min(self.lab.laptop.code.iterdir()).rglob("*.py"))
        file.write_text(f'"""Edited."""\n\nNUMBER = {self._edits}\n' + "#" * (self._edits % 97))


_EVERYDAY = (SAME_UP, EDIT_UP, EDIT_DOWN, SAME_DOWN)


def measure(
    *,
    files: Sequence[int],
    repos: Sequence[int],
    history: Sequence[int],
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure all three directions of growth."""
    content: dict[str, Any] = {"machine": machine(folder)}
    with tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made:
        _with_repos(Path(made), 1, min(files))  # imports what there is to import
    content["files"] = _table(files, lambda made, size: _with_repos(made, 1, size), folder, say, "files")
    content["repositories"] = _table(
        repos, lambda made, size: _with_repos(made, size, _FILES_IN_A_REPO), folder, say, "repositories"
    )
    content["snapshots"] = _with_history(history, folder, say)
    return content


def _table(
    sizes: Sequence[int],
    costs_at: Callable[[Path, int], dict[str, Cost]],
    folder: Path,
    say: Callable[[str], None],
    what: str,
) -> dict[str, dict[str, list[float]]]:
    table: dict[str, dict[str, list[float]]] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made:
            _enter(table, size, costs_at(Path(made), size))
        say(f"{what}: {size:,}")
    return table


def _with_repos(folder: Path, repos: int, files: int) -> dict[str, Cost]:
    clocked = _Clocked(folder)
    for number in range(repos):
        write_many(clocked.lab.laptop.code / f"repo{number}", files)
    found = {
        FIRST_UP: clocked.cost(clocked.lab.laptop.push),
        FIRST_DOWN: clocked.cost(clocked.lab.machine.pull),
    }
    return {**found, **clocked.costs(names=_EVERYDAY)}


def _with_history(sizes: Sequence[int], folder: Path, say: Callable[[str], None]) -> dict[str, dict[str, list[float]]]:
    """Let one history grow, and stop at each size."""
    table: dict[str, dict[str, list[float]]] = {}
    made = Path(tempfile.mkdtemp(prefix="epic-bench-", dir=folder))
    try:
        clocked = _Clocked(made)
        write_many(clocked.lab.laptop.code / "repo", _FILES_WITH_HISTORY)
        clocked.lab.laptop.push()
        snapshots = 1
        for size in sizes:
            while snapshots < size:
                clocked.edit()
                clocked.lab.laptop.push()
                snapshots += 1
            clocked.lab.machine.pull()
            _enter(table, size, clocked.costs(names=(*_EVERYDAY, LOG, PRUNE), times=3))
            snapshots += 3
            say(f"snapshots: {size:,}")
    finally:
        shutil.rmtree(made)
    return table


def _enter(table: dict[str, dict[str, list[float]]], size: int, costs: Mapping[str, Cost]) -> None:
    for name, cost in costs.items():
        table.setdefault(name, {})[str(size)] = [cost.seconds, cost.requests, cost.bytes_moved]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the exponent with which cost grows: 0 does not grow, 1 is proportional; by least squares between logarithms.

    Only the larger half of the sizes counts: below, what an operation costs at all hides how it grows.
    """
    larger = [(math.log(x), math.log(y)) for x, y in sorted(points)[len(points) // 2 :] if x > 0 and y > 0]
    if len(larger) < 2:
        return 0.0
    mean_x, mean_y = statistics.fmean(x for x, _ in larger), statistics.fmean(y for _, y in larger)
    spread = sum((x - mean_x) ** 2 for x, _ in larger)
    return sum((x - mean_x) * (y - mean_y) for x, y in larger) / spread if spread else 0.0


def section(content: dict[str, Any]) -> list[str]:
    """Return the section of the page."""
    lines = [
        "## Growth",
        "",
        "The engine alone, in one process, with the storage in memory: neither network nor start of Python. Time (requests).",
        "The slope is the exponent over the larger half of the sizes: 0 does not grow, 1 is proportional.",
        "",
    ]
    for what in ("files", "repositories", "snapshots"):
        table = content.get(what, {})
        sizes = sorted({int(size) for costs in table.values() for size in costs})
        rows = [
            (
                name,
                *[_cell(costs.get(str(size))) for size in sizes],
                f"{slope([(int(size), cost[0]) for size, cost in costs.items()]):.2f}",
            )
            for name, costs in table.items()
        ]
        lines += tables.markdown((f"{what}:", *[f"{it:,}" for it in sizes], "slope"), rows)
        lines += [f"![cost against {what}](benchmarks/growth-{what}.svg)", ""]
    return lines


def plots(content: dict[str, Any]) -> dict[str, str]:
    """Return the section's plots by the names of their files."""
    return {
        f"growth-{what}.svg": charts.lines(
            f"Cost against the number of {what}",
            {
                name: [(float(size), cost[0]) for size, cost in sorted(costs.items(), key=lambda it: int(it[0]))]
                for name, costs in content.get(what, {}).items()
            },
            across_unit=what,
        )
        for what in ("files", "repositories", "snapshots")
    }


def _cell(cost: Sequence[float] | None) -> str:
    return f"{tables.seconds_fine(cost[0])} ({cost[1]:.0f})" if cost else ""
