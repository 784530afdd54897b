"""`epic-synccode explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from epic_lab import synccode
from epic_lab.cli import options, wording
from epic_lab.cli.output import Output
from epic_lab.lab import Lab
from epic_lab.synccode import Explained

if TYPE_CHECKING:
    from synccore.worktree.explain import Explanation


@click.command(
    epilog=options.examples("epic-synccode explain data/big.csv", "epic-synccode explain ~/code/alpha/* --json")
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@options.json_option
def command(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Say why paths are uploaded or left out.

    For each PATH it names the rule that decides: git's own list, a line of a .gitignore or .synccodeignore, SYNCCODE_EXCLUSION, or what
    is always left out. A PATH need not exist; it must lie in one of the configured repositories.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    explained = [synccode.explain(config, path) for path in paths]
    output.result(lines(explained), document(explained))


def lines(explained: list[Explained]) -> list[str]:
    """Word each decision in one line."""
    rows = [
        ("uploaded" if one.explanation.taken else "left out", one.repo, one.explanation.detail) for one in explained
    ]
    return wording.columns(rows)


def document(explained: list[Explained]) -> dict[str, object]:
    """Return the decisions as JSON says them; docs/reference/cli.md describes it."""
    return {"command": "explain", "paths": [_path_document(one.repo, one.explanation) for one in explained]}


def _path_document(repo: str, explanation: Explanation) -> dict[str, object]:
    return {
        "repo": repo,
        "path": explanation.path,
        "taken": explanation.taken,
        "reason": explanation.reason.value,
        "detail": explanation.detail,
        "rule": explanation.rule,
        "file": explanation.file,
        "line": explanation.line,
        "repository": explanation.repository,
        "files": explanation.files,
    }
