"""Where somebody's edits go before we write over them.

    <home>/.rescued/2026-01-31T12-30-05Z/<repo>/<path>   what was saved, under its own name
    <home>/.rescued/2026-01-31T12-30-05Z.jsonl           one line for each: what, when, why, replaced by what

Invariant: nothing in the rescue area is ever overwritten, nor removed but by its owner's word (`synccore.rescued`). The
time's folder is made by us alone (a second one within the same second is called ``…Z-2``), and what would take a saved name
opens the next folder.

A line is written before its file is moved: a crash between the two leaves a line without a file, which readers leave out,
and never a file about which nothing is known. The move itself is the save.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from synccore.digest import Digest, digest_from_hex
from synccore.keys import repo_name
from synccore.treepath import TreePath
from synccore.worktree.directory_chain import (
    NOT_A_DIRECTORY,
    OPEN_DIRECTORY,
    OPEN_TO_ADD,
    DirectoryChain,
    close_directory,
)
from synccore.worktree.disk_error import worktree_error
from synccore.worktree.relocation import relocate
from synccore.worktree.temporary import write_all

AREA = ".rescued"
LINES = ".jsonl"


class Reason(str, Enum):
    """Why something was saved. Append only: the codes are stored."""

    EDITED = "edited"
    NOT_OURS = "not-ours"
    DIRECTORY_IN_THE_WAY = "directory-in-the-way"
    SPECIAL_FILE = "special-file"
    ORPHANED_BYTECODE = "orphaned-bytecode"
    REPLACED_BY_RESTORE = "replaced-by-restore"


class Rescued(NamedTuple):
    """Something that was saved.

    Attributes:
        repo: the name of the tree that it stood in.
        path: where it stood there.
        saved_as: where it is now; a directory where a directory was in the way.
        reason: why it was saved.
        when_ns: when, in nanoseconds since 1970.
        replaced_by: SHA-256 of the content that was to follow it; ``None`` if nothing or a directory was.
    """

    repo: str
    path: TreePath
    saved_as: Path
    reason: Reason
    when_ns: int
    replaced_by: Digest | None

    @property
    def folder(self) -> str:
        """The name of the time's folder that it is in."""
        return self.saved_as.parents[len(self.path.parts)].name


class RescueFolder:
    """The saves of one run; makes nothing on the disk until there is something to save."""

    def __init__(self, home: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Prepare to save under *home*, the directory that holds the synchronised trees."""
        self._area = home / AREA
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._folder: str | None = None
        self._saved: list[Rescued] = []

    @property
    def saved(self) -> tuple[Rescued, ...]:
        """Everything that was saved through this object, also by operations that failed afterwards."""
        return tuple(self._saved)

    def save(
        self, directory: int, name: bytes, *, repo: str, path: TreePath, reason: Reason, replaced_by: Digest | None
    ) -> Rescued:
        """Move *name* of the open *directory*, which is *path* of *repo*, into the rescue area.

        Raises:
            FileNotFoundError: there is nothing under that name (any more).
            WorktreeError: it could not be moved and is where it was.
        """
        with self._lock:
            while True:
                folder = self._folder or self._new_folder()
                rescued = Rescued(
                    repo=repo,
                    path=path,
                    saved_as=self._area / folder / repo / path,
                    reason=reason,
                    when_ns=self._now_ns(),
                    replaced_by=replaced_by,
                )
                try:
                    is_saved = self._place(directory, name, folder, rescued)
                except OSError as error:
                    if isinstance(error, FileNotFoundError) and not _exists(directory, name):
                        raise
                    raise worktree_error(error, rescued.saved_as, "save somebody's edit as") from error
                if is_saved:
                    self._saved.append(rescued)
                    return rescued
                self._folder = None

    def _new_folder(self) -> str:
        """Make the folder of this second, which nobody else has made, and return its name."""
        stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime(self._now_ns() // 10**9))
        try:
            self._area.mkdir(parents=True, exist_ok=True)
            area = os.open(self._area, OPEN_DIRECTORY)
            try:
                count = 1
                while not _is_made(area, name := stamp if count == 1 else f"{stamp}-{count}"):
                    count += 1
            finally:
                close_directory(area)
        except OSError as error:
            raise worktree_error(error, self._area, "make a rescue folder in") from error
        self._folder = name
        return name

    def _place(self, directory: int, name: bytes, folder: str, rescued: Rescued) -> bool:
        """Move it to its place; ``False`` if something was saved under that name before, or the folder is gone."""
        area = os.open(self._area, OPEN_DIRECTORY)
        chain = DirectoryChain(area)
        try:
            try:
                chain.descend(folder)
                for part in [rescued.repo, *rescued.path.parts[:-1]]:
                    chain.descend_or_make(part)
            except OSError as error:
                if error.errno == errno.ENOENT or error.errno in NOT_A_DIRECTORY:
                    return False
                raise
            place, target = rescued.path.name.encode(), chain.here.handle
            if _exists(target, place):
                return False
            _note(area, f"{folder}{LINES}", rescued)
            relocate(directory, name, target, place)
        finally:
            chain.close()
        return True


def _note(area: int, lines: str, rescued: Rescued) -> None:
    import json

    facts = {
        "repo": rescued.repo,
        "path": rescued.path,
        "reason": rescued.reason.value,
        "when_ns": rescued.when_ns,
        "replaced_by": rescued.replaced_by.hex() if rescued.replaced_by is not None else None,
    }
    handle = os.open(lines, OPEN_TO_ADD, 0o666, dir_fd=area)
    try:
        before = os.fstat(handle).st_size
        try:
            write_all(handle, (json.dumps(facts) + "\n").encode("ascii"))
        except OSError:
            # A full disk takes a part of a line, which would swallow the next one.
            with suppress(OSError):
                os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)


def _is_made(area: int, name: str) -> bool:
    try:
        os.mkdir(name, dir_fd=area)
    except FileExistsError:
        return False
    return True


def rescued_under(home: Path) -> list[Rescued]:
    """Read back what was ever saved under *home* and is still there, oldest first.

    Lines that cannot be read (a crash can cut the last one) are left out, as are those whose file is gone.
    """
    found: list[Rescued] = []
    for lines in sorted((home / AREA).glob(f"*{LINES}")):
        folder = lines.with_suffix("")
        for line in lines.read_text(encoding="ascii", errors="replace").splitlines():
            rescued = _read_line(line, folder)
            if rescued is not None and os.path.lexists(rescued.saved_as):
                found.append(rescued)
    return sorted(found, key=lambda rescued: rescued.when_ns)


def _read_line(line: str, folder: Path) -> Rescued | None:
    import json

    from synccore.errors import InvalidInputError

    try:
        facts = json.loads(line)
        repo, path = repo_name(str(facts["repo"])), TreePath(str(facts["path"]))
        replaced_by = facts["replaced_by"]
        return Rescued(
            repo=repo,
            path=path,
            saved_as=folder / repo / path,
            reason=Reason(facts["reason"]),
            when_ns=int(facts["when_ns"]),
            replaced_by=digest_from_hex(replaced_by) if replaced_by is not None else None,
        )
    except (ValueError, KeyError, TypeError, InvalidInputError):
        return None


def _exists(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
