"""Stored bytes written down from docs/format.md, and from nothing else.

Invariant: nothing here calls an encoder of the engine, so that an encoder and a decoder that are wrong in the same way show.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import msgpack
import xxhash
import zstandard

MAGIC = b"\x89EPL"


def sha(data: bytes) -> bytes:
    """Return a digest."""
    return hashlib.sha256(data).digest()


def packed(value: object) -> bytes:
    """Return packed data."""
    data: bytes = msgpack.packb(value, use_bin_type=True)
    return data


def checksum(data: bytes) -> int:
    """Return a checksum."""
    number: int = xxhash.xxh3_64_intdigest(data)
    return number


def frame(content: bytes, *, states_size: bool = True) -> bytes:
    """Return a frame; its level is the writer's own choice, and here it is another than the engine's."""
    return zstandard.ZstdCompressor(level=1, write_content_size=states_size).compress(content)


def bomb(content_size: int) -> bytes:
    """Return a frame whose header promises so many bytes, and which has next to none."""
    descriptor = 0xE0  # the content size in eight bytes, and one segment
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + struct.pack("<Q", content_size) + b"\x01\x00\x00"


def envelope(
    kind: bytes,
    payload: bytes,
    *,
    magic: bytes = MAGIC,
    version: int = 1,
    zero: int = 0,
    size: int | None = None,
    digest: bytes | None = None,
    content: bytes | None = None,
) -> bytes:
    """Return an envelope of section 3, with whatever is given in place of what is right."""
    header = magic + kind + bytes([version]) + struct.pack("<H", zero)
    header += struct.pack("<Q", len(payload) if size is None else size)
    header += sha(payload) if digest is None else digest
    return header + (frame(payload) if content is None else content)


def bundle(blocks: Sequence[Sequence[bytes]]) -> bytes:
    """Return a bundle of section 8 whose blocks hold these chunks."""
    frames = [frame(b"".join(chunks)) for chunks in blocks]
    rows = [
        [len(stored), sum(map(len, chunks)), checksum(stored), b"".join(map(sha, chunks)), [len(it) for it in chunks]]
        for stored, chunks in zip(frames, blocks, strict=True)
    ]
    return assembled(b"".join(frames), packed(rows))


def assembled(
    stored: bytes,
    table: bytes,
    *,
    header: bytes = MAGIC + b"B\x01\x00\x00",
    offset: int | None = None,
    plain: int | None = None,
    table_checksum: int | None = None,
    end: bytes = MAGIC + b"T\x01\x00\x00",
) -> bytes:
    """Put the parts of a bundle together, with whatever is given in place of what is right."""
    table_frame = frame(table)
    trailer = struct.pack(
        "<QIIQ",
        len(header) + len(stored) if offset is None else offset,
        len(table_frame),
        len(table) if plain is None else plain,
        checksum(table_frame) if table_checksum is None else table_checksum,
    )
    return header + stored + table_frame + trailer + end


def snapshot(entries: Sequence[tuple[int, str, bytes]]) -> bytes:
    """Return the snapshot id of kinds, paths and contents that stand in path order."""
    rows = [str(kind).encode() + path.encode() + b"\0" + sha(content) for kind, path, content in entries]
    return sha(b"epic-lab snapshot 1\n" + b"".join(rows))
