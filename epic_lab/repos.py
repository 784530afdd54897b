"""The configured repositories: which are meant, and whether this is the machine and the place for what is to be done to them.

Invariant: nothing is changed here; what does not fit together is a `LabError` that says how to mend it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from epic_lab.config import BASE_URL, CODE_BASE, REPOS, Config, RepoFolder
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab


def select(config: Config, names: Sequence[str]) -> tuple[RepoFolder, ...]:
    """Return the configured repositories called *names*, each once, in the order asked for; all of them for no names.

    Raises:
        LabError: the configuration is wrong, or a name is not configured.
    """
    configured = {folder.repo: folder for folder in config.require_repos()}
    for name in names:
        if name not in configured:
            raise unknown_repo(name, tuple(configured), config)
    return tuple(configured[name] for name in dict.fromkeys(names)) or tuple(configured.values())


def folders(config: Config, names: Sequence[str]) -> Sequence[RepoFolder]:
    """Return the folders that *names* mean, all of which are there; all that are configured for no names.

    Raises:
        LabError: one is not there, a name is not configured, or the configuration is wrong.
    """
    meant = select(config, names)
    for folder in meant:
        if not folder.root.is_dir():
            raise _missing_repo(folder, config)
    return meant


def require_laptop(config: Config, verb: str) -> None:
    """Refuse what only a machine whose configuration names repositories can do, which *verb* says.

    Raises:
        LabError: it names none.
    """
    if not config.is_laptop:
        raise LabError(
            LabErrorKind.WRONG_MACHINE,
            f"{verb} is for laptops, and {config.path} does not name any {REPOS.name}, as a VM's configuration does not",
            hint="On a VM the code arrives with `epic-synccode download` and at each kernel start. On a laptop add to "
            f"{config.path}, for example:\n  {CODE_BASE.name}={CODE_BASE.example}\n  {REPOS.name}={REPOS.example}",
            file=config.path,
            key=REPOS.name,
        )


def require_apart(lab: Lab, config: Config) -> None:
    """Refuse a download whose folder holds a laptop's own code, or lies within it.

    Raises:
        LabError: it does, or the configuration is wrong.
    """
    if not config.is_laptop:
        return
    home = lab.code_home.resolve()
    for folder in config.require_repos():
        root = folder.root.resolve()
        if home in (root, *root.parents) or root in home.parents:
            raise LabError(
                LabErrorKind.OVERLAPPING_FOLDERS,
                f"a download into {lab.code_home} would overwrite this laptop's own {folder.repo} at {folder.root}",
                hint=f"This laptop uploads; VMs download. To have a copy here too, set {CODE_BASE.name} in {config.path} "
                f"to a folder outside {lab.code_home}.",
                path=folder.root,
                key=CODE_BASE.name,
            )


def require_store_outside(config: Config) -> None:
    """Refuse a store in a directory of one of the repositories: each upload would carry what the ones before have stored.

    Raises:
        LabError: it is one, or the configuration is wrong.
    """
    from synccore.backends.opening import directory_of

    store = directory_of(config.require_store().base_url)
    if store is None:
        return
    store = store.resolve()
    for folder in config.require_repos():
        if folder.root.resolve() in (store, *store.parents):
            raise LabError(
                LabErrorKind.OVERLAPPING_FOLDERS,
                f"the store {store} lies in the repository {folder.repo} at {folder.root}: an upload would carry the store itself",
                hint=f"Set {BASE_URL.name} in {config.path} to a folder outside the repositories.",
                path=store,
                key=BASE_URL.name,
            )


def containing(config: Config, path: Path) -> tuple[RepoFolder, Path]:
    """Return the configured repository in which *path* lies, the innermost of several, and the path within it.

    The last component of *path* is not followed, should it be a link.

    Raises:
        LabError: it lies in none, or the configuration is wrong.
    """
    folders = config.require_repos()
    try:
        whole = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() keeps "..", and a link must not be followed
    except FileNotFoundError as error:
        raise LabError(
            LabErrorKind.OUTSIDE_REPOS,
            f"{path} cannot be found from the current folder, which exists no longer",
            hint="Change to a folder that exists, or give the whole path.",
            path=path,
        ) from error
    for spelling in (whole, whole.parent.resolve() / whole.name):
        for folder in sorted(folders, key=lambda folder: len(folder.root.parts), reverse=True):
            for root in (folder.root, folder.root.resolve()):
                if root == spelling or root in spelling.parents:
                    return folder, spelling.relative_to(root)
    raise LabError(
        LabErrorKind.OUTSIDE_REPOS,
        f"{path} lies in none of the configured repositories",
        hint="They are:\n" + "\n".join(f"  {folder.root}" for folder in folders),
        path=path,
        configured=[folder.repo for folder in folders],
    )


def _missing_repo(folder: RepoFolder, config: Config) -> LabError:
    from difflib import get_close_matches

    base = folder.root.parent
    nearest = get_close_matches(folder.repo, [path.name for path in base.iterdir() if path.is_dir()], n=1)
    did_you_mean = f"Did you mean {nearest[0]}? " if nearest else ""
    return LabError(
        LabErrorKind.MISSING_REPO,
        f"repository {folder.repo}: expected its folder at {folder.root}, but there is none; nothing was uploaded",
        hint=f"{did_you_mean}Correct {REPOS.name} in {config.path}, or bring the folder back. "
        f"`epic-synccode delete {folder.repo}` stops synchronising it.",
        repo=folder.repo,
        path=folder.root,
        nearest=nearest[0] if nearest else None,
    )


def unknown_repo(name: str, configured: tuple[str, ...], config: Config) -> LabError:
    """Say that no repository is configured by that name, and which one was probably meant."""
    from difflib import get_close_matches

    in_another_case = [repo for repo in configured if repo.casefold() == name.casefold()]
    nearest = in_another_case or get_close_matches(name, configured, n=1)
    did_you_mean = f"Did you mean {nearest[0]}? " if nearest else ""
    return LabError(
        LabErrorKind.UNKNOWN_REPO,
        f"repository {name!r} is not configured; {REPOS.name} in {config.path} names: {', '.join(configured)}",
        hint=f"{did_you_mean}To synchronise another repository add its name to {REPOS.name}.",
        repo=name,
        configured=list(configured),
        nearest=nearest[0] if nearest else None,
    )
