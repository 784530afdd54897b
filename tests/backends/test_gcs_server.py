"""The suite's own Google Cloud Storage: that it answers as the service does, by raw requests and by Google's client."""

import base64
import gzip
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import google_crc32c
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from synccore.testing.gcs_faults import (
    Damage,
    Delay,
    Fault,
    LoseAnswer,
    Redirect,
    Refuse,
    Reset,
    Stall,
    Truncate,
    planned,
)
from synccore.testing.gcs_requests import parse_multipart, parse_range, select_fields
from synccore.testing.gcs_server import GcsServer
from synccore.testing.metadata_server import MetadataServer

OBJECT = "/storage/v1/b/lab/o/a%2Fb"
UPLOAD = "/upload/storage/v1/b/lab/o"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        content = json.loads(self.body)
        assert isinstance(content, dict)
        return content

    @property
    def reason(self) -> object:
        error = self.json["error"]
        assert isinstance(error, dict)
        assert error["code"] == self.status
        return error["errors"][0]["reason"]


class Caller:
    """One kept connection, on which every request is made."""

    def __init__(self, host: str) -> None:
        self.connection = http.client.HTTPConnection(host, timeout=20)

    def __call__(
        self, method: str, path: str, body: object = None, query: dict[str, object] | None = None, **headers: str
    ) -> Reply:
        target = path + (f"?{urlencode(query)}" if query else "")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, target, body, named)  # type: ignore[arg-type]
        with self.connection.getresponse() as response:
            return Reply(response.status, response.headers, response.read())


@pytest.fixture
def call(server: GcsServer) -> Iterator[Caller]:
    caller = Caller(server.host)
    with closing(caller.connection):
        yield caller


@pytest.fixture
def client(server: GcsServer) -> Iterator[storage.Client]:
    made = storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": server.url})
    made._bucket_metadata_cache = None  # a thread of its own, which may outlive the test
    with closing(made):
        yield made


def put(call: Caller, data: bytes = b"0123456789", name: str = "a/b", **query: object) -> Reply:
    return call("POST", UPLOAD, data, {"uploadType": "media", "name": name, **query}, content_type="text/plain")


def multipart(metadata: dict[str, object], data: bytes, *, line: bytes = b"\r\n", boundary: bytes = b"xyz") -> bytes:
    parts = [b"--" + boundary, b"Content-Type: application/json", b"", json.dumps(metadata).encode()]
    parts += [b"--" + boundary, b"Content-Type: text/x-thing", b"", data, b"--" + boundary + b"--", b""]
    return line.join(parts)


# -- objects -----------------------------------------------------------------------------------------------------------


def test_media_come_with_generation_checksums_and_etag(server: GcsServer, call: Caller) -> None:
    resource = put(call).json
    reply = call("GET", OBJECT, query={"alt": "media"})
    crc32c = base64.b64encode(google_crc32c.value(b"0123456789").to_bytes(4, "big")).decode()
    md5 = base64.b64encode(hashlib.md5(b"0123456789").digest()).decode()
    assert (reply.status, reply.body) == (200, b"0123456789")
    assert reply.headers["x-goog-generation"] == resource["generation"]
    assert reply.headers["x-goog-metageneration"] == "1"
    assert reply.headers["x-goog-hash"] == f"crc32c={crc32c},md5={md5}"
    assert reply.headers["etag"] == resource["etag"]
    assert reply.headers["content-type"] == "text/plain"
    assert (resource["md5Hash"], resource["crc32c"], resource["size"]) == (md5, crc32c, "10")
    assert call("GET", f"/download{OBJECT}", query={"alt": "media"}).body == b"0123456789"


def test_an_etag_packs_generation_and_metageneration_as_the_services_do(server: GcsServer, call: Caller) -> None:
    # From a public object: generation 1777369647609324 has the etag COzr6/OhkJQDEAE=.
    server.service.clock = lambda: 1777369647.609324
    server.service._last_generation = 1777369647609323
    assert put(call).json["etag"] == "COzr6/OhkJQDEAE="


