"""What both ways of reaching Google Cloud Storage do beside the contract: how many requests, and what of failures."""

import os
import socket
from collections.abc import Callable

import pytest

from synccore.backends.base import Backend, Found, Unchanged, Version
from synccore.backends.retrying import RetryingBackend
from synccore.errors import BackendError, ConflictError, ErrorKind, InvalidInputError, NotFoundError, UnavailableError
from synccore.keys import Key
from synccore.testing.gcs_faults import Damage, LoseAnswer, Redirect, Refuse, Reset, Stall, Truncate
from synccore.testing.gcs_server import GcsServer

HEAD = Key("ada/head")
OpenBackend = Callable[..., Backend]


def store(server: GcsServer, data: bytes) -> Version:
    return Version(str(server.service.insert("lab", "p/ada/head", data, {}, {}).generation))


# -- how many requests -------------------------------------------------------------------------------------------------


def test_a_conditional_get_is_one_request_whatever_its_answer(server: GcsServer, backend: Backend) -> None:
    version = store(server, b"one")
    assert backend.get(HEAD, unless=version) == Unchanged()
    assert [(it.operation, it.status, it.bytes_out) for it in server.log] == [("get_media", 304, 0)]
    server.forget()
    assert backend.get(HEAD, unless=Version("1")) == Found(b"one", version)
    with pytest.raises(NotFoundError):
        backend.get(Key("ada/none"), unless=version)
    assert [(it.operation, it.status) for it in server.log] == [("get_media", 200), ("get_media", 404)]


def test_a_get_and_a_range_are_one_request_each(server: GcsServer, backend: Backend) -> None:
    store(server, os.urandom(20 << 20))
    backend.get(HEAD)
    assert server.requests == {"get_media": 1}
    backend.get_range(HEAD, 5 << 20, 1000)
    assert server.requests == {"get_media": 2}
    assert server.log[-1].bytes_out == 1000


@pytest.mark.parametrize("size_bytes", [0, 100, 9 << 20, 33 << 20])
def test_a_put_is_one_request_of_about_its_size(server: GcsServer, backend: Backend, size_bytes: int) -> None:
    version = backend.put(HEAD, bytes(size_bytes), replacing=None)
    assert server.requests == {"put": 1}
    assert size_bytes < server.log[0].bytes_in < size_bytes + 500
    server.forget()
    backend.put(HEAD, b"two", replacing=version)
    assert server.requests == {"put": 1}


def test_a_conflict_is_one_request(server: GcsServer, backend: Backend) -> None:
    store(server, b"theirs")
    for replacing in (None, Version("1")):
        with pytest.raises(ConflictError):
            backend.put(HEAD, b"ours", replacing=replacing)
    assert [(it.operation, it.status) for it in server.log] == [("put", 412)] * 2


def test_a_delete_is_one_request_and_a_listing_one_for_each_thousand(server: GcsServer, backend: Backend) -> None:
    version = store(server, b"one")
    backend.delete(HEAD, expecting=version)
    assert server.requests == {"delete": 1}
    for number in range(1001):
        server.service.insert("lab", f"p/ada/{number:04}", b"", {}, {})
    assert len(list(backend.keys("ada/"))) == 1001
    assert server.requests == {"delete": 1, "list": 2}


def test_the_clock_is_one_request_and_the_services(server: GcsServer, backend: Backend) -> None:
    backend.now_seconds()
    assert server.requests == {"list": 1}
    assert server.log[0].bytes_out < 100


def test_nothing_is_asked_before_the_first_call(server: GcsServer, open_gcs: OpenBackend) -> None:
    open_gcs()
    assert (server.connections_made, server.requests) == (0, {})


def test_one_connection_serves_one_caller(server: GcsServer, backend: Backend) -> None:
    version = store(server, b"one")
    for _ in range(5):
        backend.get(HEAD, unless=version)
    backend.put(HEAD, b"two", replacing=version)
    assert server.connections_made == 1


def test_a_connection_that_the_service_has_closed_is_made_anew(server: GcsServer, backend: Backend) -> None:
    version = store(server, b"one")
    backend.get(HEAD)
    server.break_connections()
    assert backend.get(HEAD, unless=version) == Unchanged()
    server.break_connections()
    backend.put(HEAD, b"two", replacing=version)
    assert server.requests == {"get_media": 2, "put": 1}


