"""``restic backup`` and ``restic restore``.

It cannot be told where Google Cloud Storage is, so it runs in a mount namespace with an ``/etc/hosts`` of its own, which takes
the rights of root.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks.certificates import STORAGE_HOST
from benchmarks.network import BUCKET
from benchmarks.programs import first_line_of, found, output_of
from benchmarks.site import Command, Site
from benchmarks.tools.base import Tool

_IN_NAMESPACE = 'mount --bind "$0" /etc/hosts && exec "$@"'


class Restic(Tool):
    """With as many connections as rclone at its strongest has; it is said to take five otherwise."""

    name = "restic"
    leaves_deleted = True

    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured."""
        if found("restic") is None:
            return "restic is not installed (as root: python -m benchmarks set-up --install)"
        if not hasattr(os, "geteuid") or os.geteuid() != 0 or found("unshare") is None:
            return "it needs root, for a mount namespace in which storage.googleapis.com is this machine"
        return None

    def version(self, cache: Path) -> str:
        """Return its version."""
        return first_line_of("restic", "version")

    def fetch(self, cache: Path, *, install: bool) -> None:
        """Install Debian's package, if the machine may be changed."""
        if install and found("restic") is None and found("apt-get"):
            subprocess.run(["apt-get", "install", "-y", "-qq", "restic"], check=False, stdout=subprocess.DEVNULL)

    def set_up(self, site: Site) -> None:
        """Make the repository, which is not timed."""
        for home in (site.laptop, site.machine):
            (home / "hosts").write_text(f"127.0.0.1 localhost\n{site.network.google} {STORAGE_HOST}\n")
        command = self._command(site, site.laptop, site.laptop, "init")
        output_of(command.words, command.variables)

    def upload(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [self._command(site, site.laptop, site.source, "backup", "--exclude=.git", ".")]

    def download(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [self._command(site, site.machine, site.machine, "restore", "latest", f"--target={site.target}")]

    def _command(self, site: Site, home: Path, cwd: Path, *words: str) -> Command:
        variables = {
            **site.variables(home),
            "RESTIC_REPOSITORY": f"gs:{BUCKET}:/restic",
            "RESTIC_PASSWORD": "password",
            "RESTIC_CACHE_DIR": str(home / "cache"),
            "GOOGLE_ACCESS_TOKEN": "token",
            "GOOGLE_PROJECT_ID": "project",
        }
        namespace = ("unshare", "--mount", "sh", "-c", _IN_NAMESPACE, str(home / "hosts"))
        restic = ("restic", "--quiet", "--option=gs.connections=32", *words)
        return Command(words=(*namespace, *restic), cwd=cwd, variables=variables)
