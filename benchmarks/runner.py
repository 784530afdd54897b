"""Tools side by side on a tree: rounds in which each has its turn, in an order that rotates.

Invariant: a figure is taken only from a command that succeeded and, where it was a download, left on the machine what is on the
laptop, byte for byte.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import results
from benchmarks.network import Network
from benchmarks.results import DOWN, UP, Results, ToolResult
from benchmarks.site import Command, Site
from benchmarks.steps import FIRST, Step, round_of
from benchmarks.tools.base import Tool
from benchmarks.trees import Tree


class _EndedError(Exception):
    """A command took longer than the patience."""


class _FailedError(Exception):
    """A command failed, or did not do its work."""


_LINES_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much time may be spent.

    Attributes:
        rounds: at most, for each tool.
        everyday: how often what people do all day happens in a round.
        budget_seconds: a tool that has taken so long on a tree gets no further round; it always gets one.
        patience_seconds: a command that takes longer is ended, and its tool gets no further step.
        short: the tools that do nothing but the first times and what people do most, because they are so slow.
        settled_seconds: from the making of a tree to the first look at it.
    """

    rounds: int = 5
    everyday: int = 1
    budget_seconds: float = 60.0
    patience_seconds: float = 900.0
    short: Sequence[str] = ()
    settled_seconds: float = 2.1


def run(
    tree: Tree,
    rtt_ms: int,
    tools: Sequence[Tool],
    *,
    limits: Limits,
    folder: Path,
    cache: Path,
    say: Callable[[str], None],
) -> Results:
    """Measure *tools* on *tree* and return what came of it."""
    found = results.begin(tree, rtt_ms, folder)
    present = []
    for tool in tools:
        absent = tool.absence(cache)
        found.tools[tool.name] = ToolResult(absent=absent, version="" if absent else tool.version(cache))
        if absent is None:
            present.append(tool)
    spent = dict.fromkeys(present, 0.0)
    with (
        tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made,
        Network(Path(made), rtt_ms / 1000) as network,
    ):
        for number in range(limits.rounds):
            turn = number % len(present) if present else 0
            for tool in present[turn:] + present[:turn]:
                if number and spent[tool] > limits.budget_seconds:
                    continue
                began = time.perf_counter()
                site = Site(folder=Path(made) / tool.name, network=network, tree=tree, cache=cache)
                try:
                    _Round(tool, site, found.tools[tool.name], limits).run()
                except (_EndedError, _FailedError) as error:
                    say(f"{tool.name}: {error}")
                    if isinstance(error, _FailedError):
                        found.tools[tool.name] = ToolResult(absent=f"it failed: {error}")
                    spent[tool] = math.inf
                spent[tool] += time.perf_counter() - began
                say(
                    f"tree {tree.name}, {rtt_ms} ms, round {number + 1}: {tool.name} took {time.perf_counter() - began:.1f} s"
                )
    return found


class _Round:
    """One tool's turn."""

    def __init__(self, tool: Tool, site: Site, result: ToolResult, limits: Limits) -> None:
        self._tool, self._site, self._result, self._limits = tool, site, result, limits

    def run(self) -> None:
        """Begin with nothing and do each step, both ways."""
        site, tool = self._site, self._tool
        site.network.empty()
        site.clear()
        try:
            tool.set_up(site)
            # A tree that somebody works on is older than the look at it; one as new as that must be read again, by any tool
            # that is careful.
            time.sleep(self._limits.settled_seconds)
            steps = round_of(site.tree.name, self._limits.everyday, short=tool.name in self._limits.short)
            for number, step in enumerate(steps[:1] if tool.only_first else steps):
                step.change(site.source, number)
                self._take_or_seed(step, UP, tool.upload(site))
                self._take_or_seed(step, DOWN, tool.download(site))
                different = site.differences(ignoring_extra=tool.leaves_deleted)
                if different:
                    raise _FailedError(
                        f"{step.title}: {len(different)} files differ after the download, as {different[0]}"
                    )
        finally:
            with contextlib.suppress(OSError):
                _remove(site.folder)

    def _take_or_seed(self, step: Step, direction: str, commands: list[Command]) -> None:
        site = self._site
        try:
            self._take(step, direction, commands)
        except _EndedError:
            if step is not FIRST or not self._tool.can_be_seeded:
                raise
            if direction == UP:
                site.network.seed(site.source)
            else:
                shutil.rmtree(site.target)
                subprocess.run(["cp", "-a", str(site.source), str(site.target)], check=True)
                shutil.rmtree(site.target / ".git")

    def _take(self, step: Step, direction: str, commands: list[Command]) -> None:
        measure = self._result.measure(step.name, direction)
        with self._site.network.counting() as traffic:
            cpu = _children_seconds()
            began = time.perf_counter()
            try:
                for command in commands:
                    _run(command, self._limits.patience_seconds)
            except _EndedError:
                ended = replace(measure, ended_after=self._limits.patience_seconds)
                self._result.measures[step.name][direction] = ended
                raise
            measure.seconds.append(time.perf_counter() - began)
        measure.cpu_seconds.append(_children_seconds() - cpu)
        measure.served_seconds.append(traffic[0].served_seconds)
        measure.requests.append(traffic[0].requests.total())
        measure.connections.append(traffic[0].connections)
        measure.bytes_up.append(traffic[0].bytes_up)
        measure.bytes_down.append(traffic[0].bytes_down)


def _run(command: Command, patience_seconds: float) -> None:
    """Run a command to its end.

    Raises:
        _FailedError: it failed.
        _EndedError: it took longer than the patience; none of its processes is left.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command.words,
            cwd=command.cwd,
            env=dict(command.variables),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended = threading.Event()

        def end() -> None:
            # Before: the wait below may be over before the timer says of itself that it is.
            ended.set()
            os.killpg(process.pid, signal.SIGKILL)

        # A wait with a time-out would look every 50 ms, which is what many commands take altogether.
        patience = threading.Timer(patience_seconds, end)
        patience.start()
        try:
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            patience.cancel()
        if ended.is_set():
            raise _EndedError(f"ended after {patience_seconds:g} s: {' '.join(command.words)}")
        if process.returncode != 0:
            said.seek(0)
            last = "\n".join(said.read().decode(errors="replace").splitlines()[-_LINES_SHOWN:])
            raise _FailedError(f"{' '.join(command.words)} ended with {process.returncode}:\n{last}")


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _remove(folder: Path) -> None:
    subprocess.run(["rm", "-rf", str(folder)], check=True)
