"""`docs/benchmarks.md` and its plots, made of whatever results there are.

Invariant: no figure stands in the page that is not in a file of results, and each has the number of its runs beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import charts, everyday, growth, kernel_start, network_check, tables
from benchmarks.results import DOWN, UP, Results, load_all
from benchmarks.steps import EDIT, FIRST, SAME
from benchmarks.tools import TOOLS

_HEAD = """# Benchmarks

How fast a working tree gets from a laptop to a machine, beside what people use for that today. This page is made by
`make bench` from the figures in `benchmarks/results`; `make bench-quick` prints a small part of it in under a minute.

## How it is measured

* **Whole commands**: each figure is a fresh process from its start to its end, Python's start included. Median (number of runs).
* **One bucket for all**: a server that answers as Google Cloud Storage does, in a process of its own, over TLS. Git talks to
  `git http-backend` on the same machine, over TLS likewise. Our server answers at once, where Google's takes tens of
  milliseconds: that favours those who send many requests.
* **One network for all**: a proxy of our own delays every byte by half the round trip each way without serialising, charges a
  connection its handshake, and lets it start slowly (14,600 bytes, doubling each round trip, anew after a second idle). At 0 ms it
  delays nothing. Bandwidth has no limit, which favours those who send much.
* **The same trees**: git repositories made of pinned packages from PyPI, without compiled libraries, on a file system in memory,
  older than two seconds when the first upload looks at them. Tools other than git and ours are told to leave `.git` out.
* **Checked**: after each download the machine's tree is compared with the laptop's, byte for byte.
* **In turns**: a round of each tool, in an order that rotates; slow tools get fewer rounds. A cell with `>` was ended after so long, and
  where it was a first time the following steps began from what the tool would have left.
* **Who is flattered**: git's first push finds the tree committed and packed, and its other uploads commit (which loses nothing, but
  whoever synchronises so has a commit for every run). restic 0.14 cannot delete on the machine: what is gone on the laptop stays there.
  `tar | zstd` has no network at all and knows nothing of the last time; it stands there as the limit, and `ours-dir`, which is ours
  with a store in a directory of the same machine, beside it.