def test_generations_grow_even_if_the_clock_goes_back(server: GcsServer, call: Caller) -> None:
    server.service.clock = lambda: 1_700_000_000.0
    first = int(str(put(call).json["generation"]))
    server.service.clock = lambda: 1_600_000_000.0
    assert int(str(put(call).json["generation"])) == first + 1


def test_what_is_missing_is_said_in_json_or_for_media_in_text(server: GcsServer, call: Caller) -> None:
    put(call)
    reply = call("GET", "/storage/v1/b/lab/o/none")
    assert (reply.status, reply.reason) == (404, "notFound")
    reply = call("GET", "/storage/v1/b/lab/o/none", query={"alt": "media"})
    assert (reply.status, reply.body) == (404, b"No such object: lab/none")
    assert reply.headers["content-type"] == "text/html; charset=UTF-8"
    reply = call("GET", "/storage/v1/b/nowhere/o/none", query={"alt": "media"})
    assert (reply.status, reply.body) == (404, b"The specified bucket does not exist.")
    assert call("GET", OBJECT, query={"alt": "media", "generation": "1"}).status == 404


@pytest.mark.parametrize(
    ("condition", "there", "missing"),
    [
        ({"ifGenerationMatch": "NOW"}, 200, 404),
        ({"ifGenerationMatch": "1"}, 412, 404),
        ({"ifGenerationMatch": "0"}, 412, 404),
        ({"ifGenerationNotMatch": "NOW"}, 304, 404),
        ({"ifGenerationNotMatch": "1"}, 200, 404),
        ({"ifGenerationNotMatch": "0"}, 200, 404),
        ({"ifMetagenerationMatch": "1"}, 200, 404),
        ({"ifMetagenerationMatch": "2"}, 412, 404),
        ({"ifMetagenerationNotMatch": "1"}, 304, 404),
        ({"ifGenerationMatch": "x"}, 400, 404),
    ],
)
@pytest.mark.parametrize("media", [{}, {"alt": "media"}])
def test_conditions_of_a_get(
    call: Caller, condition: dict[str, str], there: int, missing: int, media: dict[str, str]
) -> None:
    now = str(put(call).json["generation"])
    query: dict[str, object] = {**media, **{name: value.replace("NOW", now) for name, value in condition.items()}}
    reply = call("GET", OBJECT, query=query)
    assert reply.status == there
    assert reply.body if there != 304 else not reply.body
    assert call("GET", "/storage/v1/b/lab/o/none", query=query).status == missing


@pytest.mark.parametrize(
    ("condition", "there", "missing"),
    [
        ({"ifGenerationMatch": "0"}, 412, 200),
        ({"ifGenerationMatch": "NOW"}, 200, 412),
        ({"ifGenerationMatch": "1"}, 412, 412),
        ({"ifGenerationNotMatch": "NOW"}, 304, 304),
        ({"ifGenerationNotMatch": "0"}, 200, 304),
        ({"ifMetagenerationMatch": "1"}, 200, 412),
        ({}, 200, 200),
    ],
)
def test_conditions_of_a_put(
    server: GcsServer, call: Caller, condition: dict[str, str], there: int, missing: int
) -> None:
    now = str(put(call, b"old").json["generation"])
    query = {name: value.replace("NOW", now) for name, value in condition.items()}
    for name, before, expected in (("a/b", b"old", there), ("new", None, missing)):
        reply = put(call, b"new", name, **query)
        assert reply.status == expected
        assert server.data("lab", name) == (b"new" if expected == 200 else before)
        if expected == 412:
            assert reply.reason == "conditionNotMet"


@pytest.mark.parametrize(("wanted", "status"), [("NOW", 204), ("1", 412)])
def test_conditions_of_a_delete(server: GcsServer, call: Caller, wanted: str, status: int) -> None:
    now = str(put(call).json["generation"])
    query: dict[str, object] = {"ifGenerationMatch": wanted.replace("NOW", now)}
    assert call("DELETE", OBJECT, query=query).status == status
    assert (server.data("lab", "a/b") is None) == (status == 204)
    assert call("DELETE", "/storage/v1/b/lab/o/none", query=query).status == 404


