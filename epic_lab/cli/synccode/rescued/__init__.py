"""`epic-synccode rescued`, and how all its commands word what was saved."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from epic_lab import rescued
from epic_lab.cli import options, wording
from epic_lab.cli.options import LazyCommand
from epic_lab.cli.output import Output
from epic_lab.lab import Lab

if TYPE_CHECKING:
    from synccore.rescued import SavedEdit
    from synccore.worktree.contents import Content

COMMANDS = {
    "diff": LazyCommand("epic_lab.cli.synccode.rescued.diff", "Show what putting saved edits back would change."),
    "restore": LazyCommand("epic_lab.cli.synccode.rescued.restore", "Put saved edits back where they were."),
    "drop": LazyCommand("epic_lab.cli.synccode.rescued.drop", "Remove saved edits for good."),
}

SHOWN_DIGITS = 7

_WHY = {
    "edited": "edited here",
    "not-ours": "was here before",
    "directory-in-the-way": "folder in the way",
    "special-file": "special file in the way",
    "orphaned-bytecode": "compiled, its source went",
    "replaced-by-restore": "replaced by a restore",
}
_HERE = {
    "replacement": "the laptop's version is here",
    "same-as-saved": "the same is here",
    "changed": "something else is here now",
    "nothing": "nothing is here now",
    "unreadable": "what is here cannot be read",
}


@click.group(
    cls=options.LazyGroup,
    commands_by_name=COMMANDS,
    invoke_without_command=True,
    epilog=options.examples(
        "epic-synccode rescued",
        "epic-synccode rescued diff alpha/model.py",
        "epic-synccode rescued restore 3f2a91c",
        "epic-synccode rescued drop --all --older-than 30d",
    ),
)
@options.json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """List the edits that were saved here before they were replaced.

    A download saves every file of this machine that it did not write itself before it puts the laptop's version in its place.
    The list begins with the newest. Each line has an id, when it was saved, the repository and path, what it is, why it was saved, and
    what is in its place now. The other commands take ids (their first digits will do) or paths.
    """
    if context.invoked_subcommand is not None:
        context.obj = as_json
        return
    lab = Lab.here()
    found = rescued.saved_edits(lab)
    Output.of(lab, as_json=as_json).result(lines(found), document(found))


def lines(edits: Sequence[SavedEdit]) -> list[str]:
    """Word the list: one line for each."""
    if not edits:
        return ["nothing was saved on this machine"]
    return wording.columns(
        [
            (
                shown,
                wording.moment(edit.rescued.when_ns // 10**6),
                quoted(edit.name),
                what(edit.content),
                _WHY[edit.rescued.reason.value],
                here(edit),
            )
            for shown, edit in zip(short_ids(edits), edits, strict=True)
        ]
    )


def document(edits: Sequence[SavedEdit]) -> dict[str, object]:
    """Return the list as JSON says it; docs/reference/cli.md describes it."""
    return {"command": "rescued", "saved": [edit_document(edit) for edit in edits]}


def edit_document(edit: SavedEdit) -> dict[str, object]:
    """Return one saved edit as JSON says it."""
    return {
        "id": edit.id,
        "repo": edit.rescued.repo,
        "path": edit.rescued.path,
        "saved_as": str(edit.rescued.saved_as),
        "at_ms": edit.rescued.when_ns // 10**6,
        "reason": edit.rescued.reason.value,
        "here": edit.standing.value,
        **content_document(edit.content),
    }


def content_document(content: Content) -> dict[str, object]:
    """Return what something is as JSON says it."""
    return {
        "kind": content.kind.value,
        "files": content.files,
        "size_bytes": content.size_bytes,
        "target": content.target,
    }


def what(content: Content) -> str:
    """Say what something is and how much."""
    if content.target is not None:
        return f"link to {quoted(content.target)}"
    kind = content.kind.value
    if kind == "directory":
        return f"folder of {wording.counted(content.files, 'file')}, {wording.size(content.size_bytes)}"
    if kind == "special":
        return "pipe, socket or device"
    return wording.size(content.size_bytes) + (", executable" if kind == "executable" else "")


def here(edit: SavedEdit) -> str:
    """Say what is in its place now."""
    if edit.standing.value == "replacement" and edit.rescued.reason.value == "replaced-by-restore":
        return "what was restored is here"
    if edit.standing.value == "replacement" and edit.rescued.replaced_by is None:
        return "not in the laptop's version"
    return _HERE[edit.standing.value]


def short_ids(edits: Sequence[SavedEdit]) -> list[str]:
    """Return for each the first digits of its id, as many as tell it from the others."""
    digits = SHOWN_DIGITS
    while len({edit.id[:digits] for edit in edits}) < len({edit.id for edit in edits}):
        digits += 1
    return [edit.id[:digits] for edit in edits]


def quoted(text: str) -> str:
    """Return *text* as a shell takes it, all on one line and without control characters."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(_escaped(character) for character in text)
    return f"$'{escaped}'"


def _escaped(character: str) -> str:
    if re.fullmatch(r"[\\']", character):
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
