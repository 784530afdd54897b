"""A connection that is begun where the last command's has led, before anything is known of this one.

A command knows where to connect when a third of it is over: it has to start, to import what reads its configuration, and to read
that. Until then the system can make a connection, which takes a round trip and nothing of ours. If the command turns out to lead
elsewhere, or the other side does not answer at once, it makes a connection of its own, as if there had been none.

Invariant: what stands in the file is an address and decides nothing: who answers there has to prove to be the host that was asked for.

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

# Whoever has not answered by then may have moved; RFC 8305 waits as long for one address before it tries the next.
_PATIENCE_SECONDS = 0.25

# A host is asked for by its name again after a day.
_LONGEST_KNOWN_SECONDS = 24 * 60 * 60

# The host, port, connection and time, by the monotonic clock, of what was begun.
_begun: list[tuple[str, int, socket.socket, float]] = []


def begin(path: str) -> None:
    """Begin a connection to where the file at *path* says that the last one has led; without such a file nothing happens."""
    with suppress(OSError, ValueError, OverflowError):
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - pathlib takes 3 ms to import
            if not 0 <= time.time() - os.fstat(file.fileno()).st_mtime < _LONGEST_KNOWN_SECONDS:
                return
            host, text, address = file.read().split()
        port = int(text)

        import socket

        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        socket.inet_pton(family, address)
        connection = socket.socket(family, socket.SOCK_STREAM)
        _begun.append((host, port, connection, time.monotonic()))
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):
            connection.connect((address, port))


def take(host: str, port: int, patience_seconds: float) -> socket.socket | None:
    """Return the connection that was begun, if it leads to *port* of *host* and is made; from then on it is the caller's.

    Args:
        host: as it was called when its address was noted.
        port: likewise.
        patience_seconds: how long the connection may keep its owner waiting.
    """
    while _begun:
        begun_host, begun_port, connection, since = _begun.pop()
        if (begun_host, begun_port) == (host, port) and _is_made(connection, since):
            connection.settimeout(patience_seconds)
            return connection
        connection.close()
    return None


def _is_made(connection: socket.socket, since: float) -> bool:
    import select
    import socket

    left = since + _PATIENCE_SECONDS - time.monotonic()
    _, made, _ = select.select([], [connection], [], max(left, 0))
    return bool(made) and connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def note(path: Path, host: str, port: int, connection: socket.socket) -> None:
    """Keep in the file at *path* where *connection*, made to *port* of *host*, has led; what cannot be kept is not."""
    with suppress(OSError, UnicodeError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("w", encoding="ascii") as file:
            file.write(f"{host} {port} {connection.getpeername()[0]}\n")
