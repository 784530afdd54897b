"""One request and its answer over a connection that is there already: as much of HTTP/1.1 as asking one service takes.

https://www.rfc-editor.org/rfc/rfc9112. Where that leaves a choice between guessing and refusing, this refuses. The standard
library's client would do as well, but it reads heads with a parser of mail, and so to import it takes 8 ms of a command's 100.

Invariant: a body is returned whole or not at all, and a connection counts as reusable only if this answer, and nothing
after it, has come over it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

_LONGEST_HEAD_BYTES = 1 << 16
_MOST_LINES = 100
_MOST_INTERIM_ANSWERS = 8
_MOST_DIGITS = 18
_FINAL = 200
_SWITCHED = 101
_WITHOUT_BODY = {204, 304}

_READ_BYTES = 1 << 16
# What is sent under one deadline; and a body up to this goes in one write, and so in one packet, with the head.
_WRITTEN_BYTES = 1 << 16

_HEX = b"0123456789abcdefABCDEF"
_NAME = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CONTROL = bytes({*range(32), 127} - {ord("\t")})


class HttpError(Exception):
    """What came is no answer of HTTP/1.1's, or what was to be said cannot be said in it."""


class TruncatedError(HttpError):
    """The connection ended inside an answer."""


class Request(NamedTuple):
    """What is asked.

    Attributes:
        method: any but ``HEAD`` and ``CONNECT``, to which answers are framed differently.
        target: the path with its query, sent as it stands.
        host: who is asked: the name, and the port where it is not the usual one.
        headers: beside ``Host``, ``Accept-Encoding`` and ``Content-Length``.
        body: ``None`` where the method has none.
    """

    method: str
    target: str
    host: str
    headers: Mapping[str, str]
    body: bytes | None = None


class Response(NamedTuple):
    """What came back.

    Attributes:
        headers: the names are lower case, the values of repeated headers joined by commas.
        body: whole, and free of the encoding that carried it.
        is_reusable: whether another request can be made on the same connection.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_reusable: bool


def exchange(
    connection: socket.socket, request: Request, *, next_seconds: float, heard: Callable[[], None]
) -> Response:
    """Send *request* and read the whole answer.

    The connection's timeout is the patience for the answer's first byte, and for each part of a large body to be taken.

    Args:
        connection: plain or TLS. It stays open, and after an error must not be used again.
        request: what to ask.
        next_seconds: the patience for each byte after the first; the connection's timeout from then on.
        heard: called each time that a part of the answer has arrived.

    Raises:
        HttpError: the answer is none, or the request cannot be sent; of that nothing was sent then.
        ConnectionError: the connection broke, or ended before an answer began.
        OSError: nothing came in time, or something else that sockets raise.
    """
    head = _head_of(request)
    body = memoryview(request.body or b"")
    connection.sendall(b"".join((head, body[:_WRITTEN_BYTES])))
    for at in range(_WRITTEN_BYTES, len(body), _WRITTEN_BYTES):
        connection.sendall(body[at : at + _WRITTEN_BYTES])
    has_begun = False

    def receive(most: int) -> bytes:
        nonlocal has_begun
        piece = connection.recv(most)
        if piece:
            if not has_begun:
                connection.settimeout(next_seconds)
                has_begun = True
            heard()
        return piece

    return read_response(receive)


def read_response(receive: Callable[[int], bytes]) -> Response:
    """Read one answer to its end and no further.

    Args:
        receive: returns bytes as they come, at least one and no more than it is told, and none at the connection's end. What it
            raises is not caught.

    Raises:
        HttpError: the answer is none, or (`TruncatedError`) breaks off.
        ConnectionResetError: the connection ended before the answer began.
    """
    incoming = _Incoming(receive)
    for _ in range(_MOST_INTERIM_ANSWERS + 1):
        first, *rest = incoming.lines() or [b""]
        version, status = _start_of(first)
        headers = _headers_of(rest)
        if status >= _FINAL:
            break
        if status == _SWITCHED:
            raise HttpError("the other side wants to speak another protocol, which nobody has asked for")
    else:
        raise HttpError("the other side sends one interim answer after the other")
    body, is_bounded = _body_of(incoming, version, status, headers)
    words = {word.strip().lower() for word in headers.get("connection", "").split(",")}
    stays = version == b"HTTP/1.1" and "close" not in words
    return Response(status, headers, body, is_reusable=is_bounded and stays and incoming.is_empty)


def _head_of(request: Request) -> bytes:
    headers = {"Host": request.host, "Accept-Encoding": "identity", **request.headers}
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    if not _is_name(request.method.encode()) or not _is_sayable(request.target) or " " in request.target:
        raise HttpError(f"no request can be made of {request.method!r} and {request.target!r}")
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    for name, value in headers.items():
        if not _is_name(name.encode()) or not _is_sayable(value):
            # The value may be a secret.
            raise HttpError(f"header {name!r} cannot be sent: expected printable ASCII in one line")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _is_sayable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_name(name: bytes) -> bool:
    return bool(name) and not name.translate(None, _NAME)


class _Incoming:
    """What has arrived and is not yet read, and more of it as it is needed."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self._held = bytearray()
        self._has_begun = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived beyond what was read."""
        return not self._held

    def lines(self) -> list[bytes]:
        """Read lines up to an empty one, and return them without it."""
        lines: list[bytes] = []
        left = _LONGEST_HEAD_BYTES
        while line := self.line(left):
            left -= len(line) + 2
            lines.append(line)
            if len(lines) > _MOST_LINES:
                raise HttpError(f"the head of the answer has more than {_MOST_LINES} lines")
        return lines

    def line(self, most: int = _LONGEST_HEAD_BYTES) -> bytes:
        """Read a line of at most *most* bytes and return it without its end."""
        searched = 0
        while (end := self._held.find(b"\r\n", searched)) < 0 and len(self._held) <= most + 1:
            searched = max(0, len(self._held) - 1)  # the end of a line may itself come in two parts
            self._hold_more()
        if not 0 <= end <= most:
            raise HttpError("the head of the answer, or a line in its body, has no end")
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line

    def exactly(self, length: int) -> bytes:
        """Read *length* bytes; nothing beyond them is asked for."""
        pieces = [bytes(self._held[:length])]
        del self._held[:length]
        missing = length - len(pieces[0])
        while missing:
            piece = self._receive(min(missing, _READ_BYTES))
            if not piece:
                raise TruncatedError(f"the answer ended {missing} bytes early")
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def chunks(self) -> bytes:
        """Read a body in chunks, and forget the trailers after it."""
        pieces = []
        while size := _size_of(self.line()):
            pieces.append(self.exactly(size))
            if self.line():
                raise HttpError("a chunk of the answer is longer than it says")
        _headers_of(self.lines())
        return b"".join(pieces)

    def rest(self) -> bytes:
        """Read up to the connection's end."""
        pieces = [bytes(self._held)]
        self._held.clear()
        while piece := self._receive(_READ_BYTES):
            pieces.append(piece)
        return b"".join(pieces)

    def _hold_more(self) -> None:
        piece = self._receive(_READ_BYTES)
        if not piece and not self._has_begun:
            raise ConnectionResetError("the connection was closed without an answer")
        if not piece:
            raise TruncatedError("the answer ended early")
        self._has_begun = True
        self._held += piece


