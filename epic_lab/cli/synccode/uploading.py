"""What `epic-synccode upload` does once its words are understood.

Invariant: no part of click is needed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from epic_lab import synccode
from epic_lab.cli import wording
from epic_lab.cli.output import Output, run_document
from epic_lab.cli.progress import progress_on
from epic_lab.lab import Lab
from epic_lab.synccode import Run

if TYPE_CHECKING:
    from synccore.push import PushReport, RepoPush


def run(repos: Sequence[str] = (), *, force: bool = False, repair: bool = False, as_json: bool = False) -> None:
    """Upload and report; the arguments are those of the command.

    Raises:
        LabError, SyncError: as `epic_lab.synccode.upload`.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    with progress_on(output) as progress:
        run = synccode.upload(lab, config, names=repos, force=force, repair=repair, progress=progress)
    output.result(lines(run), document(run))
    for repo in run.report.repos:
        for note in wording.problem_lines(repo.repo, repo.notes):
            output.note(note)


def lines(run: Run[PushReport]) -> list[str]:
    """Word the report: one line a repository, and one for the whole."""
    rows = [(repo.repo, wording.short(repo.snapshot), wording.git(repo.git), _what(repo)) for repo in run.report.repos]
    return [*wording.columns(rows), wording.summary(run)]


def document(run: Run[PushReport]) -> dict[str, object]:
    """Return the report as JSON says it; docs/reference/cli.md describes it."""
    return {
        **run_document("upload", run),
        "repos": [_repo_document(repo) for repo in run.report.repos],
        "folded": run.report.folded,
    }


def _what(repo: RepoPush) -> str:
    from synccore.push import PushOutcome

    counts = repo.counts
    files = wording.counted(counts.files, "file")
    if repo.previous is None:
        return f"first upload: {files}, {wording.size(counts.size_bytes)}"
    changed = wording.changes(added=counts.added, modified=counts.modified, deleted=counts.deleted)
    if not changed:
        return f"{'unchanged' if repo.outcome is PushOutcome.UNCHANGED else 'stored anew'}  ({files})"
    return f"{changed}  ({counts.files - counts.added - counts.modified:,} unchanged)"


def _repo_document(repo: RepoPush) -> dict[str, object]:
    return {
        "repo": repo.repo,
        "outcome": repo.outcome.value,
        "snapshot": wording.hexadecimal(repo.snapshot),
        "previous": wording.hexadecimal(repo.previous),
        "files": repo.counts.files,
        "size_bytes": repo.counts.size_bytes,
        "added": repo.counts.added,
        "modified": repo.counts.modified,
        "deleted": repo.counts.deleted,
        "git": wording.git_document(repo.git),
        "notes": wording.problem_documents(repo.notes),
    }
