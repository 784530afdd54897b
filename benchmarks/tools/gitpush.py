"""``git push`` of a commit over HTTPS, and ``git fetch`` of it there."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.programs import first_line_of, found, output_of
from benchmarks.site import Command, Site
from benchmarks.tools.base import Tool
from benchmarks.trees import git

# What a person who synchronises by git does: commit whatever there is, and push it.
_UPLOAD = (
    "git add -A && { git diff --cached --quiet || git commit -q -m sync; } && git push -q --force origin HEAD:main"
)
_DOWNLOAD = "git fetch -q && git reset -q --hard origin/main"


class GitPush(Tool):
    """The first push finds the tree already committed and packed, which flatters it: the commit is not timed."""

    name = "git"

    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured."""
        return None if found("git") else "git is not installed"

    def version(self, cache: Path) -> str:
        """Return its version."""
        return first_line_of("git", "version")

    def set_up(self, site: Site) -> None:
        """Make the bare repository that is served."""
        bare = site.network.git_folder / "repo.git"
        output_of(["rm", "-rf", str(bare)])
        bare.mkdir(parents=True)
        git(bare, "init", "-q", "--bare")
        git(site.source, "remote", "add", "origin", _url(site))

    def upload(self, site: Site) -> list[Command]:
        """Return the one line."""
        return [Command(words=("sh", "-c", _UPLOAD), cwd=site.source, variables=_variables(site, site.laptop))]

    def download(self, site: Site) -> list[Command]:
        """Return the one line: a clone at first."""
        variables = _variables(site, site.machine)
        if site.target.exists():
            return [Command(words=("sh", "-c", _DOWNLOAD), cwd=site.target, variables=variables)]
        words = ("git", "clone", "-q", _url(site), str(site.target))
        return [Command(words=words, cwd=site.machine, variables=variables)]


def _url(site: Site) -> str:
    return f"https://{site.network.git}/repo.git"


def _variables(site: Site, home: Path) -> dict[str, str]:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _ANN.items()}
    trusted = str(site.network.certificates.trusted)
    return {**site.variables(home), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_SSL_CAINFO": trusted, **who}


_ANN = {"NAME": "Ann", "EMAIL": "ann@example.com"}
