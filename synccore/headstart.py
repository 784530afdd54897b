"""A connection that is begun where the last command's has led, before anything is known of this one.

A command knows where to connect when a third of it is over: it has to start, to import what reads its configuration, and to read
that. Until then a connection can be made and its other side be made to prove who it is, which takes two round trips and 15 ms of
ours, most of them for an import that comes to be needed anyway. If the command turns out to lead elsewhere, or the other side does
not answer at once or is not who it should be, it makes a connection of its own, as if there had been none.

Invariant: what stands in the file decides nothing: whoever answers has to be the host that the command asks for, and over TLS to
prove it.

Nothing is imported here but what a connection takes: whatever else is, is imported while it is made.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

TYPE_CHECKING = False  # that of `typing` takes 3 ms
if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from synccore.trust import Trust

# Whoever has not answered by then may have moved; RFC 8305 waits as long for one address before it tries the next.
_PATIENCE_SECONDS = 0.25

# Who takes a connection says how long it is waited for; this is for one that nobody takes.
_LONGEST_HANDSHAKE_SECONDS = 30.0

# A host is asked for by its name again after a day.
_LONGEST_KNOWN_SECONDS = 24 * 60 * 60

_TLS = "tls"
_PLAIN = "plain"


class _Begun:
    """A connection to *address* that is being made to *port* of *host*.

    Raises:
        OSError: there can be none.
    """

    def __init__(self, host: str, port: int, address: str, *, is_secured: bool) -> None:
        import socket
        import threading

        self.about = host, port, is_secured
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        socket.inet_pton(family, address)
        self._made: socket.socket | None = None
        self._raw = socket.socket(family, socket.SOCK_STREAM)
        self._since = time.monotonic()
        try:
            self._raw.setblocking(False)
            self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(BlockingIOError):
                self._raw.connect((address, port))
        except BaseException:
            self._raw.close()
            raise
        self._lock, self._is_wanted = threading.Lock(), True
        self._securing: threading.Thread | None = None

    def secure(self) -> None:
        """Begin to have the other side prove who it is, if it has to."""
        if self.about[2]:
            import threading

            from synccore.trust import Trust

            self._securing = threading.Thread(target=self._secure, args=(Trust(),), name="secure", daemon=True)
            self._securing.start()

    def _secure(self, trust: Trust) -> None:
        # Whoever drops it does so under the hands of TLS, which tells of that in several ways.
        with suppress(OSError, ValueError):
            context = trust.context()
            if self._is_open():
                self._raw.settimeout(_LONGEST_HANDSHAKE_SECONDS)
                made = context.wrap_socket(self._raw, server_hostname=self.about[0].encode("ascii"))
                with self._lock:
                    self._made = made
                    if not self._is_wanted:
                        made.close()

    def _is_open(self) -> bool:
        import select
        import socket

        left = self._since + _PATIENCE_SECONDS - time.monotonic()
        _, made, _ = select.select([], [self._raw], [], max(left, 0))
        return bool(made) and self._raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0

    def take(self, patience_seconds: float) -> socket.socket | None:
        """Return the connection once it is made; ``None`` if it does not come to be."""
        if not self.about[2]:
            self._made = self._raw if self._is_open() else None
        elif self._securing is not None:
            self._securing.join(patience_seconds)
        if self._made is not None:
            self._made.settimeout(patience_seconds)
            return self._made
        self.drop()
        return None

    def drop(self) -> None:
        """Close it, made or not."""
        with self._lock:
            self._is_wanted = False
            self._raw.close()
            if self._made is not None:
                self._made.close()


_begun: list[_Begun] = []


def begin(path: str) -> None:
    """Begin a connection to where the file at *path* says that the last one has led; without such a file nothing happens."""
    with suppress(OSError, ValueError, OverflowError):
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - pathlib takes 3 ms to import
            if not 0 <= time.time() - os.fstat(file.fileno()).st_mtime < _LONGEST_KNOWN_SECONDS:
                return
            host, port, address, security = file.read().split()
        if security in {_TLS, _PLAIN}:
            _begun.append(_Begun(host, int(port), address, is_secured=security == _TLS))


def secure() -> None:
    """Begin to have whoever answers prove who it is: what that takes is imported first."""
    for begun in _begun:
        begun.secure()


def take(host: str, port: int, patience_seconds: float, *, is_secured: bool) -> socket.socket | None:
    """Return the connection that was begun, if it leads to *port* of *host* and is made; from then on it is the caller's.

    Args:
        host: as it was called when its address was noted.
        port: likewise.
        patience_seconds: how long the connection may keep its owner waiting.
        is_secured: whether TLS is spoken over it.
    """
    while _begun:
        begun = _begun.pop()
        if begun.about == (host, port, is_secured):
            return begun.take(patience_seconds)
        begun.drop()
    return None


def note(path: Path, host: str, port: int, connection: socket.socket, *, is_secured: bool) -> None:
    """Keep in the file at *path* where *connection*, made to *port* of *host*, has led; what cannot be kept is not."""
    with suppress(OSError, UnicodeError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("w", encoding="ascii") as file:
            file.write(f"{host} {port} {connection.getpeername()[0]} {_TLS if is_secured else _PLAIN}\n")
