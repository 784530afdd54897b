"""Comparing a machine's trees with what is remembered of them.

Invariant: nothing is written. What differs is somebody's work and no damage; what is remembered and cannot be read is named.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from synccore.digest import Digest
from synccore.errors import IntegrityError
from synccore.journal import Change, Known, decode_delta
from synccore.manifest import Entry, FileKind
from synccore.provenance import SnapshotId
from synccore.repository import checked_manifest
from synccore.trees import EMPTY_TREE, follow
from synccore.worktree.machine import MachineMemory, TreeState

_SLICE_BYTES = 2**20

# What the interpreter and we ourselves leave beside the files of a tree.
_OURS = ".synccode-tmp-"
_COMPILED = "__pycache__"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeCheck:
    """One tree beside what was last written there.

    Attributes:
        repo: its name.
        snapshot: what was last written.
        files: how many of its files are as they were written.
        edited: paths that hold something else.
        missing: paths where nothing is.
        additional: files that were never written by us.
        fault: what is wrong with what is remembered, if anything: then nothing could be compared, and the next download
            takes whatever differs from the store for somebody's work.
    """

    repo: str
    snapshot: SnapshotId
    files: int
    edited: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    additional: tuple[str, ...] = ()
    fault: str | None = None


def check_trees(home: Path, *, user: str, store: str) -> tuple[TreeCheck, ...]:
    """Compare every tree under *home* with what was last written there; reads each of their files.

    Args:
        home: the directory that holds the trees.
        user: whose code it is.
        store: the base URL that it comes from.
    """
    memory = MachineMemory(home)
    state = memory.load(f"{store} {user}")
    return tuple(_check(home / repo, repo, tree, memory) for repo, tree in sorted(state.trees.items()))


def _check(root: Path, repo: str, tree: TreeState, memory: MachineMemory) -> TreeCheck:
    what = f"the kept listing of {repo}"
    try:
        kept = memory.manifest(repo, tree.base)
        if kept is None:
            return TreeCheck(repo=repo, snapshot=tree.snapshot, files=0, fault=f"{what} is missing")
        start = checked_manifest(kept, what) if kept else EMPTY_TREE
        packed = memory.changes(repo, tree.base, tree.delta_bytes)
        deltas = [decode_delta(Change(repo, None, None, plain, frame), what) for plain, frame in packed]
        expected = follow(start, deltas, tree.snapshot, what).tree
    except IntegrityError as error:
        return TreeCheck(repo=repo, snapshot=tree.snapshot, files=0, fault=error.message)
    found = {path: _find(root / path, entry) for path, entry in expected.items()}
    as_written = [path for path, entry in expected.items() if found[path] == Known(entry.kind, entry.digest)]
    missing = tuple(path for path in expected if found[path] is _NOTHING)
    return TreeCheck(
        repo=repo,
        snapshot=tree.snapshot,
        files=len(as_written),
        edited=tuple(sorted(expected.keys() - set(as_written) - set(missing))),
        missing=missing,
        additional=tuple(sorted(path for path in _files_below(root) if path not in expected)),
    )


class _Nothing:
    """What is found where nothing is."""


_NOTHING = _Nothing()


def _find(path: Path, entry: Entry) -> Known | _Nothing | None:
    """Return what stands at *path*, where *entry* was written; ``None`` if that is neither file nor link, or of another size."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return Known(FileKind.SYMLINK, _digest([os.fsencode(os.readlink(path))]))  # noqa: PTH115 - as a Path it would be tidied
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size_bytes:
            return None
        kind = FileKind.EXECUTABLE if status.st_mode & stat.S_IXUSR else FileKind.FILE
        return Known(kind, _digest(_slices(path)))
    except (FileNotFoundError, NotADirectoryError):
        return _NOTHING
    except OSError:
        return None


def _slices(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_SLICE_BYTES):
            yield data


def _digest(pieces: Iterable[bytes]) -> Digest:
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    return Digest(hasher.digest())


def _files_below(root: Path) -> Iterator[str]:
    """Yield every file and link below *root*, but for what is compiled, what is git's and what we have left unfinished."""
    for folder, folders, names in os.walk(root):
        below = Path(folder)
        folders[:] = [name for name in folders if name not in {_COMPILED, ".git"}]
        links = [name for name in folders if (below / name).is_symlink()]
        for name in [*names, *links]:
            if not name.startswith(_OURS):
                yield (below / name).relative_to(root).as_posix()
