"""Content ids: SHA-256 digests as 32 raw bytes.

Invariant: a `Digest` names content that another machine trusts, so it is always a SHA-256 and never a weaker hash.
"""

from __future__ import annotations

import hashlib
from typing import NewType

from synccore.errors import ErrorKind, InvalidInputError

Digest = NewType("Digest", bytes)

DIGEST_BYTES = 32


def digest_of(data: bytes | memoryview) -> Digest:
    """Return the SHA-256 of *data*."""
    return Digest(hashlib.sha256(data).digest())


def digest_from_hex(text: str) -> Digest:
    """Parse 64 lower-case hexadecimal digits.

    Raises:
        InvalidInputError: *text* is not such a digest.
    """
    if len(text) == 2 * DIGEST_BYTES and text == text.lower():
        try:
            return Digest(bytes.fromhex(text))
        except ValueError:
            pass
    raise InvalidInputError(
        ErrorKind.BAD_INPUT, f"expected 64 lower-case hexadecimal digits, found {text!r}", found=text
    )
