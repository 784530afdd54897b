"""`epic-synccode status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from epic_lab import synccode
from epic_lab.cli import options, wording
from epic_lab.cli.output import Output, run_document
from epic_lab.lab import Lab
from epic_lab.printable import printable
from epic_lab.synccode import Run

if TYPE_CHECKING:
    from synccore.provenance import Provenance
    from synccore.status import SourceStatus, TreeStatus


@click.command(epilog=options.examples("epic-synccode status", "epic-synccode status --json"))
@options.json_option
def command(*, as_json: bool) -> None:
    """Compare this machine's code with the store.

    On a laptop: what an upload would publish, and whether another machine uploaded since. On a VM: which snapshot is here, and
    whether the store has a newer one. Nothing is changed on either side.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    if config.is_laptop:
        laptop = synccode.laptop_status(lab, config)
        output.result(laptop_lines(laptop), laptop_document(laptop))
        for repo in laptop.report:
            for note in wording.problem_lines(repo.repo, repo.problems):
                output.note(note)
    else:
        vm = synccode.vm_status(lab, config)
        output.result(vm_lines(vm), vm_document(vm))


def laptop_lines(run: Run[tuple[SourceStatus, ...]]) -> list[str]:
    """Word what an upload would do: one line a repository, and one for the whole."""
    rows = [(repo.repo, wording.short(repo.snapshot), _would_upload(repo)) for repo in run.report]
    return [*wording.columns(rows), wording.summary(run)]


def vm_lines(run: Run[tuple[TreeStatus, ...]]) -> list[str]:
    """Word what a download would do: one line a repository, and one for the whole."""
    rows = [
        (repo.repo, wording.short(repo.here.snapshot if repo.here else None), _would_download(repo))
        for repo in run.report
    ]
    return [*(wording.columns(rows) or ["nothing was uploaded yet"]), wording.summary(run)]


def laptop_document(run: Run[tuple[SourceStatus, ...]]) -> dict[str, object]:
    """Return a laptop's status as JSON says it; docs/reference/cli.md describes it."""
    repos = [
        {
            "repo": repo.repo,
            "local": wording.hexadecimal(repo.snapshot),
            "stored": wording.hexadecimal(repo.stored),
            "provenance": wording.provenance_document(repo.stored_by),
            "is_seen": repo.is_seen,
            "files": repo.files,
            "added": len(repo.difference.changed) - len(repo.difference.was),
            "modified": len(repo.difference.was),
            "deleted": len(repo.difference.removed),
            "problems": wording.problem_documents(repo.problems),
        }
        for repo in run.report
    ]
    return {**run_document("status", run), "machine": "laptop", "repos": repos}


def vm_document(run: Run[tuple[TreeStatus, ...]]) -> dict[str, object]:
    """Return a VM's status as JSON says it; docs/reference/cli.md describes it."""
    repos = [
        {
            "repo": repo.repo,
            "local": wording.hexadecimal(repo.here.snapshot) if repo.here else None,
            "stored": wording.hexadecimal(repo.stored.snapshot) if repo.stored else None,
            "provenance": wording.provenance_document(repo.stored.provenance if repo.stored else None),
        }
        for repo in run.report
    ]
    return {**run_document("status", run), "machine": "vm", "repos": repos}


def _would_upload(repo: SourceStatus) -> str:
    if repo.stored is None:
        return f"not uploaded yet: {wording.counted(repo.files, 'file')}"
    if repo.snapshot == repo.stored:
        return "uploaded"
    difference = repo.difference
    changed = wording.changes(
        added=len(difference.changed) - len(difference.was),
        modified=len(difference.was),
        deleted=len(difference.removed),
    )
    if repo.is_seen:
        return f"not uploaded yet: {changed}"
    return f"never seen here: {wording.short(repo.stored)}{_by(repo.stored_by)}; compared with it, {changed}"


def _would_download(repo: TreeStatus) -> str:
    if repo.stored is None:
        return "no longer synchronised; this copy stays as it is"
    by = _by(repo.stored.provenance)
    if repo.is_current:
        return f"up to date{by}"
    return f"{'newer' if repo.here else 'not downloaded yet'}: {wording.short(repo.stored.snapshot)}{by}"


def _by(provenance: Provenance | None) -> str:
    if provenance is None:
        return ""
    return f", uploaded {wording.moment(provenance.at_ms)} from {printable(provenance.author.host)}"