@pytest.mark.parametrize(
    ("wanted", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-30", 206, b"89", "bytes 8-9/10"),
        ("bytes=9-9", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, b"Request range not satisfiable", "bytes */10"),
        ("bytes=-0", 416, b"Request range not satisfiable", "bytes */10"),
        ("bytes=5-4", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_ranges(call: Caller, wanted: str, status: int, body: bytes, content_range: str | None) -> None:
    put(call)
    reply = call("GET", OBJECT, query={"alt": "media"}, range=wanted)
    assert (reply.status, reply.body, reply.headers["content-range"]) == (status, body, content_range)


def test_no_range_of_an_empty_object_can_be_had() -> None:
    assert parse_range("bytes=0-", 0) == range(0)
    assert parse_range("bytes=-5", 0) == range(0)
    assert parse_range(None, 0) is None


def test_an_object_that_is_stored_packed_is_unpacked_for_who_cannot(call: Caller) -> None:
    packed = gzip.compress(b"0123456789")
    body = multipart({"name": "a/b", "contentEncoding": "gzip"}, packed)
    call("POST", UPLOAD, body, {"uploadType": "multipart"}, content_type="multipart/related; boundary=xyz")
    assert call("GET", OBJECT, query={"alt": "media"}).body == b"0123456789"
    assert call("GET", OBJECT, query={"alt": "media"}, accept_encoding="gzip").body == packed


def test_patched_metadata_make_a_new_metageneration(call: Caller) -> None:
    resource = put(call).json
    patched = call("PATCH", OBJECT, json.dumps({"metadata": {"mtime": "1"}, "contentType": None})).json
    assert (patched["generation"], patched["metageneration"]) == (resource["generation"], "2")
    assert (patched["metadata"], patched["contentType"]) == ({"mtime": "1"}, "application/octet-stream")


# -- uploads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"\r\n", b"\n"])
@pytest.mark.parametrize("data", [b"", b"one", b"ends in CR\r", b"ends in LF\n", b"\r\n--xy", b"\n\n--\r\n\r\n"])
@pytest.mark.parametrize("quotes", ["", '"', "'"])
def test_multipart_uploads_in_every_clients_style(
    server: GcsServer, call: Caller, line: bytes, data: bytes, quotes: str
) -> None:
    content_type = f"multipart/related; boundary={quotes}xyz{quotes}"
    body = multipart({"name": "a/b"}, data, line=line)
    reply = call("POST", UPLOAD, body, {"uploadType": "multipart"}, content_type=content_type)
    assert (reply.status, reply.json["contentType"]) == (200, "text/x-thing")
    assert server.data("lab", "a/b") == data


def test_media_without_any_header_are_media() -> None:
    body = b"--x\r\n\r\n{}\r\n--x\r\n\r\nbytes\r\n--x--"
    assert parse_multipart("multipart/related; boundary=x", body) == ({}, None, b"bytes")


@pytest.mark.parametrize("body", [b"", b"--xyz\r\n", b"--xyz\r\n\r\n{}\r\n--xyz\r\n\r\nno end", b"garbage"])
def test_a_broken_multipart_body_is_a_bad_request(server: GcsServer, call: Caller, body: bytes) -> None:
    content_type = "multipart/related; boundary=xyz"
    query: dict[str, object] = {"uploadType": "multipart", "name": "a/b"}
    assert call("POST", UPLOAD, body, query, content_type=content_type).status == 400
    assert server.data("lab", "a/b") is None


@pytest.mark.parametrize("where", ["md5Hash", "crc32c", "x-goog-hash", "content-md5"])
def test_a_wrong_checksum_stores_nothing(server: GcsServer, call: Caller, where: str) -> None:
    def store(md5: str, crc32c: str) -> Reply:
        sums = {"md5Hash": {"md5Hash": md5}, "crc32c": {"crc32c": crc32c}}.get(where, {})
        heads = {"x-goog-hash": {"x_goog_hash": f"crc32c={crc32c},md5={md5}"}, "content-md5": {"content_md5": md5}}
        body = multipart({"name": "a/b", **sums}, b"0123456789")
        headers = {"content_type": "multipart/related; boundary=xyz", **heads.get(where, {})}
        return call("POST", UPLOAD, body, {"uploadType": "multipart"}, **headers)

    right = put(call).json
    reply = store(base64.b64encode(bytes(16)).decode(), base64.b64encode(bytes(4)).decode())
    assert (reply.status, reply.reason) == (400, "invalid")
    assert store(str(right["md5Hash"]), str(right["crc32c"])).status == 200


def test_a_body_may_come_packed_or_in_chunks_or_after_a_question(server: GcsServer, call: Caller) -> None:
    query = urlencode({"uploadType": "media", "name": "a/b"})
    call("POST", f"{UPLOAD}?{query}", gzip.compress(b"packed"), content_encoding="gzip")
    assert server.data("lab", "a/b") == b"packed"
    assert call("POST", f"{UPLOAD}?{query}", b"not packed", content_encoding="gzip").status == 400
    call("POST", f"{UPLOAD}?{query}", iter([b"in ", b"chunks"]))
    assert server.data("lab", "a/b") == b"in chunks"
    with socket.create_connection(server.host.split(":")) as raw:  # type: ignore[arg-type]
        raw.sendall(f"POST {UPLOAD}?{query} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
        assert raw.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"asked")
        assert raw.recv(10_000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.data("lab", "a/b") == b"asked"


def begin(call: Caller, **query: object) -> str:
    reply = call("POST", UPLOAD, json.dumps({"name": "a/b"}), {"uploadType": "resumable", **query})
    assert reply.status == 200
    return reply.headers["location"].partition("/upload")[2]


def test_a_resumable_upload_keeps_whole_grains_and_says_how_many(server: GcsServer, call: Caller) -> None:
    data = os.urandom(700_000)
    path = "/upload" + begin(call)
    reply = call("PUT", path, b"", content_range="bytes */700000")
    assert (reply.status, reply.headers["range"]) == (308, None)
    reply = call("PUT", path, data[:300_000], content_range="bytes 0-299999/700000")
    assert (reply.status, reply.headers["range"]) == (308, "bytes=0-262143")
    reply = call("PUT", path, b"", content_range="bytes */*")
    assert reply.headers["range"] == "bytes=0-262143"
    assert call("PUT", path, data[400_000:], content_range="bytes 400000-699999/700000").status == 503
    assert server.data("lab", "a/b") is None
    reply = call("PUT", path, data[262_144:], content_range="bytes 262144-699999/700000")
    assert (reply.status, reply.json["size"]) == (200, "700000")
    assert server.data("lab", "a/b") == data
    assert call("PUT", path, b"", content_range="bytes */700000").json["size"] == "700000"
    assert server.requests == {"put_begin": 1, "put_part": 6}


def test_a_resumable_upload_may_not_know_its_size_and_may_be_empty(server: GcsServer, call: Caller) -> None:
    path = "/upload" + begin(call)
    assert call("PUT", path, bytes(262_144), content_range="bytes 0-262143/*").status == 308
    assert call("PUT", path, b"end", content_range="bytes 262144-262146/262147").status == 200
    assert server.data("lab", "a/b") == bytes(262_144) + b"end"
    path = "/upload" + begin(call)
    assert call("PUT", path, b"", content_range="bytes */0").status == 200
    assert server.data("lab", "a/b") == b""
    path = "/upload" + begin(call)
    assert call("PUT", path, b"whole").status == 200
    assert server.data("lab", "a/b") == b"whole"


def test_conditions_of_a_resumable_upload_hold_at_both_ends(server: GcsServer, call: Caller) -> None:
    path = "/upload" + begin(call, ifGenerationMatch=0)
    put(call, b"theirs")
    assert call("PUT", path, b"ours").status == 412
    assert server.data("lab", "a/b") == b"theirs"
    reply = call("POST", UPLOAD, json.dumps({"name": "a/b"}), {"uploadType": "resumable", "ifGenerationMatch": 0})
    assert (reply.status, reply.reason) == (412, "conditionNotMet")


def test_an_upload_can_be_cancelled_and_one_that_never_was_is_not_found(call: Caller) -> None:
    path = "/upload" + begin(call)
    assert call("DELETE", path).status == 499
    assert call("PUT", path, b"late").status == 404
    assert call("PUT", path.replace("upload-1", "upload-99"), b"never").status == 404


# -- listings ----------------------------------------------------------------------------------------------------------


def test_a_listing_comes_in_pages(call: Caller) -> None:
    names = [f"n/{number:02}" for number in range(7)]
    for name in reversed(names):
        put(call, name=name)
    found, sizes, token = [], [], ""
    while True:
        page = call("GET", "/storage/v1/b/lab/o", query={"maxResults": 3, "prefix": "n/", "pageToken": token}).json
        items = page.get("items", [])
        assert isinstance(items, list)
        sizes.append(len(items))
        found += [it["name"] for it in items]
        if "nextPageToken" not in page:
            break
        token = str(page["nextPageToken"])
    assert (found, sizes) == (names, [3, 3, 1])


def test_a_delimiter_folds_what_is_below(call: Caller) -> None:
    for name in ("a", "b/1", "b/2", "c/d/1", "e"):
        put(call, name=name)

    def listing(**query: object) -> tuple[list[str], object]:
        page = call("GET", "/storage/v1/b/lab/o", query=query).json
        items = page.get("items", [])
        assert isinstance(items, list)
        return [it["name"] for it in items], page.get("prefixes")

    assert listing(delimiter="/") == (["a", "e"], ["b/", "c/"])
    assert listing(delimiter="/", prefix="b/") == (["b/1", "b/2"], None)
    assert listing(startOffset="b/2", endOffset="e") == (["b/2", "c/d/1"], None)
    page = call("GET", "/storage/v1/b/lab/o", query={"delimiter": "/", "maxResults": 2}).json
    assert page["prefixes"] == ["b/"]
    rest = {"delimiter": "/", "maxResults": 2, "pageToken": page["nextPageToken"]}
    assert call("GET", "/storage/v1/b/lab/o", query=rest).json["prefixes"] == ["c/"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (None, {"a": 1, "items": [{"n": 1, "m": {"x": 1, "y": 2}}]}),
        ("*", {"a": 1, "items": [{"n": 1, "m": {"x": 1, "y": 2}}]}),
        ("a", {"a": 1}),
        ("a,none", {"a": 1}),
        ("items(n)", {"items": [{"n": 1}]}),
        ("items/n,a", {"items": [{"n": 1}], "a": 1}),
        ("items(n,m(x)),a", {"items": [{"n": 1, "m": {"x": 1}}], "a": 1}),
        ("items/m/y", {"items": [{"m": {"y": 2}}]}),
        ("items/n,items/m/x", {"items": [{"n": 1, "m": {"x": 1}}]}),
    ],
)
def test_fields_select_parts(fields: str | None, expected: object) -> None:
    assert select_fields({"a": 1, "items": [{"n": 1, "m": {"x": 1, "y": 2}}]}, fields) == expected


# -- buckets, permissions ----------------------------------------------------------------------------------------------


def test_buckets_are_made_listed_and_deleted(call: Caller) -> None:
    assert call("GET", "/storage/v1/b/new").status == 404
    assert call("POST", "/storage/v1/b", json.dumps({"name": "new"}), {"project": "p"}).json["name"] == "new"
    assert call("POST", "/storage/v1/b", json.dumps({"name": "new"})).status == 409
    items = call("GET", "/storage/v1/b", query={"fields": "items(name)"}).json["items"]
    assert items == [{"name": "lab"}, {"name": "new"}]
    assert call("DELETE", "/storage/v1/b/new").status == 204
    put(call)
    assert call("DELETE", "/storage/v1/b/lab").status == 409


def test_a_token_is_asked_for_where_tokens_are_set(server: GcsServer, call: Caller) -> None:
    put(call)
    server.tokens = {"good"}
    reply = call("GET", OBJECT)
    assert (reply.status, reply.reason) == (401, "required")
    reply = call("GET", OBJECT, authorization="Bearer bad")
    assert (reply.status, reply.reason) == (401, "authError")
    assert call("GET", OBJECT, authorization="Bearer good").status == 200


def test_permissions_can_be_denied_and_tested(server: GcsServer, call: Caller) -> None:
    put(call)
    server.denied_permissions = {"storage.objects.delete"}
    reply = call("DELETE", OBJECT)
    assert (reply.status, reply.reason) == (403, "forbidden")
    asked = "permissions=storage.objects.get&permissions=storage.objects.delete"
    reply = call("GET", f"/storage/v1/b/lab/iam/testPermissions?{asked}")
    assert reply.json["permissions"] == ["storage.objects.get"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/storage/v2/b/lab", 404),
        ("GET", "/storage/v1/b/lab/o/", 404),
        ("PATCH", "/storage/v1/b/lab", 405),
        ("DELETE", "/storage/v1/b", 405),
        ("POST", OBJECT, 405),
        ("POST", UPLOAD + "?uploadType=media", 400),
        ("POST", UPLOAD + "?name=x", 400),
        ("POST", UPLOAD + "?uploadType=resumable&name=x", 400),
    ],
)
def test_what_there_is_not_is_refused_and_logged_and_ends_nothing(
    server: GcsServer, call: Caller, method: str, path: str, status: int
) -> None:
    assert call(method, path, b"{" if method == "POST" else None).status == status
    assert [it.status for it in server.log] == [status]
    assert put(call).status == 200
    assert server.connections_made == 1


# -- the server itself -------------------------------------------------------------------------------------------------


def test_one_write_a_second_to_a_name_where_that_is_the_limit(server: GcsServer, call: Caller) -> None:
    now = 1_700_000_000.0
    server.service.clock = lambda: now
    server.service.writes_a_second = 1
    assert put(call).status == 200
    reply = put(call)
    assert (reply.status, reply.reason) == (429, "rateLimitExceeded")
    assert put(call, name="other").status == 200
    now += 1.01
    assert put(call).status == 200


def test_a_fault_hits_the_operation_and_name_it_was_meant_for(server: GcsServer, call: Caller) -> None:
    put(call)
    server.forget()
    server.inject(Refuse(500), operation="get_media", name="/b", times=2)
    assert put(call).status == 200
    assert call("GET", OBJECT).status == 200
    assert call("GET", "/storage/v1/b/lab/o/other", query={"alt": "media"}).status == 404
    statuses = [call("GET", OBJECT, query={"alt": "media"}).status for _ in range(3)]
    assert statuses == [500, 500, 200]
    assert server.requests == {"put": 1, "get_metadata": 1, "get_media": 4}


def test_a_lost_answer_is_lost_after_the_deed(server: GcsServer, call: Caller) -> None:
    server.inject(LoseAnswer(), operation="put")
    with pytest.raises(http.client.RemoteDisconnected):
        put(call)
    assert server.data("lab", "a/b") == b"0123456789"
    assert [(it.operation, it.status, it.bytes_in, it.bytes_out) for it in server.log] == [("put", 200, 10, 0)]


def test_by_hand_it_prints_its_host_counts_and_ends_when_told() -> None:
    command = [sys.executable, "-m", "synccore.testing.gcs_server", "--bucket=one", "--bucket=two", "--latency-ms=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        variable, _, url = process.stdout.readline().strip().partition("=")
        assert variable == "export STORAGE_EMULATOR_HOST"
        caller = Caller(url.removeprefix("http://"))
        with closing(caller.connection):
            assert caller("GET", "/storage/v1/b/two/o").status == 200
            assert caller("GET", "/_kit/log").json["requests"] == {"list": 1}
            assert caller("POST", "/_kit/reset").json["requests"] == {}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_a_stopped_server_leaves_no_connection(server: GcsServer, call: Caller) -> None:
    put(call)
    server.stop()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        put(call)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.host.split(":"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("instance/service-accounts/default/token", {}, 403),
        ("instance/service-accounts/default/token", {"Metadata-Flavor": "Google"}, 200),
        ("instance/service-accounts/default/token", {"Metadata-Flavor": "Google", "X-Forwarded-For": "1.2.3.4"}, 403),
        ("instance/service-accounts/default/email", {"Metadata-Flavor": "Google"}, 200),
        ("instance/service-accounts/eve/token", {"Metadata-Flavor": "Google"}, 404),
        ("project/project-id", {"Metadata-Flavor": "Google"}, 200),
        ("nothing", {"Metadata-Flavor": "Google"}, 404),
    ],
)
def test_a_metadata_server_answers_only_who_knows_its_header(path: str, headers: dict[str, str], status: int) -> None:
    with MetadataServer() as metadata, closing(http.client.HTTPConnection(metadata.host)) as connection:
        connection.request("GET", f"/computeMetadata/v1/{path}", headers=headers)
        with connection.getresponse() as response:
            assert response.status == status
            assert response.headers["Metadata-Flavor"] == "Google"


# -- Google's own client -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 1000, 9 << 20])
def test_googles_client_puts_and_gets_what_it_put(client: storage.Client, size_bytes: int) -> None:
    data = os.urandom(size_bytes)
    client.bucket("lab").blob("a/b c").upload_from_string(data, if_generation_match=0)
    there = client.bucket("lab").get_blob("a/b c")
    assert there.size == size_bytes
    assert hashlib.sha256(there.download_as_bytes()).digest() == hashlib.sha256(data).digest()
    with pytest.raises(exceptions.PreconditionFailed):
        client.bucket("lab").blob("a/b c").upload_from_string(b"", if_generation_match=0)
    with pytest.raises(exceptions.NotModified):
        there.download_as_bytes(if_generation_not_match=there.generation)


def test_googles_client_lists_pages_patches_and_deletes(server: GcsServer, client: storage.Client) -> None:
    bucket = client.create_bucket("other")
    for name in ("a/1", "a/2", "b"):
        bucket.blob(name).upload_from_string(name)
    assert [it.name for it in client.list_blobs("other", prefix="a/", page_size=1)] == ["a/1", "a/2"]
    one = bucket.get_blob("b")
    one.metadata = {"colour": "blue"}
    one.patch()
    assert bucket.get_blob("b").metadata == {"colour": "blue"}
    one.delete(if_generation_match=one.generation)
    assert not bucket.blob("b").exists()
    with pytest.raises(exceptions.NotFound):
        bucket.blob("b").download_as_bytes()
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]


def test_googles_client_writes_in_parts_of_a_size_it_does_not_know(client: storage.Client) -> None:
    data = os.urandom(1_000_000)
    with client.bucket("lab").blob("a/b").open("wb", chunk_size=262_144) as file:
        file.write(data[:600_000])
        file.write(data[600_000:])
    assert client.bucket("lab").blob("a/b").download_as_bytes(start=10, end=19) == data[10:20]
    assert quote("a/b", safe="") in client.bucket("lab").blob("a/b").path


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("503", (Refuse(503), None, 1)),
        ("429:put", (Refuse(429), "put", 1)),
        ("503:put:2", (Refuse(503), "put", 2)),
        ("reset:3", (Reset(), None, 3)),
        ("lose-answer:put:always", (LoseAnswer(), "put", sys.maxsize)),
        ("lose-answer=503", (LoseAnswer(503), None, 1)),
        ("truncate=100:get_media", (Truncate(100), "get_media", 1)),
        ("stall", (Stall(), None, 1)),
        ("damage:get_media", (Damage(), "get_media", 1)),
        ("delay=0.5:put_begin", (Delay(0.5), "put_begin", 1)),
        ("redirect", (Redirect("http://127.0.0.1:1/"), None, 1)),
    ],
)
def test_a_fault_can_be_written_down(text: str, meant: tuple[Fault, str | None, int]) -> None:
    assert planned(text) == meant


