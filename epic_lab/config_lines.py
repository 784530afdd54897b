"""The lines of a configuration file: `KEY=value` as text, read and rewritten without ever being executed.

Invariant: what is not understood is kept byte for byte when a file is rewritten, and `$VAR`, backticks and backslashes mean
nothing but themselves. The values are tuples, which a kernel's start gets in a fifth of the time of dataclasses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_ASSIGNMENT = re.compile(r"(?P<head>\s*(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*=)(?P<rest>.*)", re.DOTALL)
_COMMENT = re.compile(r"\s#")
_COMMENT_ONLY = re.compile(r"\s+#.*", re.DOTALL)
_BOM = "\ufeff"


class Setting(NamedTuple):
    """One assignment of a file.

    Attributes:
        key: what stands left of the equals sign.
        value: what stands right of it, without quotes and comment.
        line: its line in the file, from 1.
    """

    key: str
    value: str
    line: int


class BadLine(NamedTuple):
    """A line that is neither an assignment nor a comment nor blank.

    Attributes:
        line: its number, from 1.
        fault: what is wrong with it, as the rest of a sentence that begins with its place.
    """

    line: int
    fault: str


class _Parts(NamedTuple):
    """An assignment in pieces that add up to the line: the value stands between head and tail."""

    head: str
    key: str
    value: str
    tail: str


def parse(text: str) -> tuple[dict[str, Setting], BadLine | None]:
    """Read every assignment of *text*; of two with one key the later stands, as in a shell.

    A value may stand in single or double quotes, inside which every other character is itself. Outside quotes a ``#`` after
    white space begins a comment, and white space at the ends does not count.

    Returns:
        The assignments by key, and the first line that is none, if there is such a line.
    """
    settings: dict[str, Setting] = {}
    first_bad: BadLine | None = None
    for number, line in enumerate(text.removeprefix(_BOM).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _split(line)
        if isinstance(parts, _Parts):
            settings.pop(parts.key, None)  # a later assignment also takes the later place in the order
            settings[parts.key] = Setting(parts.key, parts.value, number)
        elif first_bad is None:
            first_bad = BadLine(number, parts)
    return settings, first_bad


def rewrite(text: str, changes: Mapping[str, str]) -> str:
    """Return *text* with each key of *changes* set to its value.

    An existing assignment is changed where it stands and keeps its comment; a new one comes at the end. Everything else,
    line ends and a byte-order mark included, stays as it is; *text* itself is returned where every key has its value already.

    Raises:
        ValueError: a value has a line break or both kinds of quotes, which a line cannot say.
    """
    bom = _BOM if text.startswith(_BOM) else ""
    lines = text.removeprefix(_BOM).splitlines(keepends=True)
    line_end = "\r\n" if any(line.endswith("\r\n") for line in lines) else "\n"
    settings, _ = parse(text)
    for key, value in changes.items():
        setting = settings.get(key)
        if setting is None:
            if lines and not lines[-1].endswith(("\n", "\r")):
                lines[-1] += line_end
            lines.append(f"{key}={_quoted(value)}{line_end}")
        elif setting.value != value:
            line = lines[setting.line - 1]
            body = line.rstrip("\r\n")
            parts = _split(body)
            assert isinstance(parts, _Parts)  # noqa: S101 - parse() has just read an assignment on this line
            lines[setting.line - 1] = parts.head + _quoted(value) + parts.tail + line[len(body) :]
    return bom + "".join(lines)


def _split(line: str) -> _Parts | str:
    """Cut an assignment into its parts, or say what is wrong with it."""
    found = _ASSIGNMENT.fullmatch(line)
    if found is None:
        return f"expected KEY=value, found {_shortened(line.strip())}"
    key, rest = found["key"], found["rest"]
    value = rest.strip()
    if value[:1] in {"'", '"'}:
        quote, begin = value[0], rest.index(value[0]) + 1
        end = rest.find(quote, begin)
        if end < 0:
            return f"{key} begins with {quote} and has no closing {quote}"
        tail = rest[end + 1 :]
        if tail.strip() and not _COMMENT_ONLY.fullmatch(tail):
            return f"{key} has {_shortened(tail.strip())} after its closing {quote}"
        return _Parts(found["head"] + rest[: begin - 1], key, rest[begin:end], tail)
    comment = _COMMENT.search(rest)
    if comment is not None:
        value = rest[: comment.start()].strip()
    begin = rest.index(value) if value else 0
    return _Parts(found["head"] + rest[:begin], key, value, rest[begin + len(value) :])


def _quoted(value: str) -> str:
    """Write *value* so that `parse` reads it back: bare where that is possible."""
    if re.fullmatch(r"[^\s#'\"](?:[^'\"\r\n]*[^\s'\"])?", value) and not _COMMENT.search(value):
        return value
    quote = "'" if "'" not in value else '"'
    if quote in value or len(value.splitlines()) > 1:
        raise ValueError(value)
    return f"{quote}{value}{quote}"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")  # noqa: PLR2004 - what fits a line beside the rest
