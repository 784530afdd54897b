"""Changing keys of the configuration file.

Invariant: what the file says beyond the keys that are changed stays as it is, byte for byte, and the file is at every moment either the
old one or the new one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from epic_lab import config_lines
from epic_lab.config import read_config
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting:
    """What a change would make of the configuration file.

    Attributes:
        before: its text; ``None`` where there is no file.
        after: its text afterwards.
        written: what would be reported.
    """

    before: str | None
    after: str
    written: Written


def plan_rewriting(lab: Lab, wanted: Mapping[str, str]) -> Rewriting:
    """Say what it takes that the configuration file gives the keys *wanted* their values.

    Raises:
        LabError: the file is there and cannot be read.
    """
    path = lab.config_path
    try:
        old: Mapping[str, config_lines.Setting] | None = read_config(path, home=lab.environment.home).settings
    except LabError as error:
        if error.kind is not LabErrorKind.NO_CONFIGURATION:
            raise
        old = None
    try:
        before = None if old is None else path.read_bytes().decode("utf-8")
    except OSError as error:
        raise _cannot_write(path, error) from error
    values = {key: setting.value for key, setting in (old or {}).items()}
    changes = {key: value for key, value in wanted.items() if values.get(key) != value}
    written = Written(path=path, created=before is None, changed=tuple(changes))
    return Rewriting(before=before, after=config_lines.rewrite(before or "", changes), written=written)


def carry_out(lab: Lab, rewriting: Rewriting) -> Written:
    """Write the file as planned, for the user's eyes alone, and so its folder where that is the usual one.

    It is written though no key changes, for the sake of its privacy.

    Raises:
        LabError: it cannot be written.
    """
    path = rewriting.written.path
    try:
        _write_privately(path, rewriting.after.encode(), private_folder=lab.environment.config_file is None)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return rewriting.written


def _cannot_write(path: Path, error: OSError) -> LabError:
    return LabError(
        LabErrorKind.LOCAL_DISK,
        f"cannot write the configuration file {path}: {error.strerror or error}",
        hint="Its folder must be writable, and the disk must have room.",
        path=path,
    )


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
