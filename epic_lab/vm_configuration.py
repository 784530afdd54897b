"""Writing a VM's configuration file.

Invariant: what the file says beyond the two keys stays as it is, and the file is at every moment either the old one or the new one.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from epic_lab import config_lines
from epic_lab.config import BASE_URL, REPOS, USERNAME, Store, read_config
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of the configuration file.

    Attributes:
        path: the file.
        created: whether it is new.
        changed: the keys that have another value now, or their first.
    """

    path: Path
    created: bool
    changed: tuple[str, ...]


def configure_vm(lab: Lab, store: Store) -> Written:
    """Make the configuration file of this machine name *store*, keeping everything else in it; twice is once.

    The file is private to the user, and so is its folder where that is the usual one.

    Raises:
        LabError: the file is a laptop's, or cannot be read or written.
    """
    path = lab.config_path
    try:
        config = read_config(path, home=lab.environment.home)
    except LabError as error:
        if error.kind is not LabErrorKind.NO_CONFIGURATION:
            raise
        config = None
    if config is not None and config.is_laptop:
        raise LabError(
            LabErrorKind.WRONG_MACHINE,
            f"{path}, line {config.settings[REPOS.name].line}: {REPOS.name} makes this machine a laptop, not a VM",
            hint=f"If it is to be a VM take that line out. To change a laptop's store edit {BASE_URL.name} in the file.",
            file=path,
            key=REPOS.name,
        )
    wanted = {BASE_URL.name: store.base_url, USERNAME.name: store.username}
    try:
        before = "" if config is None else path.read_bytes().decode("utf-8")
        after = config_lines.rewrite(before, wanted)
        _write_privately(path, after.encode(), private_folder=lab.environment.config_file is None)
    except OSError as error:
        raise LabError(
            LabErrorKind.LOCAL_DISK,
            f"cannot write the configuration file {path}: {error.strerror or error}",
            hint="Its folder must be writable, and the disk must have room.",
            path=path,
        ) from error
    old = {} if config is None else config.settings
    changed = tuple(key for key, value in wanted.items() if key not in old or old[key].value != value)
    return Written(path=path, created=config is None, changed=changed)


def _write_privately(path: Path, data: bytes, *, private_folder: bool) -> None:
    """Put *data* at *path* for this user's eyes, atomically; where *path* is a link, at what it names."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if private_folder:
        path.parent.chmod(0o700)
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - it is a descriptor
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