def test_an_object_is_stored_so_that_no_cache_keeps_it(server: GcsServer, backend: Backend) -> None:
    backend.put(HEAD, b"one", replacing=None)
    assert server.service.buckets["lab"]["p/ada/head"].settable["cacheControl"] == "no-store"


@pytest.mark.parametrize("key", ["a?b", "a#b?c=d&e", "%2F/%", "a//b", "/a", "a/", "..", "a\\b", "x" * 900, "\u2028"])
def test_a_key_may_be_anything_that_the_service_takes(server: GcsServer, backend: Backend, key: str) -> None:
    version = backend.put(Key(key), b"one", replacing=None)
    assert server.data("lab", f"p/{key}") == b"one"
    assert backend.get(Key(key)) == Found(b"one", version)
    assert [it.key for it in backend.keys("")] == [key]
    backend.delete(Key(key), expecting=version)
    assert server.data("lab", f"p/{key}") is None


# -- what of failures --------------------------------------------------------------------------------------------------


def test_a_put_whose_answer_was_lost_is_in_doubt_and_sent_once(server: GcsServer, backend: Backend) -> None:
    version = store(server, b"one")
    backend.get(HEAD)  # so that the put finds a connection
    server.forget()
    server.inject(LoseAnswer(), operation="put")
    with pytest.raises(UnavailableError) as caught:
        backend.put(HEAD, b"two", replacing=version)
    assert caught.value.facts["ambiguous"] is True
    assert server.requests == {"put": 1}
    assert server.data("lab", "p/ada/head") == b"two"


@pytest.mark.parametrize("fault", [Reset(), LoseAnswer(status=503), LoseAnswer(status=500), Refuse(408)])
def test_a_put_that_may_have_been_done_is_in_doubt(server: GcsServer, backend: Backend, fault: Refuse) -> None:
    server.inject(fault, operation="put")
    with pytest.raises(UnavailableError) as caught:
        backend.put(HEAD, b"one", replacing=None)
    assert caught.value.facts["ambiguous"] is True
    assert "gs://lab/p/ada/head" in caught.value.message
    assert server.requests == {"put": 1}


def test_too_many_requests_leave_no_doubt(server: GcsServer, backend: Backend) -> None:
    server.service.writes_a_second = 1
    version = backend.put(HEAD, b"one", replacing=None)
    with pytest.raises(UnavailableError) as caught:
        backend.put(HEAD, b"two", replacing=version)
    assert caught.value.facts["ambiguous"] is False
    assert "exceeded the rate limit" in caught.value.message
    assert server.data("lab", "p/ada/head") == b"one"


def test_a_head_that_is_replaced_too_often_is_replaced_a_little_later(server: GcsServer, backend: Backend) -> None:
    now = 1_700_000_000.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    server.service.clock = lambda: now
    server.service.writes_a_second = 1
    patient = RetryingBackend(backend, deadline_seconds=10, clock=lambda: now, sleep=sleep)
    version = patient.put(HEAD, b"one", replacing=None)
    patient.put(HEAD, b"two", replacing=version)
    assert server.data("lab", "p/ada/head") == b"two"
    assert now >= 1_700_000_001


@pytest.mark.parametrize("fault", [Refuse(503), Refuse(429), Refuse(500), Refuse(504), Reset(), Damage()])
@pytest.mark.parametrize("times", [1, 2])
def test_a_get_without_a_good_answer_may_work_later(
    server: GcsServer, backend: Backend, fault: Refuse, times: int
) -> None:
    store(server, b"one")
    server.inject(fault, times=times)
    for _ in range(times):
        with pytest.raises(UnavailableError) as caught:
            backend.get(HEAD)
        assert caught.value.facts["ambiguous"] is False
        assert "gs://lab/p/ada/head" in caught.value.message
    assert server.requests == {"get_media": times}
    assert isinstance(backend.get(HEAD), Found)


@pytest.mark.parametrize("after_bytes", [0, 1, 50_000, 99_999])
def test_an_object_that_breaks_off_is_no_object(server: GcsServer, backend: Backend, after_bytes: int) -> None:
    store(server, b"1" * 100_000)
    server.inject(Truncate(after_bytes), times=2)
    for get in (lambda: backend.get(HEAD), lambda: backend.get_range(HEAD, 0, 100_000)):
        with pytest.raises(UnavailableError) as caught:
            get()
        assert caught.value.facts["ambiguous"] is False


