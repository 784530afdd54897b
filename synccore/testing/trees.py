"""Tiny trees as dict literals: laid out on a disk, read back from one, and as the engine lists them.

    {"a": "text", "b/c.sh": executable("#!/bin/sh"), "l": link("a")}

Invariant: nothing here goes through the engine's own scanning or writing, so that a mistake that both make shows.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from synccore.chunking import cut
from synccore.digest import Digest, digest_of
from synccore.manifest import MAX_WHOLE_CHUNK_BYTES, Chunk, Entry, FileKind, Tree
from synccore.treepath import TreePath


@dataclass(frozen=True, slots=True)
class Executable:
    """An executable file."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


Node = bytes | Executable | Link
"""What stands at a path: the bytes of a plain file, or something else."""

TreeLiteral = Mapping[str, str | Node]
"""A tree as tests write it; text stands for its UTF-8 bytes."""

NodeTree = dict[str, Node]
"""A tree in its plain form, in path order: two equal trees are equal values."""


def executable(text: str | bytes) -> Executable:
    """Return an executable file with this content."""
    return Executable(text.encode() if isinstance(text, str) else text)


def link(target: str) -> Link:
    """Return a symbolic link to *target*."""
    return Link(target)


def nodes(literal: TreeLiteral) -> NodeTree:
    """Return the plain form of a tree as it was written down."""
    return {path: node.encode() if isinstance(node, str) else node for path, node in sorted(literal.items())}


def content_of(node: Node) -> bytes:
    """Return the bytes that *node* is stored as."""
    if isinstance(node, Executable):
        return node.data
    return os.fsencode(node.target) if isinstance(node, Link) else node


def kind_of(node: Node) -> FileKind:
    """Return what *node* is."""
    if isinstance(node, Executable):
        return FileKind.EXECUTABLE
    return FileKind.SYMLINK if isinstance(node, Link) else FileKind.FILE


@lru_cache(maxsize=64)
def noise(size_bytes: int, seed: int = 0) -> bytes:
    """Return bytes that do not compress, the same ones each time and everywhere."""
    return random.Random(seed).randbytes(size_bytes)  # noqa: S311 - it need not be secret


def entry_of(node: Node) -> Entry:
    """Return the entry that *node* has in a tree."""
    data = content_of(node)
    chunks: tuple[Chunk, ...] = ()
    if len(data) > MAX_WHOLE_CHUNK_BYTES:
        chunks = tuple(Chunk(digest_of(piece), len(piece)) for piece in cut(io.BytesIO(data)))
    return Entry(kind_of(node), len(data), digest_of(data), chunks)


def entries(literal: TreeLiteral) -> dict[TreePath, Entry]:
    """Return the tree as the engine lists it."""
    return {TreePath(path): entry_of(node) for path, node in nodes(literal).items()}


def contents(literal: TreeLiteral) -> dict[Digest, bytes]:
    """Return every chunk of a tree by its digest."""
    found: dict[Digest, bytes] = {}
    for node in nodes(literal).values():
        data = content_of(node)
        pieces = cut(io.BytesIO(data)) if len(data) > MAX_WHOLE_CHUNK_BYTES else ([data] if data else [])
        found.update((digest_of(piece), piece) for piece in pieces)
    return found


def snapshot_of(tree: Tree) -> bytes:
    """Return the snapshot id of *tree*, written down from docs/format.md, section 4, and from nothing else."""
    hasher = hashlib.sha256(b"epic-lab snapshot 1\n")
    for path in sorted(tree, key=lambda path: path.encode()):
        entry = tree[path]
        hasher.update(str(int(entry.kind)).encode() + path.encode() + b"\0" + entry.digest)
    return hasher.digest()


def lay(root: Path, literal: TreeLiteral) -> None:
    """Make the tree at *root* exactly this one; what is so already is not touched, and ``.git`` never is."""
    wanted = nodes(literal)
    root.mkdir(parents=True, exist_ok=True)
    there = read(root)
    for path in there:
        if there[path] != wanted.get(path):
            (root / path).unlink()
    _prune(root)
    for path, node in wanted.items():
        if there.get(path) != node:
            _make(root / path, node)


def read(root: Path) -> NodeTree:
    """Read the tree at *root*, without ``.git``; nothing is followed.

    Raises:
        AssertionError: something stands there that is neither file nor link.
    """
    found: NodeTree = {}
    for folder, directories, names in os.walk(root):
        if ".git" in directories:
            directories.remove(".git")
        for name in [*names, *(name for name in directories if Path(folder, name).is_symlink())]:
            path = Path(folder, name)
            found[path.relative_to(root).as_posix()] = _read(path)
    return dict(sorted(found.items()))


def _read(path: Path) -> Node:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return Link(os.readlink(path))  # noqa: PTH115 - as a Path it would be tidied
    if not stat.S_ISREG(status.st_mode):
        raise AssertionError(f"{path} is neither a file nor a link")
    data = path.read_bytes()
    return Executable(data) if status.st_mode & stat.S_IXUSR else data


# No two files that are made here have the same time, however coarse the kernel's clock is.
_stamps = itertools.count(time.time_ns())


def _make(path: Path, node: Node) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = next(_stamps)
    if isinstance(node, Link):
        path.symlink_to(node.target)
        if os.utime in os.supports_follow_symlinks:
            os.utime(path, ns=(stamp, stamp), follow_symlinks=False)
        return
    path.write_bytes(content_of(node))
    path.chmod(0o755 if isinstance(node, Executable) else 0o644)
    os.utime(path, ns=(stamp, stamp))


def _prune(root: Path) -> None:
    """Remove directories without anything in them."""
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root and ".git" not in Path(folder).relative_to(root).parts:
            with suppress(OSError):
                Path(folder).rmdir()
