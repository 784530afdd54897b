"""`epic-synccode prune`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from epic_lab import synccode
from epic_lab.cli import options, wording
from epic_lab.cli.output import Output, run_document
from epic_lab.cli.progress import progress_on
from epic_lab.lab import Lab
from epic_lab.synccode import Run

if TYPE_CHECKING:
    from synccore.inventory import Tally
    from synccore.prune import PruneReport


@click.command(epilog=options.examples("epic-synccode prune --dry-run", "epic-synccode prune"))
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@options.json_option
def command(*, dry_run: bool, as_json: bool) -> None:
    """Delete what neither the newest code nor the kept history needs.

    The history keeps the last 100 uploads, and every snapshot that was current within the last 90 days. What nothing needs is
    deleted when the storage has had it for 24 hours. Ages are by the storage's clock, never by this machine's.

    It may run at any time, from any machine, beside uploads, downloads and other prunes.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    with progress_on(output) as progress:
        run = synccode.prune(lab, config, dry_run=dry_run, progress=progress)
    output.result(lines(run), document(run))


def lines(run: Run[PruneReport]) -> list[str]:
    """Word what went and what stays: one line a group, and one for the whole."""
    report = run.report
    first = report.horizon + 1
    history = f"uploads {first:,} to {report.sequence:,} can be restored"
    rows = [
        ("would be deleted" if report.is_dry_run else "deleted", _amount(report.deleted), "nothing needs them"),
        ("kept", _amount(report.current), "the newest code"),
        ("kept", _amount(report.history), f"the history: {history}"),
        ("kept", _amount(report.young), "nothing needs them yet: younger than a day"),
    ]
    kept = [row for row in rows[1:] if row[1] != _amount({})]
    if report.foreign.count:
        kept.append(("kept", _size(report.foreign), "not ours"))
    return [*wording.columns([rows[0], *kept]), wording.summary(run)]


def document(run: Run[PruneReport]) -> dict[str, object]:
    """Return what was done as JSON says it; docs/reference/cli.md describes it."""
    report = run.report
    return {
        **run_document("prune", run),
        "dry_run": report.is_dry_run,
        "horizon_before": report.horizon_before,
        "horizon": report.horizon,
        "newest": report.sequence,
        "deleted": wording.tally_documents(report.deleted),
        "kept": {
            "current": wording.tally_documents(report.current),
            "history": wording.tally_documents(report.history),
            "young": wording.tally_documents(report.young),
            "foreign": wording.tally_document(report.foreign),
        },
    }


def _amount(tallies: Mapping[str, Tally]) -> str:
    count = sum(tally.count for tally in tallies.values())
    size_bytes = sum(tally.size_bytes for tally in tallies.values())
    return f"{wording.counted(count, 'object')}, {wording.size(size_bytes)}" if count else "nothing"


def _size(tally: Tally) -> str:
    return f"{wording.counted(tally.count, 'object')}, {wording.size(tally.size_bytes)}"
