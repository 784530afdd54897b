"""The benchmarks' command line: ``python -m benchmarks``.

Invariant: each command can be run alone, keeps its figures in `benchmarks/results`, and nothing of the person who runs it is
read or written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Column, Table

from benchmarks import results, runner, tables
from benchmarks.results import Results
from benchmarks.tools import TOOLS
from benchmarks.trees import make_tree

_CACHE = Path.home() / ".cache" / "epic-lab-benchmarks"
_MEMORY = Path("/dev/shm")  # a file system in memory: disks of shared machines vary fivefold

_WIDTH = 200


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the synchronisation side by side."
    )
    parser.add_argument(
        "--cache", type=Path, default=_CACHE, help="where fetched programs and trees are kept (%(default)s)"
    )
    parser.add_argument("--results", type=Path, default=results.FOLDER, help="where figures are kept (%(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    set_up = commands.add_parser("set-up", help="fetch the other tools")
    set_up.add_argument("--install", action="store_true", help="also install Debian packages (as root)")
    set_up.set_defaults(act=_set_up)

    run = commands.add_parser("run", help="measure tools on trees")
    run.add_argument("--trees", type=_words, default=["3000"], help="300, 3000, 30000, notebook (%(default)s)")
    run.add_argument("--rtt", type=_words, default=["20"], help="round trips in milliseconds (%(default)s)")
    run.add_argument("--tools", type=_words, default=list(TOOLS), help=f"of {', '.join(TOOLS)} (all)")
    _add_limits(run)
    run.set_defaults(act=_run)

    chosen = parser.parse_args(arguments)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    code: int = chosen.act(chosen)
    return code


def _words(text: str) -> list[str]:
    return [it for it in text.split(",") if it]


def _add_limits(parser: argparse.ArgumentParser) -> None:
    usual = runner.Limits()
    parser.add_argument("--rounds", type=int, default=usual.rounds, help="at most so many for each tool (%(default)s)")
    parser.add_argument(
        "--everyday", type=int, default=usual.everyday, help="everyday steps so often in a round (%(default)s)"
    )
    parser.add_argument(
        "--budget", type=float, default=usual.budget_seconds, help="seconds for a tool on a tree (%(default)s)"
    )
    parser.add_argument(
        "--patience", type=float, default=usual.patience_seconds, help="seconds for a command (%(default)s)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=_MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir()),
        help="where the tools work (%(default)s)",
    )


def _set_up(chosen: argparse.Namespace) -> int:
    for tool in TOOLS.values():
        tool.fetch(chosen.cache, install=chosen.install)
        absent = tool.absence(chosen.cache)
        print(f"{tool.name}: {absent or tool.version(chosen.cache)}")
    return 0


def _run(chosen: argparse.Namespace) -> int:
    limits = runner.Limits(
        rounds=chosen.rounds,
        everyday=chosen.everyday,
        budget_seconds=chosen.budget,
        patience_seconds=chosen.patience,
    )
    unknown = sorted(set(chosen.tools) - set(TOOLS))
    if unknown:
        raise SystemExit(f"unknown tools: {', '.join(unknown)}; there are {', '.join(TOOLS)}")
    # As wide as the tables are, wherever this is printed.
    console = Console(width=_WIDTH)
    for name in chosen.trees:
        tree = make_tree(name, chosen.cache)
        for rtt_ms in map(int, chosen.rtt):
            tools = [TOOLS[it] for it in chosen.tools]
            found = runner.run(
                tree,
                rtt_ms,
                tools,
                limits=limits,
                folder=chosen.folder,
                cache=chosen.cache,
                say=Console(stderr=True).print,
            )
            print_table(console, found)
            found.save(chosen.results)
    return 0


def print_table(console: Console, found: Results) -> None:
    """Print one tree at one round trip: the times, then what went over the network."""
    present = {name: tool for name, tool in found.tools.items() if tool.absent is None}
    console.print(f"[bold]{found.files:,} files, {found.size_bytes / 1e6:.0f} MB, round trip {found.rtt_ms} ms[/]")
    steps = tables.columns(found)
    for title, cell in (
        ("seconds (runs)", tables.time_cell),
        ("requests / connections / bytes", tables.traffic_cell),
    ):
        header = [Column(name, justify="right") for name in [*present, "best other"]]
        table = Table(title, *header, box=box.SIMPLE_HEAD, pad_edge=False)
        for step, direction in steps:
            cells = [cell(tables.measure_of(tool, step, direction)) for tool in present.values()]
            last = tables.ratio_cell(found, step, direction) if cell is tables.time_cell else ""
            table.add_row(f"{step.title}, {direction}", *cells, last)
        console.print(table)
    for name, tool in found.tools.items():
        if tool.absent:
            console.print(f"{name}: {tool.absent}")


if __name__ == "__main__":
    sys.exit(main())
