"""The canonical listing of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from synccore.digest import Digest
from synccore.treepath import TreePath


class FileKind(IntEnum):
    """What stands at a path. The numbers are those of the format."""

    FILE = 0
    EXECUTABLE = 1
    SYMLINK = 2


class Chunk(NamedTuple):
    """A slice of a file's content, in file order."""

    digest: Digest
    size_bytes: int


class Entry(NamedTuple):
    """What a tree has at one path.

    A tuple and not a dataclass: trees have 100,000 of them, and 100,000 tuples are built in a fifth of the time.

    Attributes:
        kind: file, executable file or symbolic link.
        size_bytes: of the content; for a link, of its target's text.
        digest: SHA-256 of the whole content; for a link, of its target's text.
        chunks: the slices of a content larger than `MAX_WHOLE_CHUNK_BYTES`; empty for all others, which are one
            chunk whose id is the digest (or none, if empty).
    """

    kind: FileKind
    size_bytes: int
    digest: Digest
    chunks: tuple[Chunk, ...] = ()


Tree = Mapping[TreePath, Entry]
