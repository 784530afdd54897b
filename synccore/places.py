"""Where chunks are stored: in which block, and at which offset of it.

Invariant: a `Place` says everything that a reader needs to fetch its chunk; no other object has to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from synccore.digest import Digest


class ObjectRef(NamedTuple):
    """A stored object that is named by its content."""

    digest: Digest
    size_bytes: int


class StoredBlock(NamedTuple):
    """A block inside a bundle.

    Attributes:
        bundle: which.
        offset: of the block in the stored bundle.
        stored_bytes: its size there.
        plain_bytes: the size of its content.
        checksum: XXH3-64 of the stored bytes.
    """

    bundle: ObjectRef
    offset: int
    stored_bytes: int
    plain_bytes: int
    checksum: int


class InlineBlock(NamedTuple):
    """A block that travels inside a delta.

    Attributes:
        frame: the stored bytes.
        plain_bytes: the size of its content.
        checksum: XXH3-64 of *frame*.
    """

    frame: bytes
    plain_bytes: int
    checksum: int


Block = StoredBlock | InlineBlock


class Place(NamedTuple):
    """Where a chunk begins in the plain bytes of a block."""

    block: Block
    offset: int


Places = Mapping[Digest, Place]

# Many are made in half the time without the call of Python that checks how many fields there are.
PLACE: Callable[[tuple[Block, int]], Place] = partial(tuple.__new__, Place)
