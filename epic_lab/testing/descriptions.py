"""Hold what is said to and by Google's small control APIs against Google's own descriptions of them.

The descriptions are the discovery documents that ``google-api-python-client`` carries, read as strictly as `compute_schema` reads that
of Compute Engine.

Invariant: the documents are only read.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jsonschema import Draft202012Validator

from epic_lab.testing.compute_schema import _parameter_trouble, _translated

CONTROL = ("cloudresourcemanager.v3", "serviceusage.v1", "oauth2.v2")


@dataclass(frozen=True, slots=True)
class Method:
    """A method that a request meant, and the values in its path."""

    document: Mapping[str, Any]
    described: Mapping[str, Any]
    path: Mapping[str, str]

    @property
    def name(self) -> str:
        """Such as ``cloudresourcemanager.projects.get``."""
        return str(self.described["id"])


@functools.cache
def described(name: str) -> Mapping[str, Any]:
    """Read a discovery document, once in a process."""
    file = importlib.resources.files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def method_of(documents: Sequence[str], http_method: str, path: str) -> Method | None:
    """Return what a request to *path*, which begins with a slash, means in one of *documents*; ``None`` for nothing."""
    for name in documents:
        document = described(name)
        for candidate in _methods(document):
            match = _pattern(document["servicePath"], candidate).fullmatch(path)
            if candidate["httpMethod"] == http_method and match:
                return Method(document, candidate, match.groupdict())
    return None


def request_alarms(method: Method, *, parameters: Sequence[tuple[str, str]], body: Any) -> list[str]:
    """Return what is wrong with a request, a line each; *body* is ``None`` where there was none."""
    known = {**method.document["parameters"], **method.described.get("parameters", {})}
    alarms = []
    for name, value in parameters:
        parameter = known.get(name)
        if parameter is None or parameter["location"] != "query":
            alarms.append(f"{method.name}: the parameter {name} is not known")
        elif trouble := _parameter_trouble(parameter, value):
            alarms.append(f"{method.name}: the parameter {name} is {value!r}, {trouble}")
        elif not parameter.get("repeated") and [it for it, _ in parameters].count(name) > 1:
            alarms.append(f"{method.name}: the parameter {name} is there more than once")
    reference = method.described.get("request", {}).get("$ref")
    if reference is None:
        return [*alarms, *([] if body is None else [f"{method.name}: a body, where none is known"])]
    return [*alarms, *_body_alarms(method, reference, "request", body)]


def answer_alarms(method: Method, body: Any) -> list[str]:
    """Return what is wrong with a successful answer, a line each."""
    return _body_alarms(method, method.described["response"]["$ref"], "answer", body)


def _methods(within: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from within.get("methods", {}).values()
    for resource in within.get("resources", {}).values():
        yield from _methods(resource)


def _pattern(service_path: str, described_method: Mapping[str, Any]) -> re.Pattern[str]:
    """Return what the whole path of a method looks like, each parameter as its own description has it."""
    parts = re.split(r"\{\+?(\w+)\}", f"/{service_path}{described_method['path']}")
    patterns = {name: it.get("pattern", "[^/]+") for name, it in described_method.get("parameters", {}).items()}
    groups = (
        f"(?P<{part}>{patterns[part].removeprefix('^').removesuffix('$')})" if at % 2 else re.escape(part)
        for at, part in enumerate(parts)
    )
    return re.compile("".join(groups))


def _body_alarms(method: Method, reference: str, direction: Literal["request", "answer"], body: Any) -> list[str]:
    needed, made = {reference}, dict[str, Any]()
    while missing := needed - set(made):
        for name in missing:
            made[name] = _translated(method.document["schemas"][name], direction, needed)
    validator = Draft202012Validator({"$ref": f"#/$defs/{reference}", "$defs": made})
    return [
        f"{method.name} {reference}{it.json_path.removeprefix('$')}: {it.message}" for it in validator.iter_errors(body)
    ]
