"""After a machine went down: which files may not have reached its disk.

Invariant: a file that is not named here is on the disk whole, or is somebody's edit. What is named looks cut: empty, ending at a page's
end before its time, or filled up with zeros, which is how file systems leave what they had not written yet.

Nothing is flushed while a tree is written: that costs milliseconds a file, and a process that dies loses nothing by it. A machine that
dies (a spot machine that is taken away, a kernel panic) can leave a file of ours empty or cut, while the state that was
recorded after it is whole. File systems keep the order of renames, and write contents within about half a minute.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from synccore.treepath import TreePath
from synccore.worktree.directory_chain import OPEN_TO_READ

if TYPE_CHECKING:  # a kernel that finds nothing changed loads this, and not the format
    from synccore.manifest import Tree

_SETTLED_AFTER_NS = 120 * 10**9
_PAGE_BYTES = 4096
_TAIL_BYTES = 16


def boot_id() -> str | None:
    """Return what names this run of the machine; ``None`` where the system does not say (it is Linux that does)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def unsettled(root: Path, tree: Tree, *, last_heard_ns: int | None) -> Iterator[TreePath]:
    """Yield the paths of *tree* whose files below *root* look cut; only those that were written lately are opened.

    A file that is not there at all is somebody's deletion: a whole entry is never lost while the state after it is kept.

    Args:
        root: the tree.
        tree: what was written there.
        last_heard_ns: when the machine was last known to run, in nanoseconds since 1970; ``None`` if that is not known.
    """
    base = os.path.join(root, "")
    settled_before = None if last_heard_ns is None else last_heard_ns - _SETTLED_AFTER_NS
    for path, entry in tree.items():
        try:
            status = os.lstat(base + path)
        except OSError:
            continue
        is_settled = settled_before is not None and status.st_mtime_ns < settled_before
        if not stat.S_ISREG(status.st_mode) or (is_settled and status.st_size == entry.size_bytes):
            continue
        if (status.st_size < entry.size_bytes and status.st_size % _PAGE_BYTES == 0) or _ends_in_zeros(base + path):
            yield path


def _ends_in_zeros(path: str) -> bool:
    try:
        handle = os.open(path, OPEN_TO_READ)
    except OSError:
        return False
    try:
        size = os.fstat(handle).st_size
        os.lseek(handle, max(0, size - _TAIL_BYTES), os.SEEK_SET)
        tail = os.read(handle, _TAIL_BYTES)
    finally:
        os.close(handle)
    return bool(tail) and not any(tail)
