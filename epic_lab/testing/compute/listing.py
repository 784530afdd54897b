"""How lists are asked for: filters, order and pages.

The newer kind of filter is taken (``labels.owner=ann``, ``status != RUNNING``, ``labels.a:*``, ``(x=1) OR (y=2)``), and of the older one ``eq`` and
``ne`` with a regular expression. What is not understood is refused, as it may mean anything.

Invariant: the pages of a list are its items in order, each once.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from epic_lab.testing.compute.refusals import RefusalError, invalid_field

_T = TypeVar("_T")
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[()])|(?P<sign>!=|<=|>=|[=<>:])|(?P<quoted>"[^"]*"|'[^']*')|(?P<word>[^\s()=<>:!"']+))"""
)
_LARGEST_PAGE = 500

Resource = Mapping[str, Any]
_Test = Callable[[Resource], bool]


def page(items: Sequence[_T], query: Mapping[str, str]) -> tuple[list[_T], str | None]:
    """Return the page that *query* asks for, and the token of the next one if there is one."""
    size = min(int(query.get("maxResults", _LARGEST_PAGE)) or _LARGEST_PAGE, _LARGEST_PAGE)
    token = query.get("pageToken", "")
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except (ValueError, binascii.Error):
        raise RefusalError(invalid_field("pageToken", token, "Invalid page token.")) from None
    end = start + size
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    return list(items[start:end]), following


def chosen(items: Sequence[Resource], query: Mapping[str, str]) -> list[Resource]:
    """Return the items that *query* filters, in the order that it asks for."""
    order = query.get("orderBy", "name")
    if order not in {"name", "creationTimestamp desc"}:
        raise RefusalError(invalid_field("orderBy", order, "Sorting by that is not supported."))
    matches = _filter(query.get("filter", ""))
    key = order.split()[0]
    return sorted((it for it in items if matches(it)), key=lambda it: str(it[key]), reverse=order.endswith(" desc"))


def _filter(text: str) -> _Test:
    if not text.strip():
        return lambda _: True
    try:
        tokens = list(_tokens(text))
        test, rest = _expression(tokens)
    except (ValueError, IndexError, re.error):
        rest = ["?"]
    if rest:
        raise RefusalError(invalid_field("filter", text, "Invalid list filter expression."))
    return test


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(text)
        yield match.group().strip()
        at = match.end()


def _expression(tokens: list[str]) -> tuple[_Test, list[str]]:
    """Read tests that stand side by side, with or without ``AND``; ``OR`` binds more than both."""
    test, tokens = _alternatives(tokens)
    tests = [test]
    while tokens and tokens[0] != ")":
        test, tokens = _alternatives(tokens[1:] if tokens[0] == "AND" else tokens)
        tests.append(test)
    return (lambda it: all(test(it) for test in tests)), tokens


def _alternatives(tokens: list[str]) -> tuple[_Test, list[str]]:
    test, tokens = _one(tokens)
    tests = [test]
    while tokens[:1] == ["OR"]:
        test, tokens = _one(tokens[1:])
        tests.append(test)
    return (lambda it: any(test(it) for test in tests)), tokens


def _one(tokens: list[str]) -> tuple[_Test, list[str]]:
    if tokens[0] in {"NOT", "-"}:
        inner, rest = _one(tokens[1:])
        return (lambda it: not inner(it)), rest
    if tokens[0] == "(":
        inner, rest = _expression(tokens[1:])
        if rest[0] != ")":
            raise ValueError(rest)
        return inner, rest[1:]
    name, sign, value = tokens[0], tokens[1], tokens[2].strip("\"'")
    if sign not in _SIGNS:
        raise ValueError(sign)
    compare = _SIGNS[sign](value)
    return (lambda it: compare(_values(it, name.split(".")))), tokens[3:]


def _values(found: Any, path: Sequence[str]) -> list[str]:
    """Return what stands at *path*, of each where there are several."""
    if isinstance(found, Sequence) and not isinstance(found, str):
        return [value for it in found for value in _values(it, path)]
    if not path:
        return [] if found is None else [str(found).lower() if isinstance(found, bool) else str(found)]
    return _values(found.get(path[0]), path[1:]) if isinstance(found, Mapping) else []


def _has(value: str) -> Callable[[list[str]], bool]:
    if value == "*":
        return bool
    start = value.removesuffix("*")
    if start != value:
        return lambda found: any(it.startswith(start) for it in found)
    return lambda found: any(value in it for it in found)


def _compared(value: str, compare: Callable[[float, float], bool]) -> Callable[[list[str]], bool]:
    limit = float(value)
    return lambda found: any(compare(float(it), limit) for it in found)


def _equals(value: str) -> Callable[[list[str]], bool]:
    pattern = re.compile(".*".join(re.escape(part) for part in value.split("*")))
    return lambda found: any(pattern.fullmatch(it) for it in found)


def _matches(value: str) -> Callable[[list[str]], bool]:
    pattern = re.compile(value)
    return lambda found: any(pattern.fullmatch(it) for it in found)


def _not(made: Callable[[str], Callable[[list[str]], bool]]) -> Callable[[str], Callable[[list[str]], bool]]:
    def make(value: str) -> Callable[[list[str]], bool]:
        compare = made(value)
        return lambda found: not compare(found)

    return make


_SIGNS: Mapping[str, Callable[[str], Callable[[list[str]], bool]]] = {
    "=": _equals,
    "!=": _not(_equals),
    ":": _has,
    "eq": _matches,
    "ne": _not(_matches),
    "<": lambda value: _compared(value, lambda a, b: a < b),
    "<=": lambda value: _compared(value, lambda a, b: a <= b),
    ">": lambda value: _compared(value, lambda a, b: a > b),
    ">=": lambda value: _compared(value, lambda a, b: a >= b),
}
