"""Where a tree that does not exist yet is built, and how it appears all at once.

    <home>/.synccode/staging-<repo>-<random>   private to one run, on the file system of <home>/<repo>

Invariant: a tree appears whole or not at all, and never in the place of one that has something in it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from synccore.errors import ConflictError, ErrorKind
from synccore.worktree.disk_error import worktree_error

AREA = ".synccode"


def new_staging(root: Path) -> Path:
    """Return the path of a directory, not made yet, in which to build the tree that shall stand at *root*."""
    return root.parent / AREA / f"staging-{root.name}-{os.urandom(4).hex()}"


def put_in_place(staging: Path, root: Path) -> None:
    """Rename the finished tree *staging* to *root*, where there is nothing or an empty directory.

    Raises:
        ConflictError: something stands at *root* by now (``TREE_TAKEN``); nothing was changed, and *staging* still is there.
        WorktreeError: the disk refused.
    """
    try:
        # POSIX: only a directory takes the place of a directory, and only of an empty one, in one step.
        staging.rename(root)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
            raise ConflictError(
                ErrorKind.TREE_TAKEN,
                f"{root} has come into being while its tree was being written: expected nothing there; nothing was changed",
                path=str(root),
            ) from error
        raise worktree_error(error, root, "put the new tree in place at") from error


def sweep_staging(root: Path) -> int:
    """Remove what crashed runs left of trees for *root*; return how many there were. The caller holds the tree's lock.

    Raises:
        WorktreeError: the disk refused.
    """
    return _remove(root.parent / AREA, f"staging-{root.name}-????????")


def sweep_all_staging(home: Path) -> int:
    """Remove what crashed runs left of any tree under *home*, also of one that nobody wants any more, as `sweep_staging`."""
    return _remove(home / AREA, "staging-*-????????")


def _remove(area: Path, pattern: str) -> int:
    left_over = area
    try:
        found = sorted(area.glob(pattern))
        if found:
            # Mostly there is nothing, and it takes 4 ms to import.
            import shutil
        for left_over in found:
            # Who helped a killed run ends when it hears of that, and may make one more file meanwhile.
            with suppress(OSError):
                shutil.rmtree(left_over)
            if left_over.exists():
                shutil.rmtree(left_over)
    except OSError as error:
        raise worktree_error(error, left_over, "remove the unfinished trees in") from error
    return len(found)
