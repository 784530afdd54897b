"""Checks of the configuration file and of what it names on this disk.

Invariant: the value of a key that the lab does not know is never shown; it may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable

from epic_lab.config import Config
from epic_lab.doctor.case import Case
from epic_lab.doctor.finding import Check, Finding, not_applicable, ok, wrong
from epic_lab.errors import LabError, LabErrorKind


def _configuration(case: Case) -> Finding:
    try:
        config = case.config
    except LabError as error:
        if error.kind is not LabErrorKind.NO_CONFIGURATION:
            raise
        remedy = "epic-lab init\nOn a VM: epic-synccode configure-vm --base-url URL --username NAME"
        return wrong(error.message, remedy=remedy, kind=error.kind.value)
    if config.bad_line is not None:
        return wrong(
            f"{config.path}, line {config.bad_line.line}: {config.bad_line.fault}",
            remedy="Each line must be KEY=value, blank, or a comment that begins with #.",
            file=str(config.path),
            line=config.bad_line.line,
        )
    machine = "laptop" if config.is_laptop else "VM"
    return ok(f"{config.path} is a {machine}'s", file=str(config.path), machine=machine.lower())


def _keys(case: Case) -> Finding:
    config = case.config
    faults = [
        (f"{config.path}, line {key.line}: {key.key} is unknown", f"Write {key.nearest} in place of {key.key}.")
        for key in config.unknown_keys()
        if key.nearest is not None
    ]
    for judge in _judges(config):
        try:
            judge()
        except LabError as error:  # noqa: PERF203 - one key's fault hides no other's
            if error.kind is LabErrorKind.BAD_VALUE:
                faults.append((error.message, error.hint))
    unknown = [key.key for key in config.unknown_keys()]
    if faults:
        details, remedies = zip(*faults, strict=True)
        return wrong("; ".join(details), remedy="\n".join(remedies), faults=list(details), unknown=unknown)
    ours = len(config.settings) - len(unknown)
    others = f"; {len(unknown)} not of the lab's: {', '.join(unknown)}" if unknown else ""
    return ok(f"{ours} understood{others}", unknown=unknown)


def _judges(config: Config) -> tuple[Callable[[], object], ...]:
    """Return what judges the keys that have no check of their own."""
    return (
        config.exclusion,
        config.require_project,
        config.require_zones,
        config.require_scripts,
        config.proxy_domain,
        config.compute_endpoint,
        config.api_endpoint,
    )


def _store(case: Case) -> Finding:
    store = case.store
    return ok(f"{store.base_url}, as {store.username}", store=store.base_url, user=store.username)


def _repositories(case: Case) -> Finding:
    if not case.config.is_laptop:
        return not_applicable("a VM downloads whatever was uploaded")
    folders = case.config.require_repos()
    missing = [folder for folder in folders if not folder.root.is_dir()]
    names = [folder.repo for folder in folders]
    if missing:
        left = ",".join(folder.repo for folder in folders if folder not in missing)
        out = f", or take it out: epic-lab init --repos {left}" if left else ""
        return wrong(
            f"there is no folder {' and no '.join(str(folder.root) for folder in missing)}",
            remedy=f"Clone the repository there{out}",
            repos=names,
            missing=[folder.repo for folder in missing],
        )
    plain = [folder.repo for folder in folders if not (folder.root / ".git").exists()]
    said = f" (without git: {', '.join(plain)})" if plain else ""
    return ok(f"{', '.join(names)} in {folders[0].root.parent}{said}", repos=names, missing=[])


CHECKS = (
    Check(name="configuration", asks="can the configuration file be read?", look=_configuration),
    Check(name="keys", asks="are its keys known, and can each value be meant?", look=_keys, needs=("configuration",)),
    Check(name="store", asks="does it say where code is stored, and whose?", look=_store, needs=("configuration",)),
    Check(
        name="repositories",
        asks="on a laptop: is each repository that it names there?",
        look=_repositories,
        needs=("configuration",),
    ),
)
