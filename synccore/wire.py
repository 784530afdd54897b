"""Packed values: MessagePack in, checked shapes out (docs/format.md, section 1).

Invariant: whatever was not checked here is not used. A value of the wrong shape is an `IntegrityError` that names the
object it came from.

msgpack and not msgspec: importing msgspec costs as much as starting Python three times over (67 ms against 3 ms with
typing_extensions installed, Python's bare start being 19 ms), on every command that moves the head.
"""

from __future__ import annotations

import struct
from typing import NoReturn, TypeVar, cast

import msgpack

from synccore.digest import DIGEST_BYTES, Digest
from synccore.errors import ErrorKind, IntegrityError, InvalidInputError
from synccore.treepath import TreePath

T = TypeVar("T")

Packed = object

MAX_UINT = 2**64 - 1

_DIGEST = struct.Struct(f"{DIGEST_BYTES}s")

# The end of the year 2999: beyond it some systems' calendars refuse.
MAX_TIME_MS = 32_503_679_999_999


def pack(value: Packed) -> bytes:
    """Return the shortest packed form of *value*, which is made of None, int, str, bytes, tuples and lists."""
    return cast("bytes", msgpack.packb(value, use_bin_type=True))


def unpack(data: bytes, what: str) -> Packed:
    """Return the value that *data* is the packed form of; arrays become tuples.

    Args:
        data: everything that there is; what follows the value is an error.
        what: the object it comes from, for messages.

    Raises:
        IntegrityError: *data* is not one packed value; no room was made for what it only claims to hold.
    """
    try:
        # The decoder makes room for an array on the word of its header, and arrays nest: 5 KB of headers can ask for terabytes.
        # Skipping makes room for nothing and comes to the end only if every array is as long as it says (100,000 entries:
        # 2 ms against the 45 of decoding).
        skipper = msgpack.Unpacker(max_buffer_size=max(len(data), 1), max_map_len=0, max_ext_len=0)
        skipper.feed(data)
        skipper.skip()
        return cast("Packed", msgpack.unpackb(data, raw=False, use_list=False, max_map_len=0, max_ext_len=0))
    except Exception as error:  # noqa: BLE001 - the decoder raises half a dozen unrelated classes
        damaged(what, f"is not packed data: {error}")


def damaged(what: str, finding: str) -> NoReturn:
    """Say that *what* is not as it must be."""
    raise IntegrityError(ErrorKind.DAMAGED_OBJECT, f"{what} {finding}", object=what)


def row(value: Packed, length: int, what: str) -> tuple[Packed, ...]:
    """Return *value* as an array of exactly *length*."""
    if not isinstance(value, tuple) or len(value) != length:
        damaged(what, f"has no array of {length} where one belongs")
    return value


def rows(value: Packed, what: str) -> tuple[Packed, ...]:
    """Return *value* as an array of any length."""
    if not isinstance(value, tuple):
        damaged(what, "has no array where one belongs")
    return value


def uint(value: Packed, what: str, *, most: int = MAX_UINT) -> int:
    """Return *value* as an integer from 0 to *most*."""
    if type(value) is not int or not 0 <= value <= most:
        damaged(what, f"has {_shown(value)} where an integer from 0 to {most} belongs")
    return value


def time_ms(value: Packed, what: str) -> int:
    """Return *value* as a time: milliseconds since 1970."""
    return uint(value, what, most=MAX_TIME_MS)


def uints(value: Packed, what: str) -> tuple[int, ...]:
    """Return *value* as an array of integers from 0 on."""
    items = rows(value, what)
    if items and (set(map(type, items)) != {int} or min(cast("tuple[int, ...]", items)) < 0):
        damaged(what, "has something else among integers")
    return cast("tuple[int, ...]", items)


def text(value: Packed, what: str) -> str:
    """Return *value* as a string."""
    if not isinstance(value, str):
        damaged(what, f"has {_shown(value)} where a string belongs")
    return value


def binary(value: Packed, what: str) -> bytes:
    """Return *value* as binary."""
    if not isinstance(value, bytes):
        damaged(what, f"has {_shown(value)} where binary belongs")
    return value


def digest(value: Packed, what: str) -> Digest:
    """Return *value* as a digest."""
    if not isinstance(value, bytes) or len(value) != DIGEST_BYTES:
        damaged(what, f"has {_shown(value)} where a digest belongs")
    return Digest(value)


def digests(value: Packed, what: str) -> list[Digest]:
    """Return *value*, concatenated digests, as a list of them."""
    data = binary(value, what)
    if len(data) % DIGEST_BYTES:
        damaged(what, f"has {len(data)} bytes where digests of {DIGEST_BYTES} belong")
    return [found for (found,) in _DIGEST.iter_unpack(data)]


def path(value: Packed, what: str) -> TreePath:
    """Return *value* as a path inside a tree."""
    try:
        return TreePath(text(value, what))
    except InvalidInputError as error:
        damaged(what, f"names a path that cannot be: {error.message}")


def paths(value: Packed, what: str) -> list[TreePath]:
    """Return *value* as paths in strictly ascending order."""
    items = rows(value, what)
    if items and set(map(type, items)) != {str}:
        damaged(what, "has something else among paths")
    try:
        made = TreePath.many(cast("tuple[str, ...]", items))
    except InvalidInputError as error:
        damaged(what, f"names a path that cannot be: {error.message}")
    # Strings compare by code point, which is the order of their UTF-8 bytes.
    if any(map(str.__ge__, made, made[1:])):
        damaged(what, "has paths out of order or twice")
    return made


def _shown(value: Packed) -> str:
    if isinstance(value, tuple):
        # Its own text may be a hundred times as large as the object, and deeper than the interpreter's stack.
        return f"an array of {len(value)}"
    if isinstance(value, str | bytes):
        value = value[:60]
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."  # noqa: PLR2004 - a line's worth
