"""Hold what is said to and by Compute Engine against Google's own description of its API, strictly.

The description is the discovery document of Compute v1 that ``google-api-python-client`` carries. It is read as JSON Schema, with what it
leaves to custom made explicit: no property beyond those named, 64-bit integers as strings of digits, patterns that match the whole, enumerations
closed, parameters of the path and of the query known and well formed.

    document = Discovery.load()
    call = document.call("POST", "projects/p/zones/z/instances")
    alarms = document.request_alarms(call, query={}, body={"nam": "x"})

Of a request more is asked than of an answer: it must not set what only the service sets, nor use what is deprecated.

Invariant: the document is only read, so that no client and no server can talk the judge round.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jsonschema import Draft202012Validator

_Direction = Literal["request", "answer"]

_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_STRINGS = {
    "int64": r"-?(?:0|[1-9]\d{0,18})",
    "uint64": r"0|[1-9]\d{0,19}",
    "byte": r"(?:[A-Za-z0-9+/_-]{4})*(?:[A-Za-z0-9+/_-]{2,3}={0,2})?",
    "google-datetime": _TIME,
    "date-time": _TIME,
    "google-duration": r"-?\d+(?:\.\d{1,9})?s",
}
_INTEGERS = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1)}
_BOOLEANS = {"true", "false"}
_NEVER: dict[str, Any] = {"not": {}}
# The recommendation to send it stands in the description of every aggregated list, and Google's own command line does; the parameter
# itself is not in the document.
_UNLISTED = {"returnPartialSuccess": {"type": "boolean", "location": "query"}}
# Google writes errors alike everywhere, and the document describes none of them.
_ERROR_ITEM = {
    "type": "object",
    "required": ["message", "domain", "reason"],
    "properties": {
        **{
            name: {"type": "string"}
            for name in ("message", "domain", "reason", "location", "locationType", "extendedHelp", "code")
        },
        "errorDetails": {"type": "array", "items": {"$ref": "#/$defs/errorDetail"}},
    },
    "additionalProperties": False,
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "status": {"type": "string", "pattern": r"\A[A-Z_]+\Z"},
                "errors": {"type": "array", "minItems": 1, "items": _ERROR_ITEM},
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": {"@type": {"type": "string", "pattern": r"\Atype\.googleapis\.com/"}},
                    },
                },
            },
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request that the document knows.

    Attributes:
        name: such as ``instances.insert``.
        path: the values of the path's parameters, as ``{"project": "p", "zone": "z"}``.
    """

    name: str
    path: Mapping[str, str]


@dataclass(frozen=True)
class Discovery:
    """The discovery document and the schemas that were made of it so far."""

    document: Mapping[str, Any]
    _validators: dict[tuple[str, str, str], Draft202012Validator] = field(default_factory=dict, repr=False)

    @classmethod
    @functools.cache
    def load(cls) -> Discovery:
        """Read the document that is installed; it is read once in a process."""
        found = importlib.resources.files("googleapiclient") / "discovery_cache" / "documents" / "compute.v1.json"
        return cls(json.loads(found.read_text(encoding="utf-8")))

    def method(self, name: str) -> Mapping[str, Any]:
        """Return the description of a method, by a name as ``instances.insert``."""
        resource, _, method = name.partition(".")
        found: Mapping[str, Any] = self.document["resources"][resource]["methods"][method]
        return found

    def call(self, http_method: str, path: str) -> Call | None:
        """Return what a request means, by its path below ``/compute/v1/``, or ``None`` where the service has nothing."""
        for wanted, pattern, name in self._routes:
            match = pattern.fullmatch(path)
            if wanted == http_method and match:
                return Call(name, match.groupdict())
        return None

    def request_alarms(self, call: Call, *, query: Mapping[str, str], body: Any) -> list[str]:
        """Return what is wrong with a request, a line each; *body* is ``None`` where there was none."""
        method = self.method(call.name)
        alarms = list(self._parameter_alarms(method, call, query))
        reference = method.get("request", {}).get("$ref")
        if reference is None:
            # Google's command line sends an empty object where there is no body.
            return [*alarms, *([] if body in (None, {}) else [f"{call.name}: a body, where none is known"])]
        if body is None:
            return [*alarms, f"{call.name}: no body, where a {reference} belongs"]
        missing = [
            f"{call.name}: {reference}.{name} is required"
            for name, it in self.document["schemas"][reference]["properties"].items()
            if f"compute.{call.name}" in it.get("annotations", {}).get("required", ()) and name not in body
        ]
        return [*alarms, *missing, *self._alarms(reference, "request", body, call.name)]

    def answer_alarms(self, call: Call, *, status: int, body: Any) -> list[str]:
        """Return what is wrong with an answer, a line each."""
        if status >= 400:  # noqa: PLR2004 - of HTTP
            return _told(self._error_validator, body, f"{call.name} answers {status}")
        return self._alarms(self.method(call.name)["response"]["$ref"], "answer", body, f"{call.name} answers")

    def error_alarms(self, body: Any) -> list[str]:
        """Return what is wrong with an error's body, a line each."""
        return _told(self._error_validator, body, "an error")

    @functools.cached_property
    def _routes(self) -> list[tuple[str, re.Pattern[str], str]]:
        # Read whole before it is used: connections are served in threads.
        return list(self._read_routes())

    def _read_routes(self) -> Iterator[tuple[str, re.Pattern[str], str]]:
        for resource, it in self.document["resources"].items():
            for name, method in it.get("methods", {}).items():
                parts = re.split(r"\{\+?(\w+)\}", method["path"])
                pattern = "".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
                yield method["httpMethod"], re.compile(pattern), f"{resource}.{name}"

    def _parameter_alarms(self, method: Mapping[str, Any], call: Call, query: Mapping[str, str]) -> Iterator[str]:
        known: dict[str, Any] = {**self.document["parameters"], **method.get("parameters", {})}
        if call.name.endswith("ggregatedList"):
            known |= _UNLISTED
        given = [("path", *it) for it in call.path.items()] + [("query", *it) for it in query.items()]
        for place, name, value in given:
            parameter = known.get(name)
            if parameter is None or parameter["location"] != place:
                yield f"{call.name}: the parameter {name} is not known in the {place}"
            elif (trouble := _parameter_trouble(parameter, value)) is not None:
                yield f"{call.name}: the parameter {name} is {value!r}, {trouble}"
        for name, parameter in known.items():
            if parameter.get("required") and name not in {**call.path, **query}:
                yield f"{call.name}: the parameter {name} is required"

    def _alarms(self, reference: str, direction: _Direction, body: Any, where: str) -> list[str]:
        key = (reference, direction, "")
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(self._schema_of(reference, direction))
        return _told(self._validators[key], body, f"{where} {reference}")

    @functools.cached_property
    def _error_validator(self) -> Draft202012Validator:
        details = self.document["schemas"]["Operation"]["properties"]["error"]["properties"]["errors"]["items"][
            "properties"
        ]
        needed: set[str] = set()
        detail = _translated(details["errorDetails"]["items"], "answer", needed)
        return Draft202012Validator({**_ERROR, "$defs": {"errorDetail": detail, **self._definitions(needed, "answer")}})

    def _schema_of(self, reference: str, direction: _Direction) -> dict[str, Any]:
        return {"$ref": f"#/$defs/{reference}", "$defs": self._definitions({reference}, direction)}

    def _definitions(self, needed: set[str], direction: _Direction) -> dict[str, Any]:
        """Return those definitions and all that they need."""
        made: dict[str, Any] = {}
        while missing := needed - set(made):
            for name in missing:
                made[name] = _translated(self.document["schemas"][name], direction, needed)
        return made


