"""A small, fast HTTP/1.1 server in threads, for the services that the test kit plays.

It speaks keep-alive, takes bodies by length or in chunks, sends head and body of an ordinary answer in one write (so that
no delayed acknowledgement falls between them), and can be told to answer badly.

Invariant: `HttpServer.stop` returns only when no thread and no socket of the server is left.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from typing_extensions import Self

_LONGEST_LINE_BYTES = 1 << 16
_SENT_AT_ONCE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it was read, whole.

    Attributes:
        method: upper case.
        segments: the path's components, each decoded.
        query: the last value of each parameter.
        parameters: all of them, also repeated ones, in their order.
        headers: by lower-case name.
        body: decoded from its transfer, not from its content encoding.
    """

    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer, and how badly it is to be sent.

    Attributes:
        status: of HTTP.
        headers: beside ``Content-Length``, ``Date`` and ``Server``.
        body: whole.
        send_bytes: after so many bytes of the body the connection breaks; ``None`` sends all.
        stall: where `send_bytes` are over, nothing happens until the client or the server gives up.
        silent: nothing at all is sent and the connection is closed; with *reset*, it is reset.
        reset: see *silent*.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    send_bytes: int | None = None
    stall: bool = False
    silent: bool = False
    reset: bool = False


def json_response(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return *content* as a JSON answer."""
    body = json.dumps(content).encode()
    return Response(
        status=status, headers={"Content-Type": "application/json; charset=UTF-8", **(headers or {})}, body=body
    )


class HttpServer(ABC):
    """Serve on a port of this machine while entered, each connection in its own thread.

    Args:
        host: the address to listen at.
        port: 0 takes any that is free.
        tls: makes it HTTPS.

    Attributes:
        clock_ahead_seconds: how far the clock that its answers are dated by is ahead of this machine's.
    """

    name = "test kit"
    clock_ahead_seconds = 0.0

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._connections_made = 0
        self._listener = socket.create_server((host, port), backlog=256)
        self._address: tuple[str, int] = self._listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name=f"{self.name} accepts", daemon=True)

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """Answer *request*; called from many threads."""

    @property
    def host(self) -> str:
        """Address and port, as ``127.0.0.1:1234``."""
        return f"{self._address[0]}:{self._address[1]}"

    @property
    def url(self) -> str:
        """Scheme, address and port, as ``http://127.0.0.1:1234``."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def connections_made(self) -> int:
        """How many connections there have been."""
        return self._connections_made

    @property
    def stopping(self) -> threading.Event:
        """Set once the server is being stopped, for whoever waits inside an answer."""
        return self._stopping

    def start(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Serve no more, break every connection and wait for the threads."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # it may have stopped accepting by itself
            socket.create_connection(self._address, timeout=5).close()
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections.values():
            thread.join()

    def break_connections(self) -> None:
        """Close all connections that are idle or at work, as a service does now and then with those it has kept."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._stopping.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name=f"{self.name} serves", daemon=True)
            with self._lock:
                self._connections[connection] = thread
                self._connections_made += 1
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        plain = connection
        # A client that goes away, at whatever moment, ends its connection and nothing else.
        with contextlib.suppress(OSError, EOFError), contextlib.closing(plain):
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    connection = self._tls.wrap_socket(plain, server_side=True)
                    with self._lock:
                        self._connections[connection] = self._connections.pop(plain)
                with contextlib.closing(connection), connection.makefile("rb") as stream:
                    while self._serve_one(connection, stream):
                        pass
            finally:
                with self._lock:
                    self._connections.pop(plain, None)
                    self._connections.pop(connection, None)

    def _serve_one(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Answer one request and tell whether the connection goes on."""
        read = _read_request(connection, stream)
        if read is None:
            return False
        request, keep = read
        try:
            response = self.answer(request)
        except Exception as error:
            # As the client must see it at once; the traceback goes to stderr with the thread.
            connection.sendall(_encoded(json_response(500, {"error": {"code": 500, "message": repr(error)}}), False))
            raise
        if self.clock_ahead_seconds:
            date = formatdate(time.time() + self.clock_ahead_seconds, usegmt=True)
            response = replace(response, headers={"Date": date, **response.headers})
        return _send(connection, response, keep=keep, stopping=self._stopping) and keep and not self._stopping.is_set()


def _read_request(connection: socket.socket, stream: BinaryIO) -> tuple[Request, bool] | None:
    """Return the next request and whether its connection is to be kept, or ``None`` at the connection's end."""
    line = stream.readline(_LONGEST_LINE_BYTES)
    if not line.strip():
        return None
    method, target, version = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while (line := stream.readline(_LONGEST_LINE_BYTES)) not in {b"\r\n", b"\n"}:
        if not line:
            return None
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _read_body(headers, stream)
    path, _, query = target.partition("?")
    parameters = parse_qsl(query, keep_blank_values=True)
    request = Request(
        method=method.upper(),
        segments=tuple(unquote(segment) for segment in path.removeprefix("/").split("/")),
        query=dict(parameters),
        parameters=tuple(parameters),
        headers=headers,
        body=body,
    )
    keep = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
    return request, keep


def _read_body(headers: Mapping[str, str], stream: BinaryIO) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        length = int(headers.get("content-length", "0"))
        body = stream.read(length)
        if len(body) != length:
            raise EOFError
        return body
    chunks = []
    while (size := _chunk_size(stream)) > 0:
        chunks.append(stream.read(size))
        stream.readline()
    while stream.readline().strip():  # trailers
        pass
    return b"".join(chunks)


def _chunk_size(stream: BinaryIO) -> int:
    line = stream.readline(_LONGEST_LINE_BYTES)
    if not line:
        raise EOFError
    return int(line.split(b";")[0], 16)


def _encoded(response: Response, keep: bool) -> bytes:  # noqa: FBT001  # private
    """Return the answer's head, and its body where that is small enough to go in the same write."""
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    headers = {"Date": formatdate(usegmt=True), "Server": "UploadServer", **response.headers}
    if response.status not in {204, 304}:
        headers["Content-Length"] = str(len(response.body))
    if not keep:
        headers["Connection"] = "close"
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if response.status in {204, 304} or len(response.body) > _SENT_AT_ONCE_BYTES else head + response.body


def _send(connection: socket.socket, response: Response, *, keep: bool, stopping: threading.Event) -> bool:
    """Send the answer as it is to be sent, and tell whether the connection is still good."""
    if response.silent:
        if response.reset:
            # Closing with a linger time of zero sends a reset.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if _WINDOWS else "ii", 1, 0))
        return False
    if response.send_bytes is None:
        connection.sendall(_encoded(response, keep))
        if len(response.body) > _SENT_AT_ONCE_BYTES:
            connection.sendall(response.body)
        return True
    whole = _encoded(response, keep)
    head = whole[: whole.index(b"\r\n\r\n") + 4]
    connection.sendall(head + response.body[: response.send_bytes])
    if response.stall:
        _wait_for_end(connection, stopping)
    return False


_WINDOWS = sys.platform == "win32"


def _wait_for_end(connection: socket.socket, stopping: threading.Event) -> None:
    """Wait until the client closes the connection, or `HttpServer.stop` does."""
    while not stopping.is_set() and connection.recv(1 << 16):
        pass


def serve_until_interrupted(server: HttpServer, announced: str) -> None:
    """Print the line *announced* and let *server* answer until the process is interrupted or terminated."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with server:
        sys.stdout.write(f"{announced}\n")
        sys.stdout.flush()
        while not stop.wait(1):  # on Windows a wait without end hears no signal
            pass