def _start_of(line: bytes) -> tuple[bytes, int]:
    """Return the version and the status that an answer begins with."""
    version, _, rest = line.partition(b" ")
    status = rest.partition(b" ")[0]
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or len(status) != 3 or not status.isdigit() or status < b"100":  # noqa: PLR2004  # digits
        raise HttpError(f"expected an answer of HTTP/1.1, found one that begins with {line[:40]!r}")
    return version, int(status)


def _headers_of(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        raw, colon, rest = line.partition(b":")
        # A line that would continue the one before, as was allowed once, has a space where a name would be.
        if not colon or not _is_name(raw) or rest.translate(None, _CONTROL) != rest:
            raise HttpError(f"expected a header of HTTP/1.1, found {line[:40]!r}")
        name, value = raw.decode("ascii").lower(), rest.strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _body_of(incoming: _Incoming, version: bytes, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
    """Return the body, and whether it said itself where it ends."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    size = None if length is None else _length_of(length)
    if coding is not None:
        if size is not None or version != b"HTTP/1.1":
            raise HttpError("the answer says in two ways, or in a way of another version, where it ends")
        if coding.lower() != "chunked":
            raise HttpError(f"the answer has the transfer encoding {coding[:40]!r}: expected 'chunked' or none")
    if status in _WITHOUT_BODY:
        return b"", True
    if coding is not None:
        return incoming.chunks(), True
    if size is not None:
        return incoming.exactly(size), True
    return incoming.rest(), False


def _length_of(value: str) -> int:
    """Read a ``Content-Length``, which may have been said several times, but not differently."""
    said = {text.strip(" \t") for text in value.split(",")}
    digits = said.pop()
    if said or not digits.isascii() or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise HttpError(f"the answer has the length {value[:40]!r}: expected a number")
    return int(digits)


def _size_of(line: bytes) -> int:
    """Read the size of a chunk, and leave what may stand behind it."""
    digits = line.partition(b";")[0].rstrip(b" \t")
    if not digits or digits.translate(None, _HEX) or len(digits) > _MOST_DIGITS:
        raise HttpError(f"the answer has a chunk of the size {line[:40]!r}: expected a hexadecimal number")
    return int(digits, 16)
