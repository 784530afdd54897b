"""The laws of the network between tools and bucket: by a clock of the test's own, and by counts through real sockets."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from benchmarks.latency_proxy import FIRST_WINDOW_BYTES, Line, Piece
from synccore.testing.gcs_server import GcsServer

RTT = 0.02
MEDIA = "/storage/v1/b/lab/o/a?alt=media"


def line(rtt_seconds: float = RTT, ready_at: float = 0.0) -> Line:
    return Line(rtt_seconds=rtt_seconds, ready_at=ready_at)


def test_a_small_message_takes_half_a_round_trip() -> None:
    assert line().send(100, 5.0) == [Piece(5.0 + RTT / 2, 100)]


def test_messages_do_not_wait_for_one_another() -> None:
    sent = line()
    assert [it.arrives_at for at in (5.0, 5.001, 5.002) for it in sent.send(100, at)] == pytest.approx(
        [5.010, 5.011, 5.012]
    )


def test_what_is_sent_before_the_handshake_is_over_waits_for_it() -> None:
    assert line(ready_at=5.02).send(100, 5.0) == [Piece(5.02 + RTT / 2, 100)]


def test_without_a_round_trip_nothing_is_delayed() -> None:
    assert line(0.0, ready_at=5.0).send(10 << 20, 5.0) == [Piece(5.0, 10 << 20)]


def test_the_window_doubles_in_each_round_trip() -> None:
    pieces = line().send(15 * FIRST_WINDOW_BYTES, 5.0)
    assert [it.size for it in pieces] == [FIRST_WINDOW_BYTES * it for it in (1, 2, 4, 8)]
    assert [it.arrives_at for it in pieces] == pytest.approx([5.0 + RTT * it for it in (0.5, 1.5, 2.5, 3.5)])


def test_small_messages_do_not_open_the_window() -> None:
    sent = line()
    for turn in range(10):
        sent.send(100, 5.0 + turn * RTT)
    assert sent.send(2 * FIRST_WINDOW_BYTES, 5.5)[0].size == FIRST_WINDOW_BYTES


def test_a_second_without_traffic_closes_the_window_again() -> None:
    sent = line()
    last = sent.send(15 * FIRST_WINDOW_BYTES, 5.0)[-1].arrives_at
    assert sent.send(4 * FIRST_WINDOW_BYTES, last + 0.9)[0].size == 4 * FIRST_WINDOW_BYTES
    assert sent.send(4 * FIRST_WINDOW_BYTES, last + 2.0)[0].size == FIRST_WINDOW_BYTES


def test_every_byte_arrives_once_in_order_and_the_end_after_the_last() -> None:
    sent = line()
    pieces = [it for at in range(50) for it in sent.send(30_000, 5.0 + at / 1000)]
    assert sum(it.size for it in pieces) == 50 * 30_000
    assert [it.arrives_at for it in pieces] == sorted(it.arrives_at for it in pieces)
    assert sent.end(5.05) >= pieces[-1].arrives_at


@contextmanager
def proxy_to(server: GcsServer, rtt_ms: float) -> Iterator[tuple[str, Any]]:
    words = [sys.executable, "-m", "benchmarks.latency_proxy", "--rtt-ms", str(rtt_ms), f"127.0.0.1:0={server.host}"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout

    def ask(command: str) -> Any:
        assert process.stdin
        assert process.stdout
        process.stdin.write(command + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    try:
        yield json.loads(process.stdout.readline())["listening"][0], ask
    finally:
        process.stdin.close()
        assert process.wait() == 0
        process.stdout.close()


def exchange(host: str, method: str, path: str, body: bytes | None = None) -> bytes:
    with closing(http.client.HTTPConnection(host)) as connection:
        connection.request(method, path, body)
        return connection.getresponse().read()


@pytest.mark.parametrize("rtt_ms", [0, 3])
@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_bytes_come_through_as_they_are_and_are_counted(rtt_ms: float, size: int) -> None:
    data = bytes(it * 7 % 251 for it in range(1000)) * (size // 1000) + b"x" * (size % 1000)
    with GcsServer("lab") as server, proxy_to(server, rtt_ms) as (host, ask):
        exchange(host, "POST", "/upload/storage/v1/b/lab/o?uploadType=media&name=a", data)
        assert exchange(host, "GET", MEDIA) == data
        counts = ask("counts")
        assert counts["connections"] == server.connections_made == 2
        assert size < counts["bytes_up"] < size + 1000
        assert size < counts["bytes_down"] < size + 3000
        assert ask("reset")["bytes_up"] == 0


def test_a_connection_that_the_server_breaks_is_broken_for_the_client() -> None:
    with GcsServer("lab") as server, proxy_to(server, 1) as (host, _):
        with closing(http.client.HTTPConnection(host)) as connection:
            connection.request("GET", MEDIA)
            connection.getresponse().read()
            server.break_connections()
            assert connection.sock.recv(1) == b""
        assert b"No such object" in exchange(host, "GET", MEDIA)
