"""A machine's serial console: following it, and reading from it how far the set-up has come.

The cloud keeps about the last megabyte of a console and counts bytes from the machine's first boot. Who asks for more than is kept gets what
is kept, and must not take the hole for nothing. docs/reference/notebook.md describes the lines that set-up scripts print.

Invariant: pure; whoever reads a console hands the parts in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_STEP = re.compile(r"\bepic-lab: step (\d{1,3})/(\d{1,3}) (.+)")
_READY = re.compile(r"\bepic-lab: ready\b")
_FAILED = re.compile(r"\bepic-lab: failed (.+)")
_KERNEL = re.compile(r"\] Linux version \d|^Linux version \d")
_SCRIPT_FAILED = re.compile(
    r"\bstartup-script exit status (\d+)|\"startup-script\" failed with error: exit status (\d+)"
)
_SCRIPT_ENDED = re.compile(r"\bFinished running startup scripts\b")
# A line without an end that is longer than this is taken as it is.
_LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a console's output as the cloud hands it out.

    Attributes:
        start: the position of the first byte of *text*.
        next: where the next part begins.
        text: the output.
    """

    start: int
    next: int
    text: str


def missed(asked: int, part: Part) -> int:
    """Return how many bytes between *asked* and *part* are kept no more; nobody misses what was there before they asked."""
    return max(0, part.start - asked) if asked > 0 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How far a machine's set-up has come.

    Attributes:
        has_booted: whether the system has begun to start.
        step: the number of the step at work, from 1; 0 before the first.
        steps: how many there are; 0 while that is unknown.
        doing: what the step does.
        is_ready: whether JupyterLab answers.
        failure: what failed, or ``None``.
        has_ended: whether the start-up script has ended, whatever it said.
        rest: the last line, as long as it has no end.
    """

    has_booted: bool = False
    step: int = 0
    steps: int = 0
    doing: str = ""
    is_ready: bool = False
    failure: str | None = None
    has_ended: bool = False
    rest: str = ""

    @property
    def speaks(self) -> bool:
        """Tell whether the set-up scripts say how far they have come."""
        return self.step > 0 or self.is_ready

    def after(self, text: str) -> Setup:
        """Return how far it has come after *text*, which may end in the middle of a line."""
        *lines, rest = (self.rest + text).split("\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], ""
        setup = self
        for line in lines:
            setup = setup._after_line(line.rstrip("\r"))
        return replace(setup, rest=rest)

    def _after_line(self, line: str) -> Setup:
        if _KERNEL.search(line):
            return Setup(has_booted=True)  # whatever was said before this boot is over
        if step := _STEP.search(line):
            number, steps, doing = int(step[1]), int(step[2]), step[3].strip()
            return Setup(has_booted=True, step=number, steps=steps, doing=doing)
        if _READY.search(line):
            return replace(self, has_booted=True, is_ready=True, failure=None)
        if failed := _FAILED.search(line):
            return replace(self, failure=failed[1].strip(), is_ready=False)
        failed = _SCRIPT_FAILED.search(line)
        status = (failed[1] or failed[2]) if failed else "0"
        if status != "0":
            said = self.failure or f"the start-up script ended with status {status}"
            return replace(self, failure=said, has_ended=True)
        return replace(self, has_ended=True) if failed or _SCRIPT_ENDED.search(line) else self
