"""What `epic-synccode download` does once its words are understood.

Invariant: no part of click is needed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from epic_lab import synccode
from epic_lab.cli import wording
from epic_lab.cli.output import Output, run_document
from epic_lab.cli.progress import progress_on
from epic_lab.lab import Lab
from epic_lab.synccode import Run

if TYPE_CHECKING:
    from synccore.pullreport import PullReport, RepoPull

MAX_SAVED = 10


def run(*, as_json: bool = False) -> None:
    """Download and report; the argument is that of the command.

    Raises:
        LabError, SyncError: as `epic_lab.synccode.download`.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    with progress_on(output) as progress:
        run = synccode.download(lab, config, progress=progress)
    output.result(lines(run), document(run))
    for repo in run.report.repos:
        for warning in warnings(repo):
            output.warn(warning)


def lines(run: Run[PullReport]) -> list[str]:
    """Word the report: one line a repository, and one for the whole."""
    rows = [
        (
            repo.repo,
            wording.short(repo.snapshot),
            wording.git(repo.provenance.git),
            _what(repo),
        )
        for repo in run.report.repos
    ]
    return [*wording.columns(rows), wording.summary(run)]


def warnings(repo: RepoPull) -> list[str]:
    """Word where edits of this machine were saved, up to a few."""
    said = [f"{saved.path} was edited here; the edit is now {saved.saved_as}" for saved in repo.saved]
    more = len(said) - MAX_SAVED
    if more <= 0:
        return said
    return [*said[:MAX_SAVED], f"{repo.repo}: {more:,} more edits were saved beside them; --json lists all"]


def document(run: Run[PullReport]) -> dict[str, object]:
    """Return the report as JSON says it; docs/reference/cli.md describes it."""
    return {
        **run_document("download", run),
        "repos": [_repo_document(repo) for repo in run.report.repos],
    }


def _what(repo: RepoPull) -> str:
    from synccore.pullreport import PullOutcome

    files = wording.counted(repo.files, "file")
    if repo.outcome is PullOutcome.NO_LONGER_UPDATED:
        return "no longer synchronised; this copy stays as it is"
    if repo.outcome is PullOutcome.CREATED:
        return f"first download: {files}, {wording.size(repo.size_bytes)}"
    if repo.outcome is PullOutcome.UNCHANGED:
        return f"unchanged  ({files})"
    written = f"{wording.counted(len(repo.written), 'file')} written"
    return f"{written}, {len(repo.removed):,} removed" if repo.removed else written


def _repo_document(repo: RepoPull) -> dict[str, object]:
    return {
        "repo": repo.repo,
        "outcome": repo.outcome.value,
        "snapshot": wording.hexadecimal(repo.snapshot),
        "provenance": wording.provenance_document(repo.provenance),
        "files": repo.files,
        "size_bytes": repo.size_bytes,
        "written": list(repo.written),
        "removed": list(repo.removed),
        "saved": [{"path": saved.path, "saved_as": str(saved.saved_as)} for saved in repo.saved],
    }
