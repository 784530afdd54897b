"""Cutting contents into chunks (docs/format.md, section 4, "Cutting").

Invariant: equal contents are cut equally by every writer; no reader needs to cut, though it may, to find what it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

from synccore.errors import ErrorKind, InvalidInputError

# Constants of the format. An edit of 1 KiB touches one or two chunks, so about 0.3 to 1 MiB of a large file.
MIN_CHUNK_BYTES = 64 * 2**10
AVERAGE_CHUNK_BYTES = 256 * 2**10
MAX_CHUNK_BYTES = 2**20
_NORMALISATION: Literal[1] = 1


class Stream(Protocol):
    """What a content is read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to *size* bytes; none at the end."""


def cut(stream: Stream) -> Iterator[bytes]:
    """Yield the chunks of a content larger than `MAX_WHOLE_CHUNK_BYTES`, in order, each of at most 1 MiB.

    Memory stays within a few MiB whatever the content's size.

    Raises:
        InvalidInputError: the cutting library is installed without its compiled part, which would take minutes.
    """
    from pyfastcdc import FastCDC  # 4 ms, and only large files need it

    if "cy" not in FastCDC.__module__:
        raise InvalidInputError(
            ErrorKind.BAD_INPUT, "pyfastcdc is installed without its compiled extension; install one of its wheels"
        )
    cutter = FastCDC(
        AVERAGE_CHUNK_BYTES,
        min_size=MIN_CHUNK_BYTES,
        max_size=MAX_CHUNK_BYTES,
        normalized_chunking=_NORMALISATION,
        seed=0,
    )
    for chunk in cutter.cut_stream(stream):
        yield bytes(chunk.data)