def _told(validator: Draft202012Validator, body: Any, where: str) -> list[str]:
    return [
        f"{where}{error.json_path.removeprefix('$')}: {'is for the service to set, or deprecated' if error.validator == 'not' else error.message}"
        for error in sorted(validator.iter_errors(body), key=lambda it: it.json_path)
    ]


def _translated(described: Mapping[str, Any], direction: _Direction, needed: set[str]) -> Any:
    """Return one description as JSON Schema, and add to *needed* the definitions that it refers to."""
    if direction == "request" and (described.get("readOnly") or described.get("deprecated")):
        return _NEVER
    if "$ref" in described:
        needed.add(described["$ref"])
        return {"$ref": f"#/$defs/{described['$ref']}"}
    kind = described.get("type", "any")
    if kind == "any":
        return {}
    schema: dict[str, Any] = {"type": kind}
    if kind == "object":
        others = described.get("additionalProperties")
        schema["properties"] = {
            name: _translated(it, direction, needed) for name, it in described.get("properties", {}).items()
        }
        schema["additionalProperties"] = False if others is None else _translated(others, direction, needed)
    elif kind == "array":
        # Of a list of names the pattern stands beside the list.
        of_each = {"pattern": described["pattern"]} if "pattern" in described else {}
        schema["items"] = _translated({**described["items"], **of_each}, direction, needed)
    elif kind == "integer":
        schema["minimum"], schema["maximum"] = _INTEGERS[described["format"]]
    elif kind == "string":
        schema |= _string_limits(described, direction)
    return schema


def _string_limits(described: Mapping[str, Any], direction: _Direction) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    pattern = described.get("pattern") or _STRINGS.get(described.get("format", ""))
    if pattern is not None:
        limits["pattern"] = rf"\A(?:{pattern})\Z"
    if "enum" in described:
        deprecated = described.get("enumDeprecated", [False] * len(described["enum"]))
        pairs = zip(described["enum"], deprecated, strict=True)
        limits["enum"] = [value for value, old in pairs if direction == "answer" or not old]
    return limits


def _parameter_trouble(parameter: Mapping[str, Any], value: str) -> str | None:
    """Return why *value* cannot be, if it cannot."""
    kind, pattern = parameter["type"], parameter.get("pattern") or _STRINGS.get(parameter.get("format", ""))
    if kind == "boolean" and value.lower() not in _BOOLEANS:
        return "which is not true or false"
    if kind == "integer":
        low, high = _INTEGERS[parameter["format"]]
        low, high = int(parameter.get("minimum", low)), int(parameter.get("maximum", high))
        if not re.fullmatch(r"-?\d{1,10}", value) or not low <= int(value) <= high:
            return f"which is not an integer from {low} to {high}"
    if pattern is not None and not re.fullmatch(pattern, value):
        return f"which does not match {pattern}"
    if "enum" in parameter and value not in parameter["enum"]:
        return f"which is none of {', '.join(parameter['enum'])}"
    return None