@pytest.mark.parametrize("text", ["", "50", "explode", "503:put:twice", "503:2:put", "stall=x"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"fault|invalid literal"):
        planned(text)


def test_faults_by_hand_are_those_of_the_kit() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "synccore.testing.gcs_server", "--fault", "503:list:2", "--fault", "nonsense"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    with subprocess.Popen(command[:-2], env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().partition("=")[2].strip()
        statuses = []
        for _ in range(3):
            connection = http.client.HTTPConnection(url.removeprefix("http://"))
            connection.request("GET", "/storage/v1/b/lab/o")
            statuses.append(connection.getresponse().status)
            connection.close()
        server.terminate()
    assert statuses == [503, 503, 200]


def test_links_name_the_server_as_the_client_knows_it(call: Caller) -> None:
    reply = call("POST", UPLOAD, b"", {"uploadType": "resumable", "name": "a/b"}, host="storage.example.com")
    assert reply.headers["location"].startswith("http://storage.example.com/upload/")
    call("POST", UPLOAD, b"one", {"uploadType": "media", "name": "a/b"})
    link = call("GET", OBJECT, host="storage.example.com").json["mediaLink"]
    assert str(link).startswith("http://storage.example.com/download/storage/v1/b/lab/o/a%2Fb?")


def test_a_listing_follows_what_is_stored(call: Caller) -> None:
    def names() -> list[object]:
        return [it["name"] for it in call("GET", "/storage/v1/b/lab/o").json.get("items", [])]  # type: ignore[attr-defined]

    for name in ("b", "ä", "a"):
        call("POST", UPLOAD, b"one", {"uploadType": "media", "name": name})
    assert names() == ["a", "b", "ä"]
    call("DELETE", "/storage/v1/b/lab/o/b")
    assert names() == ["a", "ä"]
    call("POST", UPLOAD, b"one", {"uploadType": "media", "name": "c"})
    assert names() == ["a", "c", "ä"]


def test_a_copy_has_the_bytes_and_the_metadata_that_came_with_the_request(call: Caller) -> None:
    call("POST", UPLOAD, b"one", {"uploadType": "media", "name": "a/b"}, content_type="text/plain")
    body = json.dumps({"metadata": {"mtime": "7"}, "contentType": "text/csv"})
    same = call("POST", f"{OBJECT}/copyTo/b/lab/o/a%2Fb", body).json
    assert (same["contentType"], same["metadata"]) == ("text/csv", {"mtime": "7"})
    done = call("POST", f"{OBJECT}/rewriteTo/b/lab/o/c").json
    assert done["done"] is True
    assert call("GET", "/storage/v1/b/lab/o/c", query={"alt": "media"}).body == b"one"
    assert call("GET", "/storage/v1/b/lab/o/c").json["contentType"] == "text/csv"
    assert call("POST", "/storage/v1/b/lab/o/none/copyTo/b/lab/o/c").reason == "notFound"


def test_an_object_can_be_read_at_its_bucket_and_name(call: Caller) -> None:
    put(call, b"0123456789")
    assert call("GET", "/lab/a/b").body == b"0123456789"
    assert call("GET", "/lab/a/b", range="bytes=2-3").body == b"23"
    assert call("GET", "/lab/a/none").status == 404


def test_a_client_that_goes_away_within_a_chunked_body_leaves_nothing_behind(server: GcsServer) -> None:
    head = f"POST {UPLOAD}?uploadType=media&name=a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((server.host.partition(":")[0], int(server.host.partition(":")[2]))) as connection:
        connection.sendall(head.encode() + b"3\r\none\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert server.data("lab", "a") is None
