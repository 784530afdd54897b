"""The values of a configuration before they are written: what is likely, and what is wrong with one.

Invariant: a value is judged by the same rules as when a command needs it, because it is the configuration that judges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from epic_lab.config import (
    API_ENDPOINT,
    BASE_URL,
    CODE_BASE,
    COMPUTE_ENDPOINT,
    EXCLUSION,
    PROJECT,
    PROXY_DOMAIN,
    REPOS,
    SCRIPTS,
    USERNAME,
    ZONE,
    Config,
    KnownKey,
    base_url_fault,
    expand,
    is_store_name,
)
from epic_lab.config_lines import Setting
from epic_lab.errors import LabError
from epic_lab.lab import Lab

REQUIRED = (BASE_URL, USERNAME, CODE_BASE, REPOS)

_USUAL_CODE_BASES = ("code", "src", "projects", "repos", "git", "dev", "work")
_MOST_REPOS = 20

_JUDGES: dict[KnownKey, Callable[[Config], object]] = {
    USERNAME: Config.require_username,
    CODE_BASE: Config.require_code_base,
    REPOS: Config.require_repos,
    EXCLUSION: Config.exclusion,
    PROJECT: Config.require_project,
    ZONE: Config.require_zones,
    SCRIPTS: Config.require_scripts,
    PROXY_DOMAIN: Config.proxy_domain,
    COMPUTE_ENDPOINT: Config.compute_endpoint,
    API_ENDPOINT: Config.api_endpoint,
}


def answer_fault(lab: Lab, key: KnownKey, answers: Mapping[KnownKey, str]) -> str | None:
    """Say what is wrong with the answer to *key* among *answers*, as the rest of a sentence; ``None`` where nothing is.

    Nothing is wrong with no value for a key that need not have one.
    """
    text = answers.get(key, "")
    if not text:
        return f"a value is needed, such as {key.example}" if key in REQUIRED else None
    if len(text.splitlines()) > 1 or ("'" in text and '"' in text):
        return "expected one line, and not both kinds of quotes"
    if key is BASE_URL:
        fault = base_url_fault(text)
        return None if fault is None else f"expected {fault[0]}, such as {fault[1]}"
    settings = {known.name: Setting(known.name, value, 0) for known, value in answers.items() if value}
    config = Config(path=lab.config_path, home=lab.environment.home, settings=settings)
    try:
        _JUDGES[key](config)
    except LabError as error:
        return f"expected {error.facts['expected']}" if "expected" in error.facts else error.message
    return _missing_repos(config) if key is REPOS else None


def guesses(lab: Lab, answers: Mapping[KnownKey, str], key: KnownKey) -> str | None:
    """Return what the value of *key* probably is, by what is on this machine and the *answers* so far; ``None`` for no idea."""
    from epic_lab.gcloud_configuration import gcloud_facts

    home = lab.environment.home
    if key is CODE_BASE:
        return _likely_code_base(home)
    if key is REPOS:
        return ",".join(repositories_in(expand(answers.get(CODE_BASE, ""), home))) or None
    gcloud = gcloud_facts(lab.environment)
    if key is USERNAME:
        names = ((gcloud.account or "").partition("@")[0].lower(), home.name.lower())
        return next((name for name in names if is_store_name(name)), None)
    return {PROJECT: gcloud.project, ZONE: gcloud.zone}.get(key)


def repositories_in(code_base: Path) -> list[str]:
    """Return the names of the git repositories directly in *code_base*, as far as they can name one in a store."""
    try:
        folders = sorted(code_base.iterdir())
        found = [path.name for path in folders if is_store_name(path.name) and (path / ".git").exists()]
    except OSError:
        return []
    return found[:_MOST_REPOS]


def _likely_code_base(home: Path) -> str | None:
    for name in _USUAL_CODE_BASES:
        if repositories_in(home / name):
            return f"~/{name}"
    return next((f"~/{name}" for name in _USUAL_CODE_BASES if (home / name).is_dir()), None)


def _missing_repos(config: Config) -> str | None:
    folders = config.require_repos()
    missing = [folder for folder in folders if not folder.root.is_dir()]
    if not missing:
        return None
    base = folders[0].root.parent
    there = ", ".join(repositories_in(base))
    found = f"; the repositories there are {there}" if there else ""
    return f"there is no folder {' and no '.join(folder.repo for folder in missing)} in {base}{found}"
