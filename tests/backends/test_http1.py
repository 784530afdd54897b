"""What the client of HTTP/1.1 sends, understands and refuses, however the bytes are cut into packets."""

import http.client
import io
import os
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synccore.backends.connecting import connect, wire_name
from synccore.backends.http1 import HttpError, Request, Response, TruncatedError, exchange, read_response
from synccore.testing.gcs_server import GcsServer

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Packets:
    """Bytes that arrive in packets of these sizes, and then all at once; at most so many are given as are asked for."""

    def __init__(self, data: bytes, sizes: Sequence[int] = ()) -> None:
        self.data = data
        self._sizes = list(sizes)
        self.reads = 0

    def __call__(self, most: int) -> bytes:
        assert most > 0
        self.reads += 1
        size = min(most, self._sizes.pop(0) if self._sizes else most)
        piece, self.data = self.data[:size], self.data[size:]
        return piece


def response(data: bytes) -> Response:
    return read_response(Packets(data))


# -- what it understands -----------------------------------------------------------------------------------------------

BOUNDED: dict[str, tuple[bytes, Response]] = {
    "a length": (
        OK + b"Content-Length: 5\r\n\r\nhello",
        Response(200, {"content-length": "5"}, b"hello", is_reusable=True),
    ),
    "no body, by its length": (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        Response(404, {"content-length": "0"}, b"", is_reusable=True),
    ),
    "a length said twice": (
        OK + b"Content-Length: 2\r\ncontent-length: 2\r\n\r\nab",
        Response(200, {"content-length": "2, 2"}, b"ab", is_reusable=True),
    ),
    "chunks": (
        CHUNKED + b"5\r\nhello\r\n0A \t;name=value\r\n0123456789\r\n0\r\n\r\n",
        Response(200, {"transfer-encoding": "chunked"}, b"hello0123456789", is_reusable=True),
    ),
    "chunks with trailers": (
        OK + b"Transfer-Encoding: Chunked\r\nETag: a\r\n\r\n1\r\nx\r\n000;last\r\nETag: b\r\nX-Other: c\r\n\r\n",
        Response(200, {"transfer-encoding": "Chunked", "etag": "a"}, b"x", is_reusable=True),
    ),
    "line ends inside a body": (
        OK + b"Content-Length: 8\r\n\r\n\r\n\r\nHTTP",
        Response(200, {"content-length": "8"}, b"\r\n\r\nHTTP", is_reusable=True),
    ),
    "nothing new, with the length of what there would be": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        Response(304, {"content-length": "5"}, b"", is_reusable=True),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", Response(204, {}, b"", is_reusable=True)),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
        + OK
        + b"Content-Length: 1\r\n\r\nx",
        Response(200, {"content-length": "1"}, b"x", is_reusable=True),
    ),
    "no reason": (b"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n", Response(503, {"content-length": "0"}, b"", True)),
    "headers of all kinds": (
        OK
        + b"X-Goog-Hash: crc32c=a==\r\nx-goog-hash:md5=b== \r\nEmpty:\r\nName: caf\xe9\t!\r\ncontent-length: 0\r\n\r\n",
        Response(
            200,
            {
                "x-goog-hash": "crc32c=a==, md5=b==",
                "empty": "",
                "name": "caf\xe9\t!",
                "content-length": "0",
            },
            b"",
            is_reusable=True,
        ),
    ),
    "the end of the connection": (
        OK + b"Connection: Keep-Alive, Close\r\nContent-Length: 1\r\n\r\nx",
        Response(200, {"connection": "Keep-Alive, Close", "content-length": "1"}, b"x", is_reusable=False),
    ),
    "the version before": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        Response(200, {"content-length": "1"}, b"x", is_reusable=False),
    ),
}
UNBOUNDED = OK + b"Server: x\r\n\r\nup to the end"

every_bounded = pytest.mark.parametrize("name", BOUNDED)


@every_bounded
def test_an_answer_is_understood(name: str) -> None:
    data, expected = BOUNDED[name]
    assert response(data) == expected


def test_a_body_of_no_known_length_ends_with_its_connection() -> None:
    assert response(UNBOUNDED) == Response(200, {"server": "x"}, b"up to the end", is_reusable=False)


