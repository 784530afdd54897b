"""`epic-synccode delete`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from epic_lab import synccode
from epic_lab.cli import options, wording
from epic_lab.cli.completion import complete_repos
from epic_lab.cli.output import Output, run_document
from epic_lab.config import REPOS
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from epic_lab.synccode import Run

if TYPE_CHECKING:
    from synccore.provenance import SnapshotId


@click.command(epilog=options.examples("epic-synccode delete alpha", "epic-synccode delete alpha --yes"))
@click.argument("repo", metavar="REPO", shell_complete=complete_repos)
@click.option("--yes", is_flag=True, help="Do not ask first.")
@options.json_option
def command(repo: str, *, yes: bool, as_json: bool) -> None:
    """Stop synchronising a repository.

    VMs keep their copy of REPO and say that it is no longer updated; this laptop's own folder is not touched, and what was
    uploaded stays in the history. Take the name out of SYNCCODE_REPOS too, or the next upload brings it back.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    synccode.require_deletable(config, repo)
    if not yes:
        _confirm(repo, can_ask=not as_json and sys.stdin.isatty())
    run = synccode.delete(lab, config, repo)
    output.result(lines(repo, run), document(repo, run))
    if any(folder.repo == repo for folder in config.require_repos()):
        output.note(f"{repo} still stands in {REPOS.name} in {config.path}: the next upload brings it back")


def lines(repo: str, run: Run[SnapshotId]) -> list[str]:
    """Word what was done."""
    row = (repo, wording.short(run.report), "no longer synchronised; VMs keep their copy")
    return [*wording.columns([row]), wording.summary(run)]


def document(repo: str, run: Run[SnapshotId]) -> dict[str, object]:
    """Return what was done as JSON says it; docs/reference/cli.md describes it."""
    return {**run_document("delete", run), "repo": repo, "snapshot": wording.hexadecimal(run.report)}


def _confirm(repo: str, *, can_ask: bool) -> None:
    """Ask whether it is meant.

    Raises:
        LabError: it is not, or nobody can be asked.
    """
    if can_ask and click.confirm(f"Stop synchronising {repo}? VMs keep their copy.", err=True):
        return
    why = "was not confirmed" if can_ask else "must be confirmed, and there is no terminal to ask on"
    raise LabError(
        LabErrorKind.NOT_CONFIRMED,
        f"the deletion of {repo} {why}; nothing was changed",
        hint=f"`epic-synccode delete {repo} --yes` does not ask.",
        repo=repo,
    )
