"""What was measured, as it is kept: one small file of JSON for each tree and round trip.

Invariant: a tool's figures in a file all come from one run; measuring it again replaces them.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.trees import NOTEBOOK, Tree

FOLDER = Path(__file__).resolve().parent / "results"
UP, DOWN = "up", "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One step in one direction, as often as it was done.

    Attributes:
        seconds: of each whole command, start to end.
        cpu_seconds: that its processes took.
        served_seconds: of processor time that server and network took meanwhile, on the same machine.
        requests: to the bucket, of all operations; the median of the runs, as is what follows.
        connections: that were opened.
        bytes_up: sent.
        bytes_down: received.
        ended_after: the patience, where the command was ended because it took longer.
    """

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    served_seconds: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    bytes_up: list[int] = field(default_factory=list)
    bytes_down: list[int] = field(default_factory=list)
    ended_after: float | None = None

    @property
    def times(self) -> int:
        """How often it was done to its end."""
        return len(self.seconds)

    @property
    def median_seconds(self) -> float | None:
        """The median, or ``None`` where it was never done to its end."""
        return statistics.median(self.seconds) if self.seconds else None

    def median(self, what: str) -> int:
        """Return the median of one of the counts."""
        values: list[int] = getattr(self, what)
        return round(statistics.median(values)) if values else 0


@dataclass(slots=True, kw_only=True)
class ToolResult:
    """A tool on a tree at a round trip.

    Attributes:
        version: as the tool says it.
        absent: why it was not measured.
        measures: by step and direction.
        note: what a reader must know.
    """

    version: str = ""
    absent: str | None = None
    note: str = ""
    measures: dict[str, dict[str, Measure]] = field(default_factory=dict)

    def measure(self, step: str, direction: str) -> Measure:
        """Return the measure to which a step's figures are added."""
        return self.measures.setdefault(step, {}).setdefault(direction, Measure())


@dataclass(slots=True, kw_only=True)
class Results:
    """All tools on a tree at a round trip."""

    tree: str
    files: int
    size_bytes: int
    source: str
    rtt_ms: int
    on_disk: bool = False
    machine: dict[str, str] = field(default_factory=dict)
    tools: dict[str, ToolResult] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The names of file and plot, without what they end in."""
        return f"tree-{self.tree}-rtt-{self.rtt_ms}{'-disk' * self.on_disk}"

    @property
    def title(self) -> str:
        """What was measured, in words."""
        tree = "100 MB notebook" if self.tree == NOTEBOOK else f"{self.files:,} files, {self.size_bytes / 1e6:,.0f} MB"
        return f"{tree}, round trip {self.rtt_ms} ms{', on a disk' * self.on_disk}"

    @property
    def file_name(self) -> str:
        """Where they are kept, below `FOLDER`."""
        return f"{self.name}.json"

    def save(self, folder: Path) -> None:
        """Keep them, beside those of other tools that are there."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / self.file_name
        if file.exists():
            kept = load(file)
            self.tools = {**kept.tools, **self.tools}
        save_json(file, asdict(self))


def save_json(file: Path, content: object) -> None:
    """Keep *content*, with figures as long as they are worth reading."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(_rounded(content), indent=1) + "\n", encoding="utf-8")


def begin(tree: Tree, rtt_ms: int, folder_of_run: Path) -> Results:
    """Return results without any."""
    facts = {"tree": tree.name, "files": tree.files, "size_bytes": tree.size_bytes, "source": tree.source}
    return Results(**facts, rtt_ms=rtt_ms, machine=machine(folder_of_run))  # type: ignore[arg-type]


def load(file: Path) -> Results:
    """Read results."""
    content = json.loads(file.read_text(encoding="utf-8"))
    tools = {
        name: ToolResult(
            **{
                **tool,
                "measures": {
                    step: {direction: Measure(**measure) for direction, measure in directions.items()}
                    for step, directions in tool["measures"].items()
                },
            }
        )
        for name, tool in content.pop("tools").items()
    }
    return Results(**content, tools=tools)


def load_all(folder: Path) -> list[Results]:
    """Read whatever there is, small trees first."""
    every = (load(it) for it in folder.glob("tree-*.json"))
    return sorted(every, key=lambda it: (it.tree == NOTEBOOK, it.on_disk, it.files, it.rtt_ms))


def machine(folder_of_run: Path) -> dict[str, str]:
    """Say what the figures were measured on."""
    return {
        "processors": str(os.cpu_count()),
        "processor": _processor(),
        "memory": f"{_memory_bytes() / 2**30:.0f} GiB",
        "system": platform.platform(aliased=True, terse=True),
        "python": sys.version.split()[0],
        "file_system": _file_system(folder_of_run),
    }


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return 0


def _file_system(folder: Path) -> str:
    best = ("", "unknown")
    for line in _lines(Path("/proc/mounts")):
        _, where, kind, *_ = line.split()
        if folder.resolve().is_relative_to(where) and len(where) > len(best[0]):
            best = (where, kind)
    return best[1]


def _lines(file: Path) -> Iterable[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _rounded(content: object) -> object:
    if isinstance(content, float):
        return float(f"{content:.5g}")
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_rounded(it) for it in content]
    return content