@every_bounded
def test_an_answer_is_read_in_as_few_reads_as_it_has_packets(name: str) -> None:
    packets = Packets(BOUNDED[name][0])
    read_response(packets)
    assert packets.reads == 1


@every_bounded
@given(sizes=st.lists(st.integers(1, 12), max_size=40))
@example(sizes=[1] * 300)
def test_any_packets_give_the_same_answer(name: str, sizes: list[int]) -> None:
    data, expected = BOUNDED[name]
    assert read_response(Packets(data, sizes)) == expected


@every_bounded
@given(surplus=st.binary(min_size=1, max_size=9), sizes=st.lists(st.integers(1, 60), max_size=9))
def test_what_nobody_has_asked_for_is_left_or_makes_the_connection_unusable(
    name: str, surplus: bytes, sizes: list[int]
) -> None:
    data, expected = BOUNDED[name]
    packets = Packets(data + surplus, sizes)
    found = read_response(packets)
    assert found._replace(is_reusable=True) == expected._replace(is_reusable=True)
    assert packets.data == surplus or not found.is_reusable


@every_bounded
@given(sizes=st.lists(st.integers(1, 30), max_size=9), at=st.integers(min_value=0))
def test_an_answer_that_breaks_off_is_none(name: str, sizes: list[int], at: int) -> None:
    data, _ = BOUNDED[name]
    at %= len(data)
    with pytest.raises(TruncatedError if at else ConnectionResetError):
        read_response(Packets(data[:at], sizes))


def test_an_answer_that_breaks_off_says_how_early() -> None:
    with pytest.raises(TruncatedError, match="7 bytes early"):
        response(OK + b"Content-Length: 10\r\n\r\nabc")


NAMES = st.sampled_from(["X-A", "x-a", "X-Goog-Generation", "ETag", "Vary"])
VALUES = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=8).map(str.strip)
CONNECTIONS = st.sampled_from([[], [("Connection", "close")], [("Connection", "keep-alive")]])


@given(
    status=st.sampled_from([200, 201, 206, 204, 304, 307, 404, 500]),
    headers=st.builds(list.__add__, st.lists(st.tuples(NAMES, VALUES), max_size=4), CONNECTIONS),
    chunks=st.lists(st.binary(min_size=1, max_size=20), max_size=4),
    way=st.sampled_from(["length", "chunks", "end"]),
)
def test_the_standard_librarys_client_understands_the_same(
    status: int, headers: list[tuple[str, str]], chunks: list[bytes], way: str
) -> None:
    body = b"".join(chunks)
    if way == "length":
        headers = [*headers, ("Content-Length", str(len(body)))]
    elif way == "chunks" and status not in {204, 304}:
        headers = [*headers, ("Transfer-Encoding", "chunked")]
        body = b"".join(b"%x\r\n%s\r\n" % (len(it), it) for it in chunks) + b"0\r\n\r\n"
    if status in {204, 304}:
        body = b""
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    data = f"HTTP/1.1 {status} Words\r\n{head}\r\n".encode("latin-1") + body
    theirs = http.client.HTTPResponse(Played(data))  # type: ignore[arg-type]  # that needs no more of a socket
    theirs.begin()
    found = response(data)
    assert (found.status, found.body) == (theirs.status, theirs.read())
    assert found.is_reusable is not theirs.will_close
    joined: dict[str, list[str]] = {}
    for name, value in theirs.getheaders():
        joined.setdefault(name.lower(), []).append(value)
    assert found.headers == {name: ", ".join(values) for name, values in joined.items()}


class Played:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


