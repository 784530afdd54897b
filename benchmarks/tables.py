"""Results as tables.

Invariant: the same cells everywhere, on a terminal and in the documentation.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.results import DOWN, UP, Measure, Results, ToolResult
from benchmarks.steps import STEPS, Step

# What does not go over the network is no rival, whoever made it.
_LOCAL = {"tar-zstd", "ours-dir"}


def columns(found: Results) -> list[tuple[Step, str]]:
    """Return the steps and directions that somebody measured, in their order."""
    return [
        (step, direction)
        for step in STEPS.values()
        for direction in (UP, DOWN)
        if any(direction in tool.measures.get(step.name, {}) for tool in found.tools.values())
    ]


def seconds(value: float) -> str:
    """Write seconds with what of them is worth reading."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def seconds_fine(value: float) -> str:
    """Write a short time in the unit that suits it."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def size(value: float) -> str:
    """Write bytes likewise."""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def time_cell(measure: Measure | None) -> str:
    """Return a median with the number of its runs."""
    if measure is None:
        return ""
    if measure.median_seconds is None:
        return f"> {measure.ended_after:g}" if measure.ended_after else ""
    return f"{seconds(measure.median_seconds)} ({measure.times})"


def traffic_cell(measure: Measure | None) -> str:
    """Return requests, connections and bytes."""
    if measure is None or not measure.times:
        return ""
    sent = size(measure.median("bytes_up") + measure.median("bytes_down"))
    return f"{measure.median('requests')} / {measure.median('connections')} / {sent}"


def processor_cell(measure: Measure | None) -> str:
    """Return the processor time of a tool's processes, and of what served them."""
    if measure is None or not measure.times:
        return ""
    own, served = statistics.median(measure.cpu_seconds or [0]), statistics.median(measure.served_seconds or [0])
    return f"{seconds(own)} / {seconds(served)}"


def measure_of(tool: ToolResult, step: Step, direction: str) -> Measure | None:
    """Return what a tool did there, if it did."""
    return tool.measures.get(step.name, {}).get(direction)


def best_other(found: Results, step: Step, direction: str, *, ours: str = "ours") -> tuple[str, float] | None:
    """Return the fastest of the tools that go over the network, but ours."""
    candidates = [
        (measure.median_seconds, name)
        for name, tool in found.tools.items()
        if name not in {ours, *_LOCAL} and (measure := measure_of(tool, step, direction)) and measure.median_seconds
    ]
    return (min(candidates)[1], min(candidates)[0]) if candidates else None


def ratio_cell(found: Results, step: Step, direction: str, *, ours: str = "ours") -> str:
    """Return how many times as long as ours the best other took."""
    best = best_other(found, step, direction, ours=ours)
    mine = measure_of(found.tools[ours], step, direction) if ours in found.tools else None
    if best is None or mine is None or mine.median_seconds is None:
        return ""
    return f"{best[1] / mine.median_seconds:.1f}x {best[0]}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown, all columns but the first to the right."""
    align = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, align, *rows)] + [""]
