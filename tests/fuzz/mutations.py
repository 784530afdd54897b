"""Spoiling data: bytes as they are, and packed values by their structure.

Invariant: equal random sources spoil equal data equally, so that every finding can be made again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgpack

_NUMBERS = (0, 1, 2, 3, 31, 32, 127, 128, 255, 256, 2**16, 2**20, 2**20 + 1, 2**31, 2**32, 2**63, 2**64 - 1)
_TEXTS = (
    "",
    ".",
    "..",
    "a",
    "a/b",
    "a/../b",
    "/a",
    ".git",
    ".GIT ",
    "a\0",
    "a\\b",
    "\u200c",
    "é",
    "x" * 300,
    "alpha",
    "\x1b[2J",
)
_ODD = (None, True, False, -1, -(2**63), 1.5, float("inf"), b"", bytes(31), bytes(32), bytes(64), [], [[]], {}, {1: 2})


# What means something to one parser or another.
_TOKENS = (
    b"{99999999999999999999}", b"(" * 150, b"[" * 500, b"[[:alpha:]", b"[!", b"**/", b"\\", b"\n", b"\r\n", b"\0", b"\x85", b"\xe2\x80\xa8",
    b"(?i)", b"(?P<a>", b"\\1", b"!", b"#", b"'", b'"', b"=", b"export ", b"\x1f", b"1e999", b"NaN", b"Infinity", b"-1", b"9" * 5000, b"null", b"[]",
)  # fmt: skip


def spoil(data: bytes, source: random.Random) -> bytes:
    """Return *data* with a few things about it changed; as packed data or JSON, if it is that, every other time."""
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        data = _spoil_value(data, source) if source.random() < 0.6 else _spoil_bytes(data, source)
    return data


def _spoil_bytes(data: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(data) + 1)
    end = min(len(data), at + source.choice((1, 1, 2, 4, 8, 64)))
    return source.choice(_CUTS)(data, at, end, source)


_CUTS: tuple[Callable[[bytes, int, int, random.Random], bytes], ...] = (
    lambda data, at, end, source: data[:at] + source.randbytes(end - at) + data[end:],
    lambda data, at, end, _: data[:at] + bytes(byte ^ 0xFF for byte in data[at:end]) + data[end:],
    lambda data, at, end, source: (
        data[:at] + bytes([source.choice((0, 1, 0x7F, 0x80, 0x90, 0xC0, 0xDC, 0xDD, 0xFF))]) + data[end:]
    ),
    lambda data, at, end, _: data[:at] + data[end:],
    lambda data, at, end, _: data[:end] + data[at:],
    lambda data, at, _end, _: data[:at],
    lambda data, at, _end, source: data[:at] + source.randbytes(source.randrange(9)) + data[at:],
    lambda data, at, _end, source: data[:at] + source.choice(_TOKENS) + data[at:],
)


def _spoil_value(data: bytes, source: random.Random) -> bytes:
    if data.startswith(b"{"):
        return _spoil_json(data, source)
    try:
        value = msgpack.unpackb(data, raw=False, use_list=True, strict_map_key=False)
        holder = [value]
        _spoil_in(holder, source)
        packed: bytes = msgpack.packb(holder[0], use_bin_type=True)
    except Exception:  # noqa: BLE001 - it is not packed data, or not any more
        return _spoil_bytes(data, source)
    return packed


def _spoil_json(data: bytes, source: random.Random) -> bytes:
    try:
        holder = [json.loads(data)]
        _spoil_in(holder, source)
        return json.dumps(holder[:1] and holder[0], default=lambda odd: f"{odd!r}").encode()
    except (ValueError, TypeError, RecursionError):
        return _spoil_bytes(data, source)


def _spoil_in(rows: list[Any], source: random.Random) -> None:
    """Change something in *rows*, at any depth."""
    while rows:
        at = source.randrange(len(rows))
        inner = rows[at]
        if isinstance(inner, dict) and inner and source.random() < 0.9:
            values = list(inner.values())
            _spoil_in(values, source)
            inner.update(zip(inner, values, strict=False))
            return
        if isinstance(inner, list) and inner and source.random() < 0.75:
            rows = inner
            continue
        what = source.randrange(8)
        if what == 0:
            del rows[at]
        elif what == 1:
            rows.insert(at, rows[source.randrange(len(rows))])
        elif what == 2:
            other = source.randrange(len(rows))
            rows[at], rows[other] = rows[other], rows[at]
        elif what == 3:
            rows[at] = source.choice(_ODD)
        else:
            rows[at] = _near(inner, source)
        return


def _near(value: Any, source: random.Random) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool) or value is None:
        return source.choice(_ODD)
    if isinstance(value, int):
        return source.choice((value + 1, max(value - 1, 0), value * 2, source.choice(_NUMBERS)))
    if isinstance(value, str):
        return source.choice(
            (value + "x", value[:-1], source.choice(_TEXTS), value + source.choice(_TEXTS), value.upper())
        )
    if isinstance(value, bytes):
        return _spoil_bytes(value, source)
    return source.choice((value * 2, value[:-1], value[::-1])) if isinstance(value, list) else source.choice(_ODD)
