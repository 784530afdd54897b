"""``gcloud storage rsync``, where Google's command line is installed."""

from __future__ import annotations

from pathlib import Path

from benchmarks.programs import first_line_of, found
from benchmarks.site import Command, Site
from benchmarks.tools.base import PREFIX, Tool


class Gcloud(Tool):
    """Google's newer way to say what `gsutil` says."""

    name = "gcloud"
    can_be_seeded = True

    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured."""
        return None if found("gcloud") else "gcloud is not installed, and it comes from no package registry"

    def version(self, cache: Path) -> str:
        """Return its version."""
        return first_line_of("gcloud", "version")

    def set_up(self, site: Site) -> None:
        """Do nothing: its configuration is in its environment."""

    def upload(self, site: Site) -> list[Command]:
        """Return the one command."""
        return [_command(site, site.laptop, str(site.source), PREFIX)]

    def download(self, site: Site) -> list[Command]:
        """Return the one command."""
        site.target.mkdir(exist_ok=True)
        return [_command(site, site.machine, PREFIX, str(site.target))]


def _command(site: Site, home: Path, source: str, target: str) -> Command:
    variables = {
        **site.variables(home),
        "CLOUDSDK_CONFIG": str(home / "gcloud"),
        "CLOUDSDK_CORE_PROJECT": "project",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(site.network.certificates.trusted),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"https://{site.network.https}/storage/v1/",
    }
    words = ("gcloud", "storage", "rsync", "--recursive", "--delete-unmatched-destination-objects", "--quiet")
    return Command(words=(*words, r"--exclude=^\.git/.*", source, target), cwd=home, variables=variables)
