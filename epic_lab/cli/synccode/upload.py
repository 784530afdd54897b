"""`epic-synccode upload`."""

from __future__ import annotations

import click

from epic_lab.cli import options
from epic_lab.cli.completion import complete_repos
from epic_lab.cli.synccode import uploading


@click.command(
    epilog=options.examples(
        "epic-synccode upload",
        "epic-synccode upload alpha,beta",
        "epic-synccode up alpha --json",
    )
)
@click.argument(
    "repos", nargs=-1, metavar="[REPO[,REPO]...]...", callback=options.repo_names, shell_complete=complete_repos
)
@click.option("--force", is_flag=True, help="Upload although another machine did since, or most files are gone.")
@click.option(
    "--repair", is_flag=True, help="Store everything anew, changed or not: the remedy for damage in the store."
)
@options.json_option
def command(repos: list[str], *, force: bool, repair: bool, as_json: bool) -> None:
    """Publish the laptop's code, uncommitted edits included.

    Uploads every repository of SYNCCODE_REPOS, or those named, all of them together: no notebook ever sees a new one beside an
    old one. In a git repository the files are the tracked ones and the untracked ones that git does not ignore, less what
    .synccodeignore says; the bytes are those on the disk. `epic-synccode explain PATH` says why a path is in or out.

    It stops before it would undo what another machine uploaded since, or would delete most of a repository; --force goes on.
    Either way what was uploaded before stays in the history.

    Where `epic-synccode verify` has found that the store lost something of the current code, --repair stores all of it anew.
    """
    uploading.run(repos, force=force, repair=repair, as_json=as_json)