@pytest.mark.parametrize("after_bytes", [0, 50_000])
def test_a_service_that_falls_silent_is_left_after_the_deadline(
    server: GcsServer, open_gcs: OpenBackend, after_bytes: int
) -> None:
    store(server, b"1" * 100_000)
    server.inject(Stall(after_bytes))
    with pytest.raises(UnavailableError):
        open_gcs(deadline_seconds=0.2).get(HEAD)


def test_a_put_into_silence_is_in_doubt(server: GcsServer, open_gcs: OpenBackend) -> None:
    server.inject(Stall(), operation="put")
    with pytest.raises(UnavailableError) as caught:
        open_gcs(deadline_seconds=0.2).put(HEAD, b"one", replacing=None)
    assert caught.value.facts["ambiguous"] is True


def test_where_nobody_listens_a_put_is_in_no_doubt(open_gcs: OpenBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    backend = open_gcs(emulator_host=f"127.0.0.1:{port}")
    with pytest.raises(UnavailableError) as caught:
        backend.put(HEAD, b"one", replacing=None)
    assert caught.value.facts["ambiguous"] is False
    assert "gs://lab/p/ada/head" in caught.value.message
    with pytest.raises(UnavailableError):
        backend.get(HEAD)


def test_a_refusal_names_bucket_key_and_permission(server: GcsServer, backend: Backend) -> None:
    store(server, b"one")
    server.forbidden_prefixes.add("p/ada/")
    acts: list[tuple[str, Callable[[], object]]] = [
        ("storage.objects.get", lambda: backend.get(HEAD)),
        ("storage.objects.get", lambda: backend.get_range(HEAD, 0, 1)),
        ("storage.objects.create", lambda: backend.put(HEAD, b"", replacing=None)),
        ("storage.objects.delete", lambda: backend.delete(HEAD, expecting=Version("1"))),
    ]
    for permission, act in acts:
        with pytest.raises(BackendError) as caught:
            act()
        assert caught.value.kind is ErrorKind.REFUSED
        assert permission in caught.value.message
        assert "gs://lab/p/ada/head" in caught.value.message
    assert len(server.log) == 4


def test_a_refused_listing_names_the_store(server: GcsServer, backend: Backend) -> None:
    server.denied_permissions.add("storage.objects.list")
    for act in (lambda: list(backend.keys("")), backend.now_seconds):
        with pytest.raises(BackendError) as caught:
            act()
        assert caught.value.kind is ErrorKind.REFUSED
        assert "storage.objects.list" in caught.value.message
        assert "gs://lab/p" in caught.value.message


def test_a_service_that_wants_credentials_refuses_who_has_none(server: GcsServer, backend: Backend) -> None:
    server.tokens = {"secret"}
    for act in (lambda: backend.get(HEAD), lambda: backend.put(HEAD, b"", replacing=None)):
        with pytest.raises(BackendError) as caught:
            act()
        assert caught.value.kind is ErrorKind.REFUSED
        assert "Anonymous caller" in caught.value.message


def test_a_bucket_that_is_not_there_is_named(server: GcsServer, backend: Backend) -> None:
    server.service.delete_bucket("lab")
    for act in (lambda: backend.get(HEAD), lambda: backend.put(HEAD, b"", replacing=None)):
        with pytest.raises(NotFoundError) as caught:
            act()
        assert caught.value.kind is ErrorKind.NO_BUCKET
        assert "no bucket lab" in caught.value.message


def test_a_redirect_is_followed(server: GcsServer, backend: Backend) -> None:
    version = store(server, b"one")
    elsewhere = f"{server.url}/storage/v1/b/lab/o/p%2Fada%2Fhead?alt=media"
    server.inject(Redirect(elsewhere), times=2)
    assert backend.get(HEAD) == Found(b"one", version)
    assert [it.status for it in server.log] == [307, 307, 200]


def test_an_answer_that_is_none_of_the_services_is_not_believed(server: GcsServer, backend: Backend) -> None:
    server.inject(Refuse(418, "teapot", "short and stout"))
    with pytest.raises(BackendError) as caught:
        backend.get(HEAD)
    assert caught.value.kind is ErrorKind.BACKEND
    assert "418 (short and stout)" in caught.value.message


def test_a_version_of_another_kind_of_storage_is_the_callers_mistake(backend: Backend) -> None:
    for version in (Version("0"), Version("00"), Version(""), Version("abc")):
        for act in (
            lambda version=version: backend.get(HEAD, unless=version),
            lambda version=version: backend.put(HEAD, b"", replacing=version),
            lambda version=version: backend.delete(HEAD, expecting=version),
        ):
            with pytest.raises(InvalidInputError):
                act()
