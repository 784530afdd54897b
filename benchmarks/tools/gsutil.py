"""``gsutil -m rsync``, with which labs synchronise today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.programs import first_line_of
from benchmarks.site import Command, Site
from benchmarks.tools.base import PREFIX, Tool

_PINNED = "gsutil==5.38"


class Gsutil(Tool):
    """As labs call it."""

    name = "gsutil"
    can_be_seeded = True

    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured."""
        return None if _program(cache).exists() else "`python -m benchmarks set-up` could not fetch gsutil"

    def version(self, cache: Path) -> str:
        """Return its version."""
        return first_line_of(_program(cache), "version")

    def fetch(self, cache: Path, *, install: bool) -> None:
        """Fetch it from PyPI, into an environment of its own."""
        if not _program(cache).exists():
            subprocess.run([sys.executable, "-m", "venv", str(cache / "gsutil")], check=False)
            pip = [str(_program(cache).with_name("pip")), "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, _PINNED], check=False)

    def set_up(self, site: Site) -> None:
        """Write both configurations."""
        host, _, port = site.network.https.rpartition(":")
        for home in (site.laptop, site.machine):
            sections = {
                "Credentials": {"gs_json_host": host, "gs_json_port": port},
                "Boto": {
                    "ca_certificates_file": str(site.network.certificates.trusted),
                    "https_validate_certificates": "True",
                },
                "GSUtil": {
                    "prefer_api": "json",
                    "software_update_check_period": "0",
                    "state_dir": str(home / "gsutil"),
                    "default_project_id": "project",
                },
            }
            text = "\n".join(
                f"[{name}]\n" + "\n".join(f"{key} = {value}" for key, value in values.items())
                for name, values in sections.items()
            )
            (home / ".boto").write_text(text + "\n")

    def upload(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [_command(site, site.laptop, str(site.source), PREFIX)]

    def download(self, site: Site) -> list[Command]:
        """Return the one command."""
        site.target.mkdir(exist_ok=True)
        return [_command(site, site.machine, PREFIX, str(site.target))]


def _program(cache: Path) -> Path:
    return cache / "gsutil" / "bin" / "gsutil"


def _command(site: Site, home: Path, source: str, target: str) -> Command:
    words = (str(_program(site.cache)), "-m", "-q", "rsync", "-r", "-d", "-J", "-x", r"^\.git/.*", source, target)
    return Command(words=words, cwd=home, variables={**site.variables(home), "BOTO_CONFIG": str(home / ".boto")})
