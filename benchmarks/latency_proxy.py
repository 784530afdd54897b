"""A network between a client and a server of this machine: it delays, it starts slowly, and it counts.

What it charges, with a round trip of R: every byte takes R/2 each way, however many there are (nothing is serialised, so
bandwidth has no limit); a connection's first byte leaves the client R after the connection was asked for, as after TCP's
handshake (TLS pays its own round trips, because it is spoken through here); and each direction of a connection sends at
first `FIRST_WINDOW_BYTES` and then what its acknowledgements allow, which doubles in each round trip, until a second without
traffic begins that anew. A proxy without the last two flatters tools that open many connections or send much at once.

    python -m benchmarks.latency_proxy --rtt-ms 20 127.0.0.1:0=127.0.0.1:8080

prints the addresses that it listens at as a line of JSON and then answers each line of its standard input, ``counts``,
``reset`` or ``rtt-ms 60``, with a line of JSON, until that ends.

Invariant: the bytes of a direction arrive in their order, all of them, and none before its time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

FIRST_WINDOW_BYTES = 14_600
_LARGEST_WINDOW_BYTES = 6 << 20
_IDLE_SECONDS = 1.0

_READ_BYTES = 1 << 18
# A reader that is this far ahead of its writer waits: what is under way in a round trip is less.
_MOST_HELD_BYTES = 16 << 20
_BACKLOG = 512


class Piece(NamedTuple):
    """So many bytes that arrive at a time."""

    arrives_at: float
    size: int


@dataclass(slots=True)
class Line:
    """One direction of a connection, as TCP's slow start lets it carry bytes; it knows no socket and no clock.

    Attributes:
        rtt_seconds: of the network.
        ready_at: when the handshake is over; what is sent before waits for it.
    """

    rtt_seconds: float
    ready_at: float
    _window: int = FIRST_WINDOW_BYTES
    _under_way: int = 0
    _acknowledgements: deque[Piece] = field(default_factory=deque)
    _sent_at: float = 0.0

    def send(self, size: int, now: float) -> list[Piece]:
        """Return when the parts of *size* bytes that are sent at *now* arrive; *now* never goes back."""
        if self.rtt_seconds == 0:
            return [Piece(now, size)]
        at = max(now, self.ready_at, self._sent_at)
        pieces = []
        while size:
            self._acknowledge(at, waited=False)
            if not self._under_way and at - self._sent_at > _IDLE_SECONDS:
                self._window = FIRST_WINDOW_BYTES
            if self._under_way >= self._window:
                at = self._acknowledgements[0].arrives_at
                self._acknowledge(at, waited=True)
                continue
            part = min(size, self._window - self._under_way)
            size -= part
            pieces.append(Piece(at + self.rtt_seconds / 2, part))
            self._acknowledgements.append(Piece(at + self.rtt_seconds, part))
            self._under_way += part
            self._sent_at = at
        return pieces

    def end(self, now: float) -> float:
        """Return when the end of the stream arrives, if it is sent at *now*."""
        return max(now, self.ready_at if self.rtt_seconds else now, self._sent_at) + self.rtt_seconds / 2

    def _acknowledge(self, now: float, *, waited: bool) -> None:
        """Take the acknowledgements that have come; the window grows only where it was what a sender waited for."""
        while self._acknowledgements and self._acknowledgements[0].arrives_at <= now:
            part = self._acknowledgements.popleft().size
            self._under_way -= part
            if waited:
                self._window = min(self._window + part, _LARGEST_WINDOW_BYTES)


@dataclass(slots=True)
class Counts:
    """What went through.

    Attributes:
        connections: that were asked for.
        bytes_up: from clients to servers.
        bytes_down: from servers to clients.
    """

    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass(slots=True, eq=False)
class _Flow:
    """The bytes on their way from one socket to another."""

    source: socket.socket
    target: socket.socket
    line: Line
    upwards: bool
    on_the_way: deque[memoryview] = field(default_factory=deque)
    arrived: deque[memoryview] = field(default_factory=deque)
    held_bytes: int = 0
    ended: bool = False
    end_arrived: bool = False
    done: bool = False


class LatencyProxy:
    """Carry connections from each listening address to its server, with one thread and one loop.

    Args:
        rtt_seconds: the round trip of connections made from now on.
    """

    def __init__(self, rtt_seconds: float) -> None:
        self.rtt_seconds = rtt_seconds
        self.counts = Counts()
        self._listeners: dict[socket.socket, tuple[str, int]] = {}
        self._readable: dict[socket.socket, _Flow] = {}
        self._blocked: dict[socket.socket, _Flow] = {}
        self._partners: dict[_Flow, _Flow] = {}
        self._due: list[tuple[float, int, _Flow, int]] = []
        self._order = count()

    def listen(self, address: tuple[str, int], server: tuple[str, int]) -> tuple[str, int]:
        """Listen at *address* for connections to *server* and return the address with its port."""
        listener = socket.create_server(address, backlog=_BACKLOG)
        listener.setblocking(False)
        self._listeners[listener] = server
        host, port = listener.getsockname()[:2]
        return host, port

    def run(self, control: int) -> None:
        """Carry, and answer the lines that come from the descriptor *control*, until it ends."""
        commands = b""
        while True:
            now = time.monotonic()
            wait = max(0.0, self._due[0][0] - now) if self._due else None
            reading = [it for it, flow in self._readable.items() if flow.held_bytes < _MOST_HELD_BYTES]
            # select, because its time-out is exact: those of epoll and poll are whole milliseconds.
            waiting: list[socket.socket | int] = [control, *self._listeners, *reading]
            readable, writable, _ = select.select(waiting, list(self._blocked), [], wait)
            if control in readable:
                received = os.read(control, 4096)
                if not received:
                    return
                commands += received
            self._carry(readable, writable)
            self._deliver(time.monotonic())
            *lines, commands = commands.split(b"\n")
            for line in lines:
                self._answer(line.decode())

    def _carry(self, readable: Iterable[socket.socket | int], writable: Iterable[socket.socket]) -> None:
        """Do what the sockets are ready for; one of them may have been closed for what was done to another."""
        for ready in readable:
            if isinstance(ready, int):
                continue
            if ready in self._listeners:
                self._accept(ready)
            elif ready in self._readable:
                self._read(self._readable[ready])
        for ready in writable:
            if ready in self._blocked:
                self._write(self._blocked[ready])

    def _answer(self, command: str) -> None:
        word, _, value = command.partition(" ")
        if word == "rtt-ms":
            self.rtt_seconds = float(value) / 1000
        elif word == "reset":
            self.counts = Counts()
        counts = self.counts
        answer = {
            "connections": counts.connections,
            "bytes_up": counts.bytes_up,
            "bytes_down": counts.bytes_down,
            "cpu_seconds": time.process_time(),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = listener.accept()
            self.counts.connections += 1
            now = time.monotonic()
            try:
                server = socket.create_connection(self._listeners[listener])
            except OSError:
                client.close()
                return
            for one in (client, server):
                one.setblocking(False)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready_at = now + self.rtt_seconds
            up = _Flow(client, server, Line(self.rtt_seconds, ready_at), upwards=True)
            down = _Flow(server, client, Line(self.rtt_seconds, ready_at), upwards=False)
            self._partners |= {up: down, down: up}
            self._readable |= {client: up, server: down}

    def _read(self, flow: _Flow) -> None:
        try:
            data = flow.source.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(flow)
            return
        now = time.monotonic()
        if not data:
            flow.ended = True
            del self._readable[flow.source]
            heappush(self._due, (flow.line.end(now), next(self._order), flow, -1))
            return
        if flow.upwards:
            self.counts.bytes_up += len(data)
        else:
            self.counts.bytes_down += len(data)
        flow.on_the_way.append(memoryview(data))
        flow.held_bytes += len(data)
        for arrives_at, size in flow.line.send(len(data), now):
            heappush(self._due, (arrives_at, next(self._order), flow, size))

    def _deliver(self, now: float) -> None:
        """Hand over what has arrived by *now*."""
        while self._due and self._due[0][0] <= now:
            _, _, flow, size = heappop(self._due)
            if flow.done:
                continue
            if size < 0:
                flow.end_arrived = True
            while size > 0:
                data = flow.on_the_way.popleft()
                flow.arrived.append(data[:size])
                if len(data) > size:
                    flow.on_the_way.appendleft(data[size:])
                size -= min(size, len(data))
            if flow.target not in self._blocked:
                self._write(flow)

    def _write(self, flow: _Flow) -> None:
        """Write what has arrived as far as the receiver takes it."""
        try:
            while flow.arrived:
                sent = flow.target.send(flow.arrived[0])
                flow.held_bytes -= sent
                if sent == len(flow.arrived[0]):
                    flow.arrived.popleft()
                else:
                    flow.arrived[0] = flow.arrived[0][sent:]
        except BlockingIOError:
            self._blocked[flow.target] = flow
            return
        except OSError:
            self._drop(flow)
            return
        self._blocked.pop(flow.target, None)
        if flow.end_arrived:
            flow.done = True
            with contextlib.suppress(OSError):
                flow.target.shutdown(socket.SHUT_WR)
            if self._partners[flow].done:
                self._drop(flow)

    def _drop(self, flow: _Flow) -> None:
        """Forget a connection, both ways."""
        partner = self._partners.pop(flow)
        del self._partners[partner]
        for one in (flow, partner):
            one.done = True
            self._readable.pop(one.source, None)
            self._blocked.pop(one.target, None)
            one.source.close()


def main(arguments: list[str] | None = None) -> int:
    """Run a proxy until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency_proxy", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rtt-ms", type=float, default=20.0, help="the round trip (default: %(default)s)")
    parser.add_argument("route", nargs="+", metavar="HOST:PORT=HOST:PORT", help="where to listen, and where that leads")
    chosen = parser.parse_args(arguments)
    proxy = LatencyProxy(chosen.rtt_ms / 1000)
    listening = []
    for route in chosen.route:
        here, _, there = route.partition("=")
        host, port = proxy.listen(_address(here), _address(there))
        listening.append(f"{host}:{port}")
    sys.stdout.write(json.dumps({"listening": listening}) + "\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        proxy.run(sys.stdin.fileno())
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    sys.exit(main())
