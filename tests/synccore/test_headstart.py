"""Connections that are begun where the last one has led."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synccore import headstart
from synccore.backends.connecting import Connections

PATIENCE_SECONDS = 30.0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(PATIENCE_SECONDS)
        yield made


@pytest.fixture
def port(listener: socket.socket) -> int:
    found: int = listener.getsockname()[1]
    return found


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert headstart.take("nobody", 1, PATIENCE_SECONDS, is_secured=False) is None


def connections_of(listener: socket.socket) -> int:
    """Count the connections that wait to be accepted."""
    listener.settimeout(0)
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_where_a_connection_has_led_the_next_is_begun_and_taken(
    tmp_path: Path, listener: socket.socket, port: int
) -> None:
    address = tmp_path / "state" / "address"
    with closing(Connections(f"http://127.0.0.1:{port}", address).make(PATIENCE_SECONDS)):
        assert address.read_text() == f"127.0.0.1 {port} 127.0.0.1 plain\n"
        listener.accept()[0].close()
    headstart.begin(str(address))
    there = listener.accept()[0]
    with there, closing(Connections(f"http://127.0.0.1:{port}", address).make(PATIENCE_SECONDS)) as taken:
        there.sendall(b"it")
        assert taken.recv(2) == b"it"
        assert taken.gettimeout() == PATIENCE_SECONDS
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert connections_of(listener) == 0


def test_an_address_is_noted_under_the_name_that_was_asked_for(
    tmp_path: Path, listener: socket.socket, port: int
) -> None:
    with closing(Connections(f"http://localhost:{port}", tmp_path / "address").make(PATIENCE_SECONDS)):
        listener.accept()[0].close()
    assert (tmp_path / "address").read_text() == f"localhost {port} 127.0.0.1 plain\n"


def test_a_connection_that_leads_elsewhere_is_closed_and_another_made(
    tmp_path: Path, listener: socket.socket, port: int
) -> None:
    (tmp_path / "address").write_text(f"another.host {port} 127.0.0.1 plain\n")
    headstart.begin(str(tmp_path / "address"))
    begun = listener.accept()[0]
    with begun, closing(Connections(f"http://127.0.0.1:{port}").make(PATIENCE_SECONDS)):
        begun.settimeout(PATIENCE_SECONDS)
        assert begun.recv(1) == b""
        listener.accept()[0].close()


def test_over_a_connection_without_tls_none_is_spoken_and_the_other_way_round(
    tmp_path: Path, listener: socket.socket, port: int
) -> None:
    for noted, is_secured in (("plain", True), ("tls", False)):
        (tmp_path / "address").write_text(f"127.0.0.1 {port} 127.0.0.1 {noted}\n")
        headstart.begin(str(tmp_path / "address"))
        headstart.secure()
        with listener.accept()[0]:
            assert headstart.take("127.0.0.1", port, PATIENCE_SECONDS, is_secured=is_secured) is None


def test_who_does_not_prove_who_it_is_is_waited_for_no_longer_than_its_owner_may(
    tmp_path: Path, listener: socket.socket, port: int
) -> None:
    (tmp_path / "address").write_text(f"127.0.0.1 {port} 127.0.0.1 tls\n")
    headstart.begin(str(tmp_path / "address"))
    headstart.secure()
    (begun,) = headstart._begun
    with listener.accept()[0] as there:
        there.settimeout(PATIENCE_SECONDS)
        assert there.recv(1)  # the beginning of what TLS says
        assert headstart.take("127.0.0.1", port, 0.0, is_secured=True) is None
        there.sendall(b"no TLS")
        assert begun._securing is not None
        begun._securing.join(PATIENCE_SECONDS)
    assert not begun._securing.is_alive()


def test_where_nobody_listens_any_more_another_is_made(tmp_path: Path, listener: socket.socket, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()[1]
    (tmp_path / "address").write_text(f"localhost {dead} 127.0.0.1 plain\n")
    headstart.begin(str(tmp_path / "address"))
    assert headstart.take("localhost", dead, PATIENCE_SECONDS, is_secured=False) is None
    with closing(Connections(f"http://127.0.0.1:{port}").make(PATIENCE_SECONDS)):
        listener.accept()[0].close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "localhost {port}",
        "localhost {port} 127.0.0.1",
        "localhost {port} localhost plain",
        "localhost {port} 127.0.0.1 other",
        "localhost {port} 127.0.0.1 plain more",
        "localhost port 127.0.0.1 plain",
        "localhost 99999 127.0.0.1 plain",
        "localhost {port} 127.0.0 plain",
        "l\u00f6calhost {port} 127.0.0.1 plain",
    ],
)
def test_what_is_no_address_begins_nothing(tmp_path: Path, listener: socket.socket, port: int, text: str) -> None:
    (tmp_path / "address").write_text(text.format(port=port), encoding="utf-8")
    headstart.begin(str(tmp_path / "address"))
    assert headstart.take("localhost", port, PATIENCE_SECONDS, is_secured=False) is None
    assert connections_of(listener) == 0


@pytest.mark.parametrize("age_seconds", [24 * 60 * 60 + 60, -3600])
def test_an_address_of_another_day_begins_nothing(
    tmp_path: Path, listener: socket.socket, port: int, age_seconds: int
) -> None:
    address = tmp_path / "address"
    address.write_text(f"localhost {port} 127.0.0.1 plain\n")
    then = time.time() - age_seconds
    os.utime(address, (then, then))
    headstart.begin(str(address))
    assert headstart.take("localhost", port, PATIENCE_SECONDS, is_secured=False) is None
    assert connections_of(listener) == 0


def test_an_address_that_cannot_be_kept_is_not(tmp_path: Path, listener: socket.socket, port: int) -> None:
    (tmp_path / "file").write_text("in the way")
    with closing(Connections(f"http://127.0.0.1:{port}", tmp_path / "file" / "address").make(PATIENCE_SECONDS)):
        listener.accept()[0].close()
    assert (tmp_path / "file").read_text() == "in the way"
