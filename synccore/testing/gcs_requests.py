"""What a request to Google Cloud Storage says, and how the service words that it cannot be meant.

Invariant: whatever cannot be understood is a `ServiceError`, with the status and the reason that the service gives.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import replace

from synccore.testing.http_serving import Request, Response, json_response


class ServiceError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        reason: the service's word for it, as ``conditionNotMet``.
        message: for people.
    """

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = dict(headers or {})

    def response(self, *, as_text: bool = False) -> Response:
        """Return the answer: JSON, or bare text as media requests get it."""
        if self.status == 304:
            return Response(status=304, headers=self.headers)
        if as_text:
            headers = {"Content-Type": "text/html; charset=UTF-8", **self.headers}
            return Response(status=self.status, headers=headers, body=self.message.encode())
        domain = "usageLimits" if self.status == 429 else "global"
        errors = [{"message": self.message, "domain": domain, "reason": self.reason}]
        content = {"error": {"code": self.status, "message": self.message, "errors": errors}}
        return json_response(self.status, content, self.headers)


def parse_range(text: str | None, size: int) -> range | None:
    """Return the bytes that a ``Range`` header asks for, none of them if it cannot be, or ``None`` if it asks for all."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text or "")
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size) if int(last) else range(0)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1) if last else size)


def parse_multipart(content_type: str, body: bytes) -> tuple[dict[str, object], str | None, bytes]:
    """Split a ``multipart/related`` upload into metadata, the media's type and the media.

    Clients differ: boundaries in single or double quotes or none, lines that end in LF alone, media without any header.
    """
    match = re.search(r"""boundary=("[^"]+"|'[^']+'|[^\s;]+)""", content_type)
    if match is None:
        raise ServiceError(400, "badContent", "Multipart upload without a boundary")
    boundary = b"--" + match.group(1).strip("\"'").encode()
    begin = body.find(boundary)
    line_end = b"\r\n" if body.startswith(b"\r\n", begin + len(boundary)) else b"\n"
    separator = line_end + boundary
    middle = body.find(separator, begin)
    end = body.rfind(separator + b"--")
    if begin < 0 or middle < 0 or end <= middle:
        raise ServiceError(400, "badContent", "Missing end boundary in multipart body.")
    _, _, metadata = body[begin:middle].partition(2 * line_end)
    head, _, media = body[middle + len(separator) + len(line_end) : end].partition(line_end)
    content_type_line = None
    while head:
        name, _, value = head.decode("latin-1").partition(":")
        if name.strip().lower() == "content-type":
            content_type_line = value.strip()
        head, _, media = media.partition(line_end)
    try:
        return json.loads(metadata) if metadata.strip() else {}, content_type_line, media
    except ValueError:
        raise ServiceError(400, "parseError", "Parse Error") from None


def select_fields(content: object, fields: str | None) -> object:
    """Return the parts of *content* that a ``fields`` parameter names, as in ``items(name,size),nextPageToken``."""
    if not fields or fields == "*":
        return content
    if isinstance(content, list):
        return [select_fields(it, fields) for it in content]
    if not isinstance(content, dict):
        return content
    below: dict[str, list[str]] = {}
    for selector in _split_selectors(fields):
        name, rest = re.split(r"(?=[/(])|$", selector, maxsplit=1)
        below.setdefault(name, []).append(rest[1:].removesuffix(")") if rest.startswith("(") else rest[1:])
    return {
        name: select_fields(content[name], None if "" in inner else ",".join(inner))
        for name, inner in below.items()
        if name in content
    }


def _split_selectors(fields: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    selectors, depth, start = [], 0, 0
    for position, character in enumerate(fields):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            selectors.append(fields[start:position])
            start = position + 1
    return [*selectors, fields[start:]]


def decoded(request: Request) -> Request:
    """Return *request* with its body out of the encoding in which some clients send it."""
    if request.headers.get("content-encoding", "").lower() != "gzip":
        return request
    try:
        return replace(request, body=gzip.decompress(request.body))
    except (OSError, EOFError) as error:
        raise ServiceError(400, "badContent", f"Body is not gzip: {error}") from None


def json_in(request: Request) -> dict[str, object]:
    """Return the request's JSON object, which may be missing."""
    try:
        content = json.loads(request.body or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ServiceError(400, "parseError", "Parse Error")
    return content


def header_checksums(request: Request) -> dict[str, object]:
    """Return the checksums that stand in the request's headers, by their names in the metadata."""
    names = {"crc32c": "crc32c", "md5": "md5Hash"}
    pairs = (it.strip().split("=", 1) for it in request.headers.get("x-goog-hash", "").split(",") if "=" in it)
    found: dict[str, object] = {names[name]: value for name, value in pairs if name in names}
    if "content-md5" in request.headers:
        found["md5Hash"] = request.headers["content-md5"]
    return found
