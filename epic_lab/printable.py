r"""Text of other people's making, as it may be shown on a terminal or in a notebook.

Paths, branches, users and hosts come from the store or from a disk, and what is shown of them must not move the cursor, forge
a line or reverse the order of what is read (https://trojansource.codes).

Invariant: what comes out has no control character but those that the function says it keeps, and equal texts without any come
out as they are.
"""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), line and paragraph separators, and those that change the direction of writing.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CONTROL_BUT_LAYOUT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return *text* with every control character written out, ``\x1b``; the result is one line."""
    return _CONTROL.sub(_written_out, text)


def printable_lines(text: str) -> str:
    r"""Return *text* with every control character written out but ``\n`` and ``\t``."""
    return _CONTROL_BUT_LAYOUT.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"  # noqa: PLR2004 - as Python writes them
