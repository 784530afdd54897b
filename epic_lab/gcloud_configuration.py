"""What gcloud was told about project, zone and account, read from its files; gcloud itself is not run.

Invariant: nothing here fails: a file that is not there, or not what it should be, says nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from epic_lab.config import Environment

_NAME = re.compile(r"[a-z][a-z0-9-]*")


class GcloudFacts(NamedTuple):
    """What is known to gcloud; ``None`` for what is not."""

    project: str | None = None
    zone: str | None = None
    account: str | None = None


def gcloud_facts(environment: Environment) -> GcloudFacts:
    """Read gcloud's active configuration (https://cloud.google.com/sdk/docs/configurations)."""
    folder = environment.gcloud_folder
    if folder is None:
        return GcloudFacts()
    try:
        name = environment.gcloud_configuration or (folder / "active_config").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        name = "default"
    if not _NAME.fullmatch(name):
        return GcloudFacts()

    from configparser import ConfigParser
    from configparser import Error as ConfigParserError

    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string((folder / "configurations" / f"config_{name}").read_text(encoding="utf-8"))
    except (OSError, ValueError, ConfigParserError):
        return GcloudFacts()
    found = (("core", "project"), ("compute", "zone"), ("core", "account"))
    return GcloudFacts(*(parser.get(section, key, fallback="").strip() or None for section, key in found))
