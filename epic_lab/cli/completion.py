"""What a shell may put in the place of a half-typed word.

Invariant: nothing here asks a network or fails; where nothing is known, nothing is offered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from epic_lab.errors import LabError
from epic_lab.lab import Lab

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_repos(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the configured repositories of a laptop, or those that a VM has; also after a comma."""
    from click.shell_completion import CompletionItem

    before, comma, begun = incomplete.rpartition(",")
    taken = set(before.split(","))
    return [
        CompletionItem(f"{before}{comma}{name}") for name in _repos() if name.startswith(begun) and name not in taken
    ]


def complete_folders(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell offer folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


def complete_paths(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell offer files and folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_own_repositories(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer the git repositories in the folder that ``--code-base`` or the configuration names; also after a comma."""
    from click.shell_completion import CompletionItem

    from epic_lab.answers import repositories_in
    from epic_lab.config import CODE_BASE, expand

    lab = Lab.here()
    text = context.params.get("code_base")
    if not text:
        try:
            text = lab.config().value(CODE_BASE)
        except LabError:
            return []
    before, comma, begun = incomplete.rpartition(",")
    names = repositories_in(expand(text, lab.environment.home)) if text else []
    return [CompletionItem(f"{before}{comma}{name}") for name in names if name.startswith(begun)]


def _repos() -> list[str]:
    lab = Lab.here()
    try:
        config = lab.config()
        if config.is_laptop:
            return [folder.repo for folder in config.require_repos()]
        found = [path.name for path in lab.code_home.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except (LabError, OSError):
        return []
    return sorted(found)
