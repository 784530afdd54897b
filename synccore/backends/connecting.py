"""Connections to one service, kept while they are idle; the first can be begun before anything else is known.

A connection takes two round trips and the reading of the system's certificates, which a command has better to do than to wait for:
it begins one as soon as it knows where to, and imports meanwhile what it needs it for.

Invariant: a connection is with one caller at a time, and what is given out as kept seemed alive a moment before.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from synccore import headstart
from synccore.errors import ErrorKind, InvalidInputError

if TYPE_CHECKING:
    import ssl

    from synccore.trust import Trust

# Longer than this a connection is not trusted: what lies between drops it in silence.
_LONGEST_IDLE_SECONDS = 60.0
_KEPT_CONNECTIONS = 16
_HTTP_PORT = 80
_HTTPS_PORT = 443


class Connections:
    """Connections to *endpoint*. Safe to use from several threads.

    Args:
        endpoint: a URL, as ``https://storage.googleapis.com``.
        address_cache: the file in which is kept where it is, for `headstart`; ``None`` keeps nothing.

    Attributes:
        path: what the endpoint's URL begins every path with.

    Raises:
        InvalidInputError: *endpoint* is no such URL.
    """

    def __init__(self, endpoint: str, address_cache: Path | None = None) -> None:
        self._endpoint = urlsplit(endpoint)
        try:
            self._port = self._endpoint.port
        except ValueError as error:
            raise InvalidInputError(
                ErrorKind.BAD_INPUT,
                f"the storage's address {endpoint!r} is not usable: expected a URL like http://127.0.0.1:9023, but {error}",
                endpoint=endpoint,
            ) from error
        self.path = self._endpoint.path
        self._address_cache = address_cache
        self._lock = threading.Lock()
        self._idle: list[tuple[socket.socket, float]] = []
        self._trust: Trust | None = None
        self._context: ssl.SSLContext | None = None
        self._beginning: list[threading.Thread] = []
        self._total = 0
        self._is_closed = False

    @property
    def host(self) -> str:
        """Who is asked, as a request says it.

        Raises:
            OSError: no host can be called so.
        """
        name = wire_name(self._endpoint.hostname or "").decode("ascii")
        name = f"[{name}]" if ":" in name else name
        return name if self._port is None else f"{name}:{self._port}"

    def begin(self, patience_seconds: float, count: int = 1) -> None:
        """Begin to make connections, so that there have been *count*; who takes one waits for it."""
        with self._lock:
            missing = max(count - self._total, 0)
            self._total += missing
            begun = [
                threading.Thread(target=self._begin, args=(patience_seconds,), name="connect", daemon=True)
                for _ in range(missing)
            ]
            self._beginning += begun
            for thread in begun:
                thread.start()

    def _begin(self, patience_seconds: float) -> None:
        with contextlib.suppress(OSError):  # who needs it will make another, and say so
            self.keep(self._make(patience_seconds))

    def make(self, patience_seconds: float) -> socket.socket:
        """Return a new connection.

        Raises:
            OSError: there is none, or its other end is not who it should be.
        """
        with self._lock:
            self._total += 1
        return self._make(patience_seconds)

    def _make(self, patience_seconds: float) -> socket.socket:
        early = headstart.take(self._name, self._service_port, patience_seconds, is_secured=self._is_secured)
        if early is not None:
            # What trusts the one will trust the next.
            self._context = getattr(early, "context", None)
            return early
        if not self._is_secured:
            return self._connect(patience_seconds)
        if self._trust is None and self._context is None:
            # What TLS takes is read while the other side answers.
            threading.Thread(target=self._read_certificates, name="certificates", daemon=True).start()
        raw = self._connect(patience_seconds)

        import ssl

        trust = self._trusted()
        context = self._context or trust.context()
        try:
            return self._secured(raw, context)
        except ssl.SSLCertVerificationError:
            more = trust.widened(context)
            if more is None:
                raise
        return self._secured(self._connect(patience_seconds), more)

    @property
    def _is_secured(self) -> bool:
        return self._endpoint.scheme == "https"

    @property
    def _name(self) -> str:
        return self._endpoint.hostname or ""

    @property
    def _service_port(self) -> int:
        return self._port or (_HTTPS_PORT if self._is_secured else _HTTP_PORT)

    def _connect(self, patience_seconds: float) -> socket.socket:
        connection = connect(self._name, self._service_port, patience_seconds)
        if self._address_cache is not None:
            headstart.note(self._address_cache, self._name, self._service_port, connection, is_secured=self._is_secured)
        return connection

    def _secured(self, raw: socket.socket, context: ssl.SSLContext) -> socket.socket:
        with contextlib.closing(raw):
            return context.wrap_socket(raw, server_hostname=wire_name(self._name))

    def take(self, patience_seconds: float) -> socket.socket | None:
        """Return a kept connection that seems alive; one that was begun is waited for."""
        while True:
            with self._lock:
                begun = self._beginning.pop(0) if self._beginning and not self._idle else None
                kept = self._idle.pop() if self._idle else None
            if begun is not None:
                begun.join(patience_seconds)
            elif kept is None:
                return None
            elif time.monotonic() - kept[1] < _LONGEST_IDLE_SECONDS and not _has_ended(kept[0]):
                return kept[0]
            else:
                kept[0].close()

    def keep(self, connection: socket.socket) -> None:
        """Keep *connection*, over which nothing is on its way, for whoever takes one next."""
        with self._lock:
            if len(self._idle) < _KEPT_CONNECTIONS and not self._is_closed:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def close(self) -> None:
        """Close all that are idle, and each that comes back."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._is_closed = True
        for connection, _ in idle:
            connection.close()

    def _read_certificates(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # whoever needs them will say so
            self._trusted().context()

    def _trusted(self) -> Trust:
        from synccore.trust import Trust

        with self._lock:
            if self._trust is None:
                self._trust = Trust()
            return self._trust


def connect(host: str, port: int, patience_seconds: float) -> socket.socket:
    """Return a connection on which every write leaves at once.

    Raises:
        OSError: there is none, or no such host.
    """
    # The types do not say that `getaddrinfo`, which is handed the name, takes bytes as well.
    connection = socket.create_connection((wire_name(host), port), patience_seconds)  # type: ignore[arg-type]
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def wire_name(host: str) -> bytes:
    """Return the name of a host as the network knows it.

    Sockets and TLS take a `str` as well, but then load the tables of international names, in 1 to 2 ms, to find nothing in them.

    Raises:
        OSError: no host can be called so.
    """
    try:
        return host.encode("ascii" if host.isascii() else "idna")
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is no name of a host") from error


def _has_ended(connection: socket.socket) -> bool:
    """Tell whether the other side has closed an idle connection, or says something that nobody has asked for.

    That there is something to read does not show it: a server that speaks TLS 1.3 sends its session tickets unasked.
    """
    import ssl

    connection.settimeout(0)
    try:
        connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True