# -- what it refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.10 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 2\xb20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"x" * 100_000,
        OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        OK + b"".join(b"X%d: y\r\n" % number for number in range(200)) + b"\r\n",
        OK + 2 * (b"X: " + b"x" * 40_000 + b"\r\n") + b"\r\n",
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(data: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        response(data)
    assert type(caught.value) is HttpError


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b": no name",
        b"Name : value",
        b" Name: value",
        b"X: y\r\n continued",
        b"X: y\r\n\tcontinued",
        b"N\xe4me: value",
        b"Name: a\nOther: b",
        b"Name: a\rOther: b",
        b"Name: a\0b",
        b"Name: a\x7fb",
        b"Content-Length: -1",
        b"Content-Length: +1",
        b"Content-Length: 1_0",
        b"Content-Length: 0x1",
        b"Content-Length: ",
        b"Content-Length: \xb2",
        b"Content-Length: 1.0",
        b"Content-Length: " + b"9" * 5000,
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: 1, 2",
        b"Content-Length: 1,",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: ",
    ],
)
@pytest.mark.parametrize("start", [OK, b"HTTP/1.1 304 Not Modified\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + OK])
def test_headers_that_can_be_read_in_two_ways_are_not_read(start: bytes, line: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        response(start + line + b"\r\n\r\n" + b"x" * 20)
    assert type(caught.value) is HttpError


def test_the_version_before_knows_no_chunks() -> None:
    with pytest.raises(HttpError, match="another version"):
        response(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"\r\n\r\n",
        b"-1\r\n\r\n",
        b"+1\r\nx\r\n0\r\n\r\n",
        b"0x1\r\nx\r\n0\r\n\r\n",
        b"1_0\r\n",
        b" 1\r\nx\r\n0\r\n\r\n",
        b"g\r\n",
        b"5" * 100 + b"\r\n",
        b"1;" + b"x" * 70_000,
        b"1\nx\n0\n\n" + b"x" * 70_000,
        b"1\r\nxy\r\n0\r\n\r\n",
        b"2\r\nx\r\n0\r\n\r\n",
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n",
    ],
)
def test_chunks_that_make_no_sense_are_refused(body: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        response(CHUNKED + body)
    assert type(caught.value) is HttpError


@pytest.mark.parametrize("data", [b"\x1b[2J\x07\r\n\r\n", OK + b"\x1b[2J\x07\r\n\r\n", CHUNKED + b"\x1b[2J\r\n"])
def test_what_a_refusal_quotes_does_nothing_to_a_terminal(data: bytes) -> None:
    with pytest.raises(HttpError, match=r"x1b\[2J") as caught:
        response(data)
    assert str(caught.value).isprintable()


SYNTAX = (
    *(
        OK,
        b"HTTP/1.1 ",
        b"200",
        b"100",
        b"304",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b": ",
        b"Content-Length: ",
        b"3",
        b"0",
        b",",
    ),
    *(b"Transfer-Encoding: chunked", b";", b" ", b"\t", b"Connection: close\r\n", b"\xff", b"\0"),
)


@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.lists(st.one_of(st.sampled_from(SYNTAX), st.binary(max_size=4)), max_size=20).map(b"".join),
    ),
    sizes=st.lists(st.integers(1, 9), max_size=20),
)
def test_no_bytes_make_it_do_anything_but_understand_or_refuse_them(data: bytes, sizes: list[int]) -> None:
    outcomes = [outcome(Packets(data)), outcome(Packets(data, sizes)), outcome(Packets(data, [1] * len(data)))]
    assert outcomes[0] == outcomes[1] == outcomes[2]


def outcome(packets: Packets) -> tuple[int, object, bytes] | type[Exception]:
    try:
        found = read_response(packets)
    except (HttpError, ConnectionResetError) as error:
        return type(error)
    return found.status, found.headers, found.body


# -- what it sends -----------------------------------------------------------------------------------------------------


class CountedSocket(socket.socket):
    """A socket that knows how much was written at a time."""

    writes: list[int]

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        self.writes.append(len(data))
        super().sendall(data, flags)


class Other:
    """The other side of a connection: it reads a request of so many bytes and says what it is told."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.read = bytearray()

    def answer(self, data: bytes, *, after: Callable[[bytearray], bool]) -> threading.Thread:
        def act() -> None:
            while not after(self.read):
                self.read += self._connection.recv(1 << 16)
            self._connection.sendall(data)

        thread = threading.Thread(target=act)
        thread.start()
        return thread


@pytest.fixture
def pair() -> Iterator[tuple[CountedSocket, socket.socket]]:
    with ExitStack() as stack:
        ours, theirs = socket.socketpair()
        counted = stack.enter_context(closing(CountedSocket(ours.family, ours.type, ours.proto, fileno=ours.detach())))
        counted.writes = []
        counted.settimeout(20)
        yield counted, stack.enter_context(closing(theirs))


def ask(connection: socket.socket, request: Request, *, next_seconds: float = 20.0) -> Response:
    return exchange(connection, request, next_seconds=next_seconds, heard=lambda: None)


def is_whole(request: bytearray) -> bool:
    return request.endswith(b"\r\n\r\n")


def test_a_get_is_one_write(pair: tuple[CountedSocket, socket.socket]) -> None:
    ours, theirs = pair
    other = Other(theirs)
    thread = other.answer(BOUNDED["a length"][0], after=is_whole)
    request = Request("GET", "/a?b=c%20d", "storage.example:8080", {"Range": "bytes=0-4"})
    assert ask(ours, request) == BOUNDED["a length"][1]
    thread.join()
    assert bytes(other.read) == (
        b"GET /a?b=c%20d HTTP/1.1\r\nHost: storage.example:8080\r\nAccept-Encoding: identity\r\nRange: bytes=0-4\r\n\r\n"
    )
    assert ours.writes == [len(other.read)]


@pytest.mark.parametrize("size", [0, 1, 40_000, 65_536])
def test_a_small_body_is_in_the_write_of_its_head(pair: tuple[CountedSocket, socket.socket], size: int) -> None:
    ours, theirs = pair
    other, body = Other(theirs), os.urandom(size)
    thread = other.answer(BOUNDED["no content"][0], after=lambda it: b"\r\n\r\n" in it and it.endswith(body))
    assert ask(ours, Request("POST", "/", "h", {}, body)).status == 204
    thread.join()
    head, _, sent = bytes(other.read).partition(b"\r\n\r\n")
    assert (b"Content-Length: %d" % size in head.split(b"\r\n"), sent) == (True, body)
    assert ours.writes == [len(other.read)]


def test_each_part_of_a_large_body_has_the_patience_to_itself(pair: tuple[CountedSocket, socket.socket]) -> None:
    ours, theirs = pair
    other, body = Other(theirs), os.urandom(1_000_001)
    thread = other.answer(BOUNDED["no content"][0], after=lambda it: len(it) > len(body) and it.endswith(body[-99:]))
    ask(ours, Request("POST", "/", "h", {}, body))
    thread.join()
    assert bytes(other.read).partition(b"\r\n\r\n")[2] == body
    assert sum(ours.writes) == len(other.read)
    assert max(ours.writes) < 70_000


def test_a_large_body_is_not_copied(pair: tuple[CountedSocket, socket.socket]) -> None:
    ours, theirs = pair
    body = bytes(8_000_000)
    missing = [len(body)]

    def drain() -> None:
        room = bytearray(1 << 16)
        while missing[0] > 0:
            missing[0] -= theirs.recv_into(room)
        theirs.sendall(BOUNDED["no content"][0])

    thread = threading.Thread(target=drain)
    thread.start()
    tracemalloc.start()
    try:
        ask(ours, Request("POST", "/", "h", {}, body))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    thread.join()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/a b", "h", {}),
        Request("GET", "/a\r\nX: y", "h", {}),
        Request("GET", "/\xe4", "h", {}),
        Request("GET /", "/", "h", {}),
        Request("", "/", "h", {}),
        Request("GET", "/", "h\r\nX: y", {}),
        Request("GET", "/", "h", {"Authorization": "Bearer secret\r\nX: y"}),
        Request("GET", "/", "h", {"Authorization": "Bearer secret\n y"}),
        Request("GET", "/", "h", {"Authorization": "Bearer secret\0"}),
        Request("GET", "/", "h", {"Authorization": "Bearer secret\u2028"}),
        Request("GET", "/", "h", {"Authorization: x\r\nX": "secret"}),
        Request("GET", "/", "h", {"": "secret"}),
    ],
)
def test_nothing_is_sent_of_a_request_that_would_be_read_as_another(
    pair: tuple[CountedSocket, socket.socket], request_: Request
) -> None:
    with pytest.raises(HttpError) as caught:
        ask(pair[0], request_)
    assert "secret" not in str(caught.value)
    assert pair[0].writes == []


# -- how long it waits -------------------------------------------------------------------------------------------------

GET = Request("GET", "/", "h", {})


def test_silence_is_left_when_the_patience_of_the_connection_ends(pair: tuple[CountedSocket, socket.socket]) -> None:
    pair[0].settimeout(0.01)
    with pytest.raises(TimeoutError):
        ask(pair[0], GET)


def test_from_the_first_byte_on_the_other_patience_counts(pair: tuple[CountedSocket, socket.socket]) -> None:
    pair[1].sendall(b"H")
    with pytest.raises(TimeoutError):
        ask(pair[0], GET, next_seconds=0.01)
    assert pair[0].gettimeout() == 0.01


@pytest.mark.parametrize("data", [OK + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"1\r\nx\r\n", OK + b"\r\nto the"])
def test_silence_inside_a_body_is_left_too(pair: tuple[CountedSocket, socket.socket], data: bytes) -> None:
    pair[1].sendall(data)
    with pytest.raises(TimeoutError):
        ask(pair[0], GET, next_seconds=0.01)


def test_each_part_that_arrives_is_heard(pair: tuple[CountedSocket, socket.socket]) -> None:
    parts = [OK, b"Content-Length: 4\r\n", b"\r\n", b"a", b"b", b"cd"]
    times = []

    def heard() -> None:
        times.append(1)
        if parts:
            pair[1].sendall(parts.pop(0))

    pair[1].sendall(parts.pop(0))
    assert exchange(pair[0], GET, next_seconds=20, heard=heard).body == b"abcd"
    assert len(times) == 6


@pytest.mark.parametrize("said", [b"", OK])
def test_a_connection_that_ends_is_noticed(pair: tuple[CountedSocket, socket.socket], said: bytes) -> None:
    pair[1].sendall(said)
    pair[1].shutdown(socket.SHUT_WR)
    with pytest.raises(TruncatedError if said else ConnectionResetError):
        ask(pair[0], GET)


# -- real servers ------------------------------------------------------------------------------------------------------


def test_answers_come_one_after_the_other_over_one_connection_to_the_tests_server() -> None:
    with GcsServer("lab") as server:
        data = os.urandom(300_000)
        server.service.insert("lab", "a", data, {}, {})
        host, _, port = server.host.partition(":")
        with connect(host, int(port), 20) as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            media = Request("GET", "/storage/v1/b/lab/o/a?alt=media", server.host, {})
            for _ in range(3):
                found = ask(connection, media)
                assert (found.status, found.body, found.is_reusable) == (200, data, True)
            missing = ask(connection, media._replace(target="/storage/v1/b/lab/o/b?alt=media"))
            assert (missing.status, missing.is_reusable) == (404, True)
        assert server.connections_made == 1


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for size in (1, 70_000, 3):
                self.wfile.write(b"%x\r\n%s\r\n" % (size, b"x" * size))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True
            self.end_headers()
            self.wfile.write(b"x" * 70_004)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_the_standard_librarys_server_is_understood(pages: int) -> None:
    with connect("localhost", pages, 20) as connection:
        for target, is_reusable in (("/chunks", True), ("/chunks", True), ("/end", False)):
            found = ask(connection, Request("GET", target, "localhost", {}))
            assert (found.body, found.is_reusable) == (b"x" * 70_004, is_reusable)


# -- hosts -------------------------------------------------------------------------------------------------------------


def test_a_host_is_called_as_the_network_calls_it() -> None:
    assert wire_name("storage.googleapis.com") == b"storage.googleapis.com"
    assert wire_name("::1") == b"::1"
    assert wire_name("b\xfccher.example") == b"xn--bcher-kva.example"


@pytest.mark.parametrize("host", ["\xfc..example", "\u2028", "a..b"])
def test_a_name_that_no_host_can_have_is_no_connection(host: str) -> None:
    with pytest.raises(OSError):  # noqa: PT011  # which one differs from system to system
        connect(host, 1, 5)
