"""The frame around every stored object but bundles, and the zstd frames inside (docs/format.md, sections 1 and 3).

Invariant: nothing is allocated on the word of a header before the header's own limits were checked.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from enum import Enum

import zstandard

from synccore.errors import ErrorKind, IntegrityError, InvalidInputError
from synccore.wire import damaged

FORMAT_VERSION = 1
MAGIC = b"\x89EPL"

# Level 3 is where text compresses 3.5:1 at some 300 MB/s a core; level 1 saves a third of the time for a tenth more bytes.
_LEVEL = 3

# What stands in the head is sent again with the next uploads. Of twenty edited files (184, 229 and 276 KB) this makes 40, 53 and 56 KB in 4 ms, and
# level 3 makes 45, 59 and 63 in 1; level 12 takes 19 ms for 1 % less.
_LEVEL_OF_SMALL = 9

# Above so many bytes level 3 looks things up in tables of 768 KiB, most of a core's second cache beside the data. With 320 KiB it takes
# 12 % less time for 0.5 to 1.3 % more bytes (Python packages, shared libraries); smaller contents have smaller tables anyway.
_LARGE_BYTES = 256 * 2**10
_LARGE = zstandard.ZstdCompressionParameters.from_level(_LEVEL, hash_log=16, chain_log=14, write_content_size=True)

# Where nobody waits for the bytes but a disk or a fast network, 17 % less time for 5.5 % more of them: 521 MB/s a core, and not 432 (334 MB of
# Python packages; level 1 itself makes 550 for 8.6 %).
_QUICK = zstandard.ZstdCompressionParameters.from_level(
    _LEVEL, strategy=zstandard.STRATEGY_FAST, hash_log=15, min_match=6, write_content_size=True
)

# To make a compressor takes as long as to compress 50 KB: its tables are new memory each time.
_kept = threading.local()
_MAX_WINDOW_BYTES = 8 * 2**20

_HEADER = struct.Struct("<4ssBHQ32s")


class ObjectKind(bytes, Enum):
    """What an envelope holds."""

    HEAD = b"H"
    MANIFEST = b"M"
    JOURNAL = b"J"


MAX_PAYLOAD_BYTES = {
    ObjectKind.HEAD: 4 * 2**20,
    ObjectKind.JOURNAL: 16 * 2**20,
    ObjectKind.MANIFEST: 128 * 2**20,
}


def seal(kind: ObjectKind, payload: bytes, *, split: int = 0) -> bytes:
    """Put *payload* into an envelope; *split* as for `compress`.

    Raises:
        InvalidInputError: it is larger than readers take.
    """
    if len(payload) > MAX_PAYLOAD_BYTES[kind]:
        raise InvalidInputError(
            ErrorKind.BAD_INPUT,
            f"a {kind.name.lower()} of {len(payload)} bytes cannot be stored: expected at most {MAX_PAYLOAD_BYTES[kind]}",
        )
    header = _HEADER.pack(MAGIC, kind.value, FORMAT_VERSION, 0, len(payload), hashlib.sha256(payload).digest())
    return header + compress(payload, split=split)


def unseal(kind: ObjectKind, data: bytes, what: str) -> bytes:
    """Take the payload out of an envelope.

    Args:
        kind: what the envelope must hold.
        data: the stored bytes.
        what: the object, for messages.

    Raises:
        IntegrityError: the bytes are damaged, or of a newer format (`NEWER_FORMAT`).
    """
    if len(data) < _HEADER.size:
        damaged(what, f"is damaged: expected at least {_HEADER.size} bytes, found {len(data)}")
    magic, found_kind, version, zero, size, digest = _HEADER.unpack_from(data)
    check_version(what, magic, version)
    if found_kind != kind.value or zero != 0:
        damaged(what, f"is damaged: expected the header of a {kind.name.lower()}, found kind {found_kind!r}")
    if size > MAX_PAYLOAD_BYTES[kind]:
        damaged(
            what, f"claims {size} bytes, more than the {MAX_PAYLOAD_BYTES[kind]} that a {kind.name.lower()} may have"
        )
    payload = decompress(data[_HEADER.size :], size, what)
    if hashlib.sha256(payload).digest() != digest:
        damaged(what, "is damaged: its content does not have the SHA-256 in its header")
    return payload


def check_version(what: str, magic: bytes, version: int) -> None:
    """Check the first five bytes of any stored object.

    Raises:
        IntegrityError: not ours, or of a newer format.
    """
    if magic != MAGIC:
        damaged(what, f"is damaged: expected it to begin with {MAGIC!r}, found {magic!r}")
    if version != FORMAT_VERSION:
        raise IntegrityError(
            ErrorKind.NEWER_FORMAT,
            f"{what} has format version {version}; this program reads version {FORMAT_VERSION}",
            object=what,
            expected=FORMAT_VERSION,
            found=version,
        )


def compress(data: bytes, *, split: int = 0, quickly: bool = False, well: bool = False) -> bytes:
    """Return *data* as one zstd frame that states its content size. Safe from any thread; releases the GIL.

    Args:
        data: the content.
        split: for a frame of other bytes with the same content: where, modulo its size, a block of zstd's own ends; 0 leaves
            that to zstd.
        quickly: whether time is worth more than some bytes; of small contents it makes no difference.
        well: whether bytes are worth more than some time, where *data* is small; *split* is not heeded then.
    """
    if well and len(data) <= _LARGE_BYTES:
        return zstandard.ZstdCompressor(level=_LEVEL_OF_SMALL, write_content_size=True).compress(data)
    if not split:
        return _compressor(len(data), quickly=quickly).compress(data)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
    stream = compressor.compressobj(size=len(data))
    at = split % max(len(data), 1)
    first = stream.compress(data[:at]) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return first + stream.compress(data[at:]) + stream.flush()


def _compressor(size: int, *, quickly: bool) -> zstandard.ZstdCompressor:
    """Return what this thread compresses contents of *size* bytes with."""
    if size <= _LARGE_BYTES:
        return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
    name = "quick" if quickly else "large"
    compressor: zstandard.ZstdCompressor | None = getattr(_kept, name, None)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(compression_params=_QUICK if quickly else _LARGE)
        setattr(_kept, name, compressor)
    return compressor


def decompress(frame: bytes | memoryview, size: int, what: str) -> bytes:
    """Return the content of *frame*, which must be exactly *size* bytes.

    Raises:
        IntegrityError: it is not such a frame; nothing of the claimed size was allocated.
    """
    try:
        parameters = zstandard.get_frame_parameters(frame)
        if parameters.content_size != size or parameters.window_size > _MAX_WINDOW_BYTES or parameters.dict_id:
            damaged(what, f"is damaged: expected a zstd frame of {size} bytes, found one of {parameters.content_size}")
        content: bytes = zstandard.ZstdDecompressor().decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        damaged(what, f"is damaged: {error}")
    if len(content) != size:
        damaged(what, f"is damaged: expected {size} bytes, found {len(content)}")
    return content
