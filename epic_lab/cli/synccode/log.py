"""`epic-synccode log`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from epic_lab import synccode
from epic_lab.cli import options, wording
from epic_lab.cli.output import Output, run_document
from epic_lab.lab import Lab
from epic_lab.synccode import Run

if TYPE_CHECKING:
    from synccore.history import LogLine, LogRepo

_MOST = 1_000_000


@click.command(
    epilog=options.examples("epic-synccode log", "epic-synccode log -n 100", "epic-synccode log -n 1 --json")
)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1, max=_MOST),
    default=10,
    show_default=True,
    help="How many uploads to show.",
)
@options.json_option
def command(*, limit: int, as_json: bool) -> None:
    """Show what was uploaded, newest first.

    Each upload has a number, a time, the machine it came from, and for each repository that it changed the snapshot, the git
    branch with the count of uncommitted edits, and what differed from the one before.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    run = synccode.log(lab, config, limit=limit)
    output.result(lines(run), document(run))
    if is_cut_short(run.report, limit=limit):
        output.note("older uploads were pruned")


def is_cut_short(uploads: tuple[LogLine, ...], *, limit: int) -> bool:
    """Tell whether *uploads* end before *limit* and before the very first one."""
    return 0 < len(uploads) < limit and uploads[-1].sequence > 1


def lines(run: Run[tuple[LogLine, ...]]) -> list[str]:
    """Word the history: one line for each repository of an upload, the upload itself said in the first of them."""
    rows = []
    for line in run.report:
        who = f"{line.author.user}@{line.author.host}"
        upload = (str(line.sequence), wording.moment(line.at_ms), who)
        for repo in line.repos:
            rows.append((*upload, repo.repo, wording.short(repo.after), wording.git(repo.git), _what(repo)))
            upload = ("", "", "")
    return wording.columns(rows) if rows else ["nothing was uploaded yet"]


def document(run: Run[tuple[LogLine, ...]]) -> dict[str, object]:
    """Return the history as JSON says it; docs/reference/cli.md describes it."""
    return {**run_document("log", run), "uploads": [_line_document(line) for line in run.report]}


def _what(repo: LogRepo) -> str:
    counts = repo.counts
    if repo.after is None:
        return "no longer synchronised"
    if repo.before is None:
        return f"first upload: {wording.counted(counts.files, 'file')}, {wording.size(counts.size_bytes)}"
    return wording.changes(added=counts.added, modified=counts.modified, deleted=counts.deleted) or "stored anew"


def _line_document(line: LogLine) -> dict[str, object]:
    return {
        "sequence": line.sequence,
        "at_ms": line.at_ms,
        "author": {"user": line.author.user, "host": line.author.host},
        "repos": [
            {
                "repo": repo.repo,
                "snapshot": wording.hexadecimal(repo.after),
                "previous": wording.hexadecimal(repo.before),
                "git": wording.git_document(repo.git),
                "files": repo.counts.files,
                "size_bytes": repo.counts.size_bytes,
                "added": repo.counts.added,
                "modified": repo.counts.modified,
                "deleted": repo.counts.deleted,
            }
            for repo in line.repos
        ],
    }
