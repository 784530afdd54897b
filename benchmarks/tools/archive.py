"""``tar | zstd`` to a file of this machine, which no tool with a network can be expected to beat."""

from __future__ import annotations

import shlex
from pathlib import Path

from benchmarks.programs import first_line_of, found
from benchmarks.site import Command, Site
from benchmarks.tools.base import Tool


class Archive(Tool):
    """The limit: no network, no memory of the last time."""

    name = "tar-zstd"
    only_first = True
    local = True

    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured."""
        return None if found("tar") and found("zstd") else "tar or zstd is not installed"

    def version(self, cache: Path) -> str:
        """Return its version."""
        return first_line_of("tar", "--version") + ", " + first_line_of("zstd", "--version").strip("* ")

    def set_up(self, site: Site) -> None:
        """Do nothing."""

    def upload(self, site: Site) -> list[Command]:
        """Return the one line."""
        line = f"tar --exclude=./.git -cf - . | zstd -3 -q -f -o {shlex.quote(str(_file(site)))}"
        return [Command(words=("sh", "-c", line), cwd=site.source, variables=site.variables(site.laptop))]

    def download(self, site: Site) -> list[Command]:
        """Return the one line."""
        site.target.mkdir(exist_ok=True)
        line = f"zstd -dcq {shlex.quote(str(_file(site)))} | tar -xf -"
        return [Command(words=("sh", "-c", line), cwd=site.target, variables=site.variables(site.machine))]


def _file(site: Site) -> Path:
    return site.folder / "archive.tar.zst"
