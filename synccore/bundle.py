"""Bundles: one stored object that holds many chunks in compressed blocks (docs/format.md, section 8).

Invariant: a chunk that comes out of a block has been compared with its digest.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from itertools import accumulate, repeat
from typing import NamedTuple

import xxhash

from synccore import wire
from synccore.digest import Digest, digest_of
from synccore.envelope import FORMAT_VERSION, MAGIC, check_version, compress, decompress
from synccore.manifest import MAX_BLOCK_PLAIN_BYTES, MAX_WHOLE_CHUNK_BYTES, Chunk
from synccore.places import PLACE, Block, InlineBlock, ObjectRef, Place, StoredBlock

BLOCK_TARGET_BYTES = 2**20
BUNDLE_TARGET_BYTES = 16 * 2**20

_NONCE_BYTES = 16

_HEADER = struct.Struct("<4ssBH")
_TRAILER = struct.Struct("<QIIQ4ssBH")
_MAX_TABLE_BYTES = 64 * 2**20


class PackedBlock(NamedTuple):
    """A block that is compressed and not yet anywhere.

    Attributes:
        frame: its stored bytes.
        plain_bytes: the size of its content.
        checksum: XXH3-64 of *frame*.
        chunks: what stands in it, in order and without gaps.
    """

    frame: bytes
    plain_bytes: int
    checksum: int
    chunks: tuple[Chunk, ...]


class Bundle(NamedTuple):
    """A bundle ready to be stored.

    Attributes:
        ref: its digest and size.
        data: its stored bytes.
        places: where each of its chunks is.
    """

    ref: ObjectRef
    data: bytes
    places: dict[Digest, Place]


def pack_block(contents: Iterable[tuple[Digest, bytes]], *, quickly: bool = False) -> PackedBlock:
    """Compress *contents*, chunks with their digests, into one block; *quickly* as for `compress`. Safe from any thread."""
    pairs = list(contents)
    plain = b"".join([data for _, data in pairs])
    return frame_block(
        compress(plain, quickly=quickly, well=True),
        len(plain),
        tuple(Chunk(digest, len(data)) for digest, data in pairs),
    )


def frame_block(frame: bytes, plain_bytes: int, chunks: tuple[Chunk, ...]) -> PackedBlock:
    """Describe a *frame* that is compressed already."""
    return PackedBlock(frame, plain_bytes, xxhash.xxh3_64_intdigest(frame), chunks)


def nonce_block() -> PackedBlock:
    """Return a small block that no other bundle has: a bundle with it has a name that was never used and never will be."""
    nonce = os.urandom(_NONCE_BYTES)
    return pack_block([(digest_of(nonce), nonce)])


def inline_places(block: PackedBlock) -> dict[Digest, Place]:
    """Return the places of *block*'s chunks if it travels inside a delta."""
    inline = InlineBlock(block.frame, block.plain_bytes, block.checksum)
    return dict(_places_in(inline, block.chunks))


def build_bundle(blocks: Iterable[PackedBlock]) -> Bundle:
    """Put *blocks* into one bundle."""
    listed = list(blocks)
    header = _HEADER.pack(MAGIC, b"B", FORMAT_VERSION, 0)
    packed_table = wire.pack([_table_row(block) for block in listed])
    table = compress(packed_table)
    frames = [block.frame for block in listed]
    table_offset = len(header) + sum(map(len, frames))
    trailer = _TRAILER.pack(
        table_offset, len(table), len(packed_table), xxhash.xxh3_64_intdigest(table), MAGIC, b"T", FORMAT_VERSION, 0
    )
    data = b"".join((header, *frames, table, trailer))
    ref = ObjectRef(digest_of(data), len(data))
    places: dict[Digest, Place] = {}
    offset = len(header)
    for block in listed:
        stored = StoredBlock(ref, offset, len(block.frame), block.plain_bytes, block.checksum)
        places.update(_places_in(stored, block.chunks))
        offset += len(block.frame)
    return Bundle(ref, data, places)


