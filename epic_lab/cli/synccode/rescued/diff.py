"""`epic-synccode rescued diff`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from epic_lab import rescued
from epic_lab.cli import options, wording
from epic_lab.cli.completion import complete_paths
from epic_lab.cli.output import Output
from epic_lab.cli.synccode.rescued import content_document, edit_document, quoted, what
from epic_lab.lab import Lab

if TYPE_CHECKING:
    from synccore.rescued import Difference

MAX_LISTED = 100


@click.command(
    epilog=options.examples(
        "epic-synccode rescued diff", "epic-synccode rescued diff 3f2a91c", "epic-synccode rescued diff alpha/model.py"
    )
)
@click.argument("names", nargs=-1, metavar="[ID|PATH]...", shell_complete=complete_paths)
@options.json_option
@click.pass_obj
def command(wants_json: bool, names: tuple[str, ...], *, as_json: bool) -> None:  # noqa: FBT001 - click hands it over by place
    """Show what putting saved edits back would change.

    Lines with a minus are in place now, lines with a plus were saved. A PATH means what was saved from there last, or everything below
    it; without any, everything is compared.
    """
    lab = Lab.here()
    output = Output.of(lab, as_json=as_json or wants_json)
    found = rescued.differences(lab, names)
    output.result(lines(found), document(found))


def lines(found: Sequence[Difference]) -> list[str]:
    """Word the differences, one after the other."""
    return [line for difference in found for line in _lines(difference)] or ["nothing was saved on this machine"]


def document(found: Sequence[Difference]) -> dict[str, object]:
    """Return the differences as JSON says them; docs/reference/cli.md describes it."""
    return {"command": "rescued diff", "differences": [_document(difference) for difference in found]}


def _lines(difference: Difference) -> list[str]:
    edit, here, comparison = difference.edit, difference.here, difference.comparison.value
    name = quoted(edit.name)
    now = "nothing" if here is None else what(here)
    said: list[str] = []
    if comparison == "text":
        said = list(difference.lines) or [f"{name}: saved {what(edit.content)}; now {now}"]
    elif comparison == "equal":
        said = [f"{name}: what is in place now is equal to what was saved"]
    elif comparison == "binary":
        said = [f"{name}: binary; saved {what(edit.content)}, now {now}"]
    elif comparison == "too-large":
        said = [f"{name}: too large to compare by lines; saved {what(edit.content)}, now {now}"]
    else:
        said = [f"{name}: saved {what(edit.content)}; now {now}"]
    if here is not None and here.is_regular and edit.content.is_regular and here.kind is not edit.content.kind:
        said.append(f"{name}: saved as {edit.content.kind.value}, now {here.kind.value}")
    said += [f"  + {quoted(path)}  {what(content)}" for path, content in difference.inside[:MAX_LISTED]]
    more = len(difference.inside) - MAX_LISTED
    return [*said, f"  + {wording.counted(more, 'more file')}"] if more > 0 else said


def _document(difference: Difference) -> dict[str, object]:
    return {
        **edit_document(difference.edit),
        "now": None if difference.here is None else content_document(difference.here),
        "comparison": difference.comparison.value,
        "diff": list(difference.lines),
        "inside": [{"path": path, **content_document(content)} for path, content in difference.inside],
    }