```
make bench                                   # everything
python -m benchmarks run --trees 3000 --rtt 20 --tools ours,restic   # a part, which replaces those figures
python -m benchmarks report                  # this page anew
```
"""


def write_report(results: Path, docs: Path) -> Path:
    """Write the page and its plots, and return the page."""
    every = [it for it in load_all(results) if it.tools]
    plots = docs / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    parts = [_HEAD, *_machine_section(every), *_summary(every)]
    for found in every:
        parts += _tree_section(found, plots)
    sections: dict[str, Callable[[dict[str, Any]], list[str]]] = {
        "everyday": everyday.section,
        "kernel": kernel_start.section,
        "growth": growth.section,
        "network": network_check.section,
        "parts": _parts_section,
    }
    for name, section in sections.items():
        file = results / f"{name}.json"
        if file.exists():
            content = json.loads(file.read_text(encoding="utf-8"))
            parts += section(content)
            for plot, drawn in (growth.plots(content) if name == "growth" else {}).items():
                (plots / plot).write_text(drawn, encoding="utf-8")
    page = docs / "benchmarks.md"
    page.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return page


def _machine_section(every: Sequence[Results]) -> list[str]:
    if not every:
        return ["Nothing has been measured yet.", ""]
    machine = every[-1].machine
    lines = ["## On what, and with which versions", ""]
    lines.append(
        f"{machine['processors']} processors ({machine['processor']}), {machine['memory']}, {machine['system']}, Python "
        f"{machine['python']}; trees on {machine['file_system']}."
    )
    lines.append("")
    versions: dict[str, str] = {}
    for found in every:
        for name, tool in found.tools.items():
            if name not in versions or not tool.absent:
                versions[name] = tool.version or f"absent: {tool.absent}"
    return [*lines, *tables.markdown(("tool", "version"), sorted(versions.items()))]


def _summary(every: Sequence[Results]) -> list[str]:
    """Say where ours is the fastest, and where it is not."""
    rows = []
    lost = []
    for found in every:
        cells = []
        for step, direction in ((it, way) for it in (FIRST, SAME, EDIT) for way in (UP, DOWN)):
            mine = tables.measure_of(found.tools["ours"], step, direction) if "ours" in found.tools else None
            theirs = tables.measure_of(found.tools["gsutil"], step, direction) if "gsutil" in found.tools else None
            cells.append(tables.time_cell(mine) + _against(mine, theirs))
        rows.append((found.title, *cells))
        for step, direction in tables.columns(found):
            best = tables.best_other(found, step, direction)
            mine = tables.measure_of(found.tools["ours"], step, direction) if "ours" in found.tools else None
            if best and mine and mine.median_seconds and best[1] < mine.median_seconds:
                lost.append(
                    f"* {found.title}; {step.title}, {direction}: {best[0]} "
                    f"{tables.seconds(best[1])} s, ours {tables.seconds(mine.median_seconds)} s"
                )
    header = (
        "ours, seconds (runs), times faster than gsutil",
        "first up",
        "first down",
        "same up",
        "same down",
        "edit up",
        "edit down",
    )
    lines = ["## In short", "", *tables.markdown(header, rows)]
    if lost:
        lines += [f"Another tool was faster in {len(lost)} cells:", "", *lost, ""]
    else:
        lines += ["No other tool was faster in any cell.", ""]
    return lines


def _against(mine: Any, theirs: Any) -> str:
    if mine is None or theirs is None or not mine.median_seconds:
        return ""
    if theirs.median_seconds:
        return f", {theirs.median_seconds / mine.median_seconds:.0f}x"
    return f", > {theirs.ended_after / mine.median_seconds:.0f}x" if theirs.ended_after else ""


def _tree_section(found: Results, plots: Path) -> list[str]:
    present = {name: found.tools[name] for name in TOOLS if name in found.tools and not found.tools[name].absent}
    steps = tables.columns(found)
    lines = [f"## {found.title}", ""]
    rows = [
        (
            f"{step.title}, {direction}",
            *[tables.time_cell(tables.measure_of(tool, step, direction)) for tool in present.values()],
            tables.ratio_cell(found, step, direction),
        )
        for step, direction in steps
    ]
    lines += tables.markdown(("seconds (runs)", *present, "best other / ours"), rows)
    plot = plots / f"{found.name}.svg"
    drawn = charts.dots(
        f"{found.title}: seconds of whole commands",
        [f"{step.title}, {direction}" for step, direction in steps],
        {
            name: [
                (measure.median_seconds if (measure := tables.measure_of(tool, step, direction)) else None)
                for step, direction in steps
            ]
            for name, tool in present.items()
        },
        places={name: place for place, name in enumerate(TOOLS)},
    )
    plot.write_text(drawn, encoding="utf-8")
    lines += [f"![seconds of each tool](benchmarks/{plot.name})", ""]
    rows = [
        (
            f"{step.title}, {direction}",
            *[tables.traffic_cell(tables.measure_of(tool, step, direction)) for tool in present.values()],
        )
        for step, direction in steps
    ]
    lines += ["<details><summary>Requests / connections / bytes over the network</summary>", ""]
    lines += [*tables.markdown(("", *present), rows), "</details>", ""]
    rows = [
        (
            f"{step.title}, {direction}",
            *[tables.processor_cell(tables.measure_of(tool, step, direction)) for tool in present.values()],
        )
        for step, direction in steps
    ]
    lines += ["<details><summary>Seconds of processor: the tool's own / bucket and network for it</summary>", ""]
    lines += [*tables.markdown(("", *present), rows), "</details>", ""]
    lines += [f"`{name}` is absent: {tool.absent.splitlines()[0]}" for name, tool in found.tools.items() if tool.absent]
    return [*lines, ""]


def _parts_section(content: dict[str, Any]) -> list[str]:
    rows = [(name, tables.seconds_fine(it["median"]), str(it["rounds"])) for name, it in sorted(content.items())]
    lines = ["## Parts", "", "By pytest-benchmark (`make bench-parts`), medians.", ""]
    return [*lines, *tables.markdown(("", "time", "runs"), rows)]