def _table_row(block: PackedBlock) -> wire.Packed:
    digests = b"".join([digest for digest, _ in block.chunks])
    return len(block.frame), block.plain_bytes, block.checksum, digests, [size for _, size in block.chunks]


def _places_in(block: Block, chunks: tuple[Chunk, ...]) -> Iterator[tuple[Digest, Place]]:
    """Yield where *chunks* are that stand in *block*."""
    offsets = accumulate([size for _, size in chunks], initial=0)
    return zip([digest for digest, _ in chunks], map(PLACE, zip(repeat(block), offsets, strict=False)), strict=False)


def parse_bundle(data: bytes, what: str) -> list[PackedBlock]:
    """Return the blocks of a whole stored bundle by its own table.

    Raises:
        IntegrityError: it is not a bundle.
    """
    if len(data) < _HEADER.size + _TRAILER.size:
        wire.damaged(what, f"is damaged: {len(data)} bytes are too few for a bundle")
    magic, kind, version, zero = _HEADER.unpack_from(data)
    check_version(what, magic, version)
    offset, stored, plain, checksum, *end = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    if (kind, zero) != (b"B", 0) or end != [MAGIC, b"T", FORMAT_VERSION, 0]:
        wire.damaged(what, "is damaged: it does not begin and end as a bundle does")
    table = data[offset : offset + stored]
    if offset + stored + _TRAILER.size != len(data) or xxhash.xxh3_64_intdigest(table) != checksum:
        wire.damaged(what, "is damaged: its table does not have the checksum in its trailer")
    if plain > _MAX_TABLE_BYTES:
        wire.damaged(what, f"claims a table of {plain} bytes, more than {_MAX_TABLE_BYTES}")
    blocks = []
    at = _HEADER.size
    for item in wire.rows(wire.unpack(decompress(table, plain, what), what), what):
        block = _parse_table_row(item, data, at, what)
        blocks.append(block)
        at += len(block.frame)
    if at != offset:
        wire.damaged(what, "is damaged: its blocks do not fill the room before its table")
    return blocks


def with_offsets(blocks: Iterable[PackedBlock]) -> Iterator[tuple[int, PackedBlock]]:
    """Yield each of the blocks that `parse_bundle` has returned with its offset in the stored bundle."""
    offset = _HEADER.size
    for block in blocks:
        yield offset, block
        offset += len(block.frame)


def _parse_table_row(value: wire.Packed, data: bytes, offset: int, what: str) -> PackedBlock:
    stored_part, plain_part, checksum_part, digests_part, sizes_part = wire.row(value, 5, what)
    stored = wire.uint(stored_part, what, most=len(data))
    plain = wire.uint(plain_part, what, most=MAX_BLOCK_PLAIN_BYTES)
    digests, sizes = wire.digests(digests_part, what), wire.uints(sizes_part, what)
    if len(digests) != len(sizes) or sum(sizes) != plain or any(not 0 < n <= MAX_WHOLE_CHUNK_BYTES for n in sizes):
        wire.damaged(what, "is damaged: a row of its table does not describe a block")
    frame = data[offset : offset + stored]
    return PackedBlock(frame, plain, wire.uint(checksum_part, what), tuple(map(Chunk, digests, sizes)))


def open_block(frame: bytes | memoryview, plain_bytes: int, checksum: int, what: str) -> bytes:
    """Return the plain bytes of a stored block.

    Raises:
        IntegrityError: the frame does not have that checksum or content size.
    """
    if xxhash.xxh3_64_intdigest(frame) != checksum:
        wire.damaged(what, f"is damaged: a block of {len(frame)} bytes does not have its checksum")
    return decompress(frame, plain_bytes, what)


def take_chunk(plain: bytes, offset: int, chunk: Chunk, what: str) -> bytes:
    """Return *chunk* out of the plain bytes of its block, compared with its digest.

    Raises:
        IntegrityError: other bytes stand there.
    """
    data = plain[offset : offset + chunk.size_bytes]
    if len(data) != chunk.size_bytes or hashlib.sha256(data).digest() != chunk.digest:
        wire.damaged(what, f"is damaged: the chunk at {offset} is not {chunk.digest.hex()}")
    return data
