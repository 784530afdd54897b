"""Contents that need not be fetched, because a file that is to be replaced or removed has them.

Invariant: what comes from here is a guess until its digest was compared, for somebody may be writing to the file; and
nothing is read through a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from synccore.chunking import cut
from synccore.digest import Digest, digest_of
from synccore.errors import InvalidInputError
from synccore.manifest import MAX_WHOLE_CHUNK_BYTES, Entry, FileKind
from synccore.treepath import TreePath
from synccore.worktree.directory_chain import OPEN_DIRECTORY, OPEN_TO_READ, DirectoryChain


def chunks_at_hand(root: Path, path: TreePath, wanted: Collection[Digest]) -> dict[Digest, int]:
    """Cut the large file *path* below *root*, if there is one, and return which of *wanted* are in it, and where.

    About 0.3 s for 100 MB, where fetching them takes some seconds.
    """
    found: dict[Digest, int] = {}
    try:
        with open_at_hand(root, path) as handle, open(handle, "rb", buffering=0, closefd=False) as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size <= MAX_WHOLE_CHUNK_BYTES:
                return {}
            offset = 0
            for piece in cut(file):
                digest = digest_of(piece)
                if digest in wanted:
                    found.setdefault(digest, offset)
                offset += len(piece)
    except (OSError, InvalidInputError):
        # Gone, unreadable, or there is nothing here to cut with: then it is fetched.
        return {}
    return found


def content_at_hand(root: Path, path: TreePath, wanted: Entry) -> bytes:
    """Read the file or link *path* below *root*, which may be as it is *wanted*, or what can be had of it: perhaps nothing."""
    try:
        if wanted.kind is FileKind.SYMLINK:
            with _chain_at_hand(root) as chain:
                return os.readlink(path.name.encode(), dir_fd=chain.go_to(path.parent).handle)
        with open_at_hand(root, path) as handle:
            return os.read(handle, wanted.size_bytes) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except (OSError, InvalidInputError):
        return b""


@contextmanager
def open_at_hand(root: Path, path: TreePath) -> Iterator[int]:
    """Open the file *path* below *root* for reading at offsets.

    Raises:
        OSError: it is not there, or not reached through real directories.
    """
    with _chain_at_hand(root) as chain:
        handle = os.open(path.name.encode(), OPEN_TO_READ, dir_fd=chain.go_to(path.parent).handle)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _chain_at_hand(root: Path) -> Iterator[DirectoryChain]:
    chain = DirectoryChain(os.open(root, OPEN_DIRECTORY))
    try:
        yield chain
    finally:
        chain.close()
