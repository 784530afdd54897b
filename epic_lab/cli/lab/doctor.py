"""`epic-lab doctor`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.boundary import ExitCode
from epic_lab.cli.output import Output
from epic_lab.doctor.finding import Checked, Mark
from epic_lab.lab import Lab
from epic_lab.printable import printable

DEADLINE_SECONDS = 10.0
# So much of a check's time may pass without a byte: less than all, so that the check itself can still say who was silent.
_PATIENCE = 0.8

_SAID = {
    Mark.OK: ("ok", "green"),
    Mark.WRONG: ("wrong", "red"),
    Mark.CANNOT_TELL: ("?", "yellow"),
    Mark.NOT_APPLICABLE: ("-", None),
    Mark.NOT_TRIED: ("-", None),
}
_MARK_WIDTH = max(len(word) for word, _ in _SAID.values())
_INDENT = " " * (_MARK_WIDTH + 2)


@click.command(epilog=options.examples("epic-lab doctor", "epic-lab doctor --json"))
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=600),
    default=DEADLINE_SECONDS,
    metavar="SECONDS",
    help=f"How long each check may take; {DEADLINE_SECONDS:g} otherwise.",
)
@options.json_option
def command(timeout: float, *, as_json: bool) -> int:
    """Check that everything the lab needs is there and works.

    Each check is one line, with a mark: ok; wrong, with what to type; ? where it could not be found out; - where it does not
    matter here, or was not tried because of what is wrong already. Nothing is changed: the one object that is put into the
    store, to see whether that can be done, is deleted again. The exit code is 1 if anything is wrong.
    """
    from epic_lab.doctor.case import Case
    from epic_lab.doctor.checks import CHECKS
    from epic_lab.doctor.examination import examine

    lab = Lab.here()
    output = Output.of(lab, as_json=as_json)
    case = Case(lab, patience_seconds=_PATIENCE * timeout)
    name_width = max(len(check.name) for check in CHECKS)
    ended: list[Checked] = []
    for checked in examine(CHECKS, case, deadline_seconds=timeout):
        ended.append(checked)
        if not as_json:
            output.result(lines(checked, name_width), {})
    wrong = sum(it.finding.mark is Mark.WRONG for it in ended)
    output.result([summary(ended)], document(ended))
    return ExitCode.FAILED if wrong else ExitCode.DONE


def shown(mark: Mark) -> str:
    """Return the word or sign that stands before a line."""
    return _SAID[mark][0]


def lines(checked: Checked, name_width: int) -> list[str]:
    """Word one finding: a line, and below it what to do."""
    finding = checked.finding
    word, colour = _SAID[finding.mark]
    mark = click.style(word, fg=colour) if colour else word
    said = (
        f"{mark}{' ' * (_MARK_WIDTH - len(word))}  {checked.check.name.ljust(name_width)}  {printable(finding.detail)}"
    )
    remedy = finding.remedy.splitlines() if finding.remedy else []
    return [
        said,
        *(f"{_INDENT}{'to do:' if at == 0 else '      '} {printable(line)}" for at, line in enumerate(remedy)),
    ]


def summary(ended: list[Checked]) -> str:
    """Say how many checks ended how."""
    counts = {mark: sum(it.finding.mark is mark for it in ended) for mark in Mark}
    words = {
        Mark.OK: "ok",
        Mark.WRONG: "wrong",
        Mark.CANNOT_TELL: "could not be found out",
        Mark.NOT_TRIED: "not tried",
        Mark.NOT_APPLICABLE: "do not matter here",
    }
    return " · ".join(f"{counts[mark]} {said}" for mark, said in words.items() if counts[mark])


def document(ended: list[Checked]) -> dict[str, object]:
    """Return all findings as JSON says them; docs/reference/epic-lab.md describes it."""
    return {
        "command": "doctor",
        "is_well": not any(it.finding.mark is Mark.WRONG for it in ended),
        "checks": [
            {
                "name": it.check.name,
                "mark": it.finding.mark.value,
                "detail": it.finding.detail,
                "remedy": it.finding.remedy,
                "facts": {
                    name: str(fact) if hasattr(fact, "__fspath__") else fact for name, fact in it.finding.facts.items()
                },
                "elapsed_seconds": round(it.elapsed_seconds, 4),
            }
            for it in ended
        ],
    }
