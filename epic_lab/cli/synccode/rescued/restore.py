"""`epic-synccode rescued restore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from epic_lab import rescued
from epic_lab.cli import options
from epic_lab.cli.completion import complete_paths
from epic_lab.cli.output import Output
from epic_lab.cli.synccode.rescued import edit_document, quoted, what
from epic_lab.lab import Lab

if TYPE_CHECKING:
    from synccore.rescued import Restored

NOTE = (
    "this machine sends nothing back: the laptop's next change of the same path saves it here again. "
    "To keep it, copy it to the laptop and upload it from there"
)


@click.command(
    epilog=options.examples("epic-synccode rescued restore 3f2a91c", "epic-synccode rescued restore alpha/model.py")
)
@click.argument("names", nargs=-1, required=True, metavar="ID|PATH...", shell_complete=complete_paths)
@options.json_option
@click.pass_obj
def command(wants_json: bool, names: tuple[str, ...], *, as_json: bool) -> None:  # noqa: FBT001 - click hands it over by place
    """Put saved edits back where they were.

    A PATH means what was saved from there last, or everything below it. What is in place now is saved first, whatever it is, so that a
    restore can be undone in the same way.

    This machine sends nothing back: the laptop's next change of the same path saves the edit here again. To keep it, copy it to the
    laptop and upload it from there.
    """
    lab = Lab.here()
    output = Output.of(lab, as_json=as_json or wants_json)
    found = rescued.restore(lab, names)
    output.result(lines(found), document(found))
    output.note(NOTE)


def lines(found: Sequence[Restored]) -> list[str]:
    """Word what was put back, and what was saved for it."""
    said = []
    for restored in found:
        said.append(f"{quoted(restored.edit.name)}  restored: {what(restored.edit.content)}")
        said += [
            f"{quoted(f'{one.repo}/{one.path}')}  what was here is saved as {quoted(str(one.saved_as))}"
            for one in restored.saved
        ]
    return said


def document(found: Sequence[Restored]) -> dict[str, object]:
    """Return what was done as JSON says it; docs/reference/cli.md describes it."""
    return {
        "command": "rescued restore",
        "restored": [
            {
                **edit_document(restored.edit),
                "place": str(restored.place),
                "saved": [{"path": f"{one.repo}/{one.path}", "saved_as": str(one.saved_as)} for one in restored.saved],
            }
            for restored in found
        ],
    }
