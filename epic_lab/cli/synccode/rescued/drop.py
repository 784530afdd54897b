"""`epic-synccode rescued drop`."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from epic_lab import rescued
from epic_lab.cli import options, wording
from epic_lab.cli.completion import complete_paths
from epic_lab.cli.output import Output
from epic_lab.cli.synccode import rescued as listing
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from epic_lab.printable import printable_lines

if TYPE_CHECKING:
    from synccore.rescued import SavedEdit

_UNIT_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}


def _seconds(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Return an age as it is typed, a number and ``h``, ``d`` or ``w``, in seconds."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no age: expected a number and h, d or w, such as 30d")
    return int(found[1]) * _UNIT_SECONDS[found[2]]


@click.command(
    epilog=options.examples(
        "epic-synccode rescued drop 3f2a91c",
        "epic-synccode rescued drop alpha/notes",
        "epic-synccode rescued drop --all --older-than 30d --yes",
    )
)
@click.argument("names", nargs=-1, metavar="[ID|PATH]...", shell_complete=complete_paths)
@click.option("--all", "is_all", is_flag=True, help="Remove everything that was saved.")
@click.option("--older-than", callback=_seconds, metavar="AGE", help="Only what was saved longer ago: 12h, 30d, 8w.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@options.json_option
@click.pass_obj
def command(
    wants_json: bool,  # noqa: FBT001 - as above
    names: tuple[str, ...],
    *,
    is_all: bool,
    older_than: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove saved edits for good.

    A PATH means everything that was ever saved from there or below. What is in place in the trees is not touched.
    """
    if bool(names) == is_all:
        raise click.UsageError("give IDs or PATHs, or --all for everything")
    lab = Lab.here()
    output = Output.of(lab, as_json=as_json or wants_json)
    edits = rescued.every(lab, names, older_than_seconds=older_than or 0)
    if edits and not yes:
        _confirm(edits, can_ask=not output.as_json and sys.stdin.isatty())
    rescued.drop(lab, edits)
    output.result(lines(edits), document(edits))


def lines(edits: Sequence[SavedEdit]) -> list[str]:
    """Word what was removed."""
    if not edits:
        return ["nothing was removed: nothing saved is meant"]
    return [f"{listing.quoted(edit.name)}  removed: {listing.what(edit.content)}" for edit in edits]


def document(edits: Sequence[SavedEdit]) -> dict[str, object]:
    """Return what was done as JSON says it; docs/reference/cli.md describes it."""
    return {"command": "rescued drop", "dropped": [listing.edit_document(edit) for edit in edits]}


def _confirm(edits: Sequence[SavedEdit], *, can_ask: bool) -> None:
    """Ask whether it is meant.

    Raises:
        LabError: it is not, or nobody can be asked.
    """
    total = wording.counted(len(edits), "saved edit")
    if can_ask:
        click.echo(printable_lines("\n".join(listing.lines(edits))), err=True)
        if click.confirm(f"Remove {total} for good? They are nowhere else.", err=True):
            return
    why = "was not confirmed" if can_ask else "must be confirmed, and there is no terminal to ask on"
    raise LabError(
        LabErrorKind.NOT_CONFIRMED,
        f"the removal of {total} {why}; nothing was changed",
        hint="`epic-synccode rescued drop ... --yes` does not ask.",
        edits=[edit.name for edit in edits],
    )
