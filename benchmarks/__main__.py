"""The benchmarks' command line: ``python -m benchmarks``.

Invariant: each command can be run alone, keeps its figures in `benchmarks/results`, and nothing of the person who runs it is
read or written.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Column, Table

from benchmarks import results, runner, tables
from benchmarks.network import ROOT
from benchmarks.paths import CACHE, WORKING
from benchmarks.results import Results
from benchmarks.tools import TOOLS
from benchmarks.trees import make_tree

_WIDTH = 200


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the synchronisation side by side."
    )
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="where fetched programs and trees are kept (%(default)s)"
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

    everything = commands.add_parser("suite", help="measure everything, within about --scale times 40 minutes")
    everything.add_argument("--scale", type=float, default=1.0, help="budgets so many times as long (%(default)s)")
    everything.add_argument("--folder", type=Path, default=WORKING, help="where the tools work (%(default)s)")
    everything.set_defaults(act=_suite)

    _add_measurements(commands)

    quick = commands.add_parser("quick", help="one small tree, in under a minute, and counts that may not grow")
    quick.add_argument("--folder", type=Path, default=WORKING, help="where the tools work (%(default)s)")
    quick.set_defaults(act=_quick)

    parts = commands.add_parser("parts", help="measure the steps of a synchronisation one by one, by pytest-benchmark")
    parts.set_defaults(act=_parts)

    cost = commands.add_parser("cost", help="count a person's day and write docs/cost-of-storage.md")
    cost.add_argument("--tree", default="3000", help="what each person has (%(default)s)")
    cost.add_argument("--docs", type=Path, default=ROOT / "docs", help="where to (%(default)s)")
    cost.add_argument("--folder", type=Path, default=WORKING, help="where it happens (%(default)s)")
    cost.set_defaults(act=_cost)

    report = commands.add_parser("report", help="write docs/benchmarks.md from the figures")
    report.add_argument("--docs", type=Path, default=ROOT / "docs", help="where to (%(default)s)")
    report.set_defaults(act=_report)

    chosen = parser.parse_args(arguments)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    code: int = chosen.act(chosen)
    return code


def _add_measurements(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    kernel = commands.add_parser("kernel", help="measure what the hook adds to a kernel's start")
    kernel.add_argument("--tree", default="3000", help="of which each of three repositories is a copy (%(default)s)")
    kernel.add_argument("--large", type=int, default=100_000, help="files of the large repository (%(default)s)")
    kernel.add_argument("--rtt", type=_words, default=["0", "20"], help="round trips in milliseconds (%(default)s)")
    kernel.add_argument("--times", type=int, default=7, help="starts of each kind (%(default)s)")
    kernel.add_argument("--folder", type=Path, default=WORKING, help="where it happens (%(default)s)")
    kernel.set_defaults(act=_kernel)

    growth = commands.add_parser("growth", help="measure cost against the number of files, repositories and snapshots")
    growth.add_argument("--files", type=_numbers, help="as 10,100,1000")
    growth.add_argument("--repos", type=_numbers, help="as 1,10")
    growth.add_argument("--snapshots", type=_numbers, help="as 1,100,1000")
    growth.add_argument("--folder", type=Path, default=WORKING, help="where it happens (%(default)s)")
    growth.set_defaults(act=_growth)

    everyday = commands.add_parser("everyday", help="measure ours on a very large tree, and the start of commands")
    everyday.add_argument("--files", type=int, default=100_000, help="of the tree (%(default)s)")
    everyday.add_argument("--times", type=int, default=5, help="of each command (%(default)s)")
    everyday.add_argument("--folder", type=Path, default=WORKING, help="where it happens (%(default)s)")
    everyday.set_defaults(act=_everyday)

    network = commands.add_parser("network", help="measure the network and the bucket themselves")
    network.add_argument("--folder", type=Path, default=WORKING, help="where it happens (%(default)s)")
    network.set_defaults(act=_network)


def _words(text: str) -> list[str]:
    return [it for it in text.split(",") if it]


def _numbers(text: str) -> list[int]:
    return [int(it) for it in _words(text)]


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
        "--short",
        type=_words,
        default=usual.short,
        help="tools that do the first times and everyday steps alone (none)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=WORKING,
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
        short=chosen.short,
    )
    unknown = sorted({*chosen.tools, *chosen.short} - set(TOOLS))
    if unknown:
        raise SystemExit(f"unknown tools: {', '.join(unknown)}; there are {', '.join(TOOLS)}")
    TOOLS["ours"].fetch(chosen.cache, install=False)  # the source may have changed since
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


def _suite(chosen: argparse.Namespace) -> int:
    from benchmarks.suite import CELLS

    console, say = Console(width=_WIDTH), Console(stderr=True).print
    for cell in CELLS:
        tree = make_tree(cell.tree, chosen.cache)
        tools = [TOOLS[it] for it in cell.tools]
        limits = cell.limits(chosen.scale)
        folder = Path(tempfile.gettempdir()) if cell.on_disk else chosen.folder
        found = runner.run(tree, cell.rtt_ms, tools, limits=limits, folder=folder, cache=chosen.cache, say=say)
        found.on_disk = cell.on_disk
        print_table(console, found)
        found.save(chosen.results)
    return 0


def _kernel(chosen: argparse.Namespace) -> int:
    from benchmarks import kernel_start

    tree = make_tree(chosen.tree, chosen.cache)
    rtts_ms = [int(it) for it in chosen.rtt]
    say = Console(stderr=True).print
    content = kernel_start.measure(
        tree, rtts_ms=rtts_ms, times=chosen.times, large=chosen.large, folder=chosen.folder, say=say
    )
    results.save_json(chosen.results / "kernel.json", content)
    print("\n".join(kernel_start.section(content)))
    return 0


def _growth(chosen: argparse.Namespace) -> int:
    from benchmarks import growth

    content = growth.measure(
        files=chosen.files or growth.FILES,
        repos=chosen.repos or growth.REPOS,
        history=chosen.snapshots or growth.HISTORY,
        folder=chosen.folder,
        say=Console(stderr=True).print,
    )
    results.save_json(chosen.results / "growth.json", content)
    print("\n".join(growth.section(content)))
    return 0


def _quick(chosen: argparse.Namespace) -> int:
    from benchmarks import quick

    tree = make_tree(quick.TREE, chosen.cache)
    names = [name for name in quick.TOOLS if name == "ours" or TOOLS[name].absence(chosen.cache) is None]
    tools = [TOOLS[name] for name in names]
    found = runner.run(
        tree, quick.RTT_MS, tools, limits=quick.LIMITS, folder=chosen.folder, cache=chosen.cache, say=lambda _: None
    )
    print_table(Console(width=_WIDTH), found)
    bad = quick.regressions(found) + quick.opened_files(tree, chosen.folder, chosen.cache)
    for line in bad:
        print(f"count regression: {line}")
    print("counts: " + (f"{len(bad)} above their ceilings" if bad else "all within their ceilings"))
    return 1 if bad else 0


def _parts(chosen: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as made:
        figures = Path(made) / "parts.json"
        words = [sys.executable, "-m", "pytest", "--quiet", str(ROOT / "benchmarks" / "parts")]
        words += ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*", f"--benchmark-json={figures}"]
        words += ["--benchmark-columns=median,iqr,rounds", "--benchmark-sort=name", f"--trees-cache={chosen.cache}"]
        code = subprocess.run(words, cwd=ROOT, check=False).returncode
        if code == 0:
            found = json.loads(figures.read_text(encoding="utf-8"))["benchmarks"]
            content = {
                it["name"].removeprefix("bench_"): {key: it["stats"][key] for key in ("median", "rounds")}
                for it in found
            }
            results.save_json(chosen.results / "parts.json", content)
    return code


def _everyday(chosen: argparse.Namespace) -> int:
    from benchmarks import everyday

    content = everyday.measure(files=chosen.files, times=chosen.times, folder=chosen.folder)
    results.save_json(chosen.results / "everyday.json", content)
    print("\n".join(everyday.section(content)))
    return 0


def _network(chosen: argparse.Namespace) -> int:
    from benchmarks import network_check

    content = network_check.measure(rtts_ms=(0, 20, 60), times=5, folder=chosen.folder)
    results.save_json(chosen.results / "network.json", content)
    print("\n".join(network_check.section(content)))
    return 0


def _cost(chosen: argparse.Namespace) -> int:
    from benchmarks import cost

    content = cost.measure(make_tree(chosen.tree, chosen.cache), chosen.folder)
    results.save_json(chosen.results / "cost.json", content)
    page = chosen.docs / "cost-of-storage.md"
    page.write_text(cost.page(content), encoding="utf-8")
    print(page)
    return 0


def _report(chosen: argparse.Namespace) -> int:
    from benchmarks.report import write_report

    print(write_report(chosen.results, chosen.docs))
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
