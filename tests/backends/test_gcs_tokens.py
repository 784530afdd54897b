"""Where access tokens come from, against a real metadata server and a real token endpoint over HTTP."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from synccore.backends.base import Backend, Unchanged, Version
from synccore.backends.gcs import GcsBackend
from synccore.backends.gcs_light import LightGcsBackend
from synccore.backends.gcs_tokens import SCOPES, Tokens, _load_credentials_file
from synccore.backends.opening import Access
from synccore.errors import BackendError, ErrorKind, UnavailableError
from synccore.keys import Key
from synccore.testing.gcs_server import GcsServer
from synccore.testing.metadata_server import MetadataServer
from synccore.testing.token_endpoint import TokenEndpoint

HEAD = Key("ada/head")
TOKEN_PATH = "computeMetadata/v1/instance/service-accounts/default/token"


class Time:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def metadata() -> Iterator[MetadataServer]:
    with MetadataServer(token="token-1") as server:
        yield server


def cache_of(access: Access) -> Path:
    assert access.token_cache is not None
    return access.token_cache


def store(server: GcsServer, data: bytes) -> Version:
    return Version(str(server.service.insert("lab", "p/ada/head", data, {}, {}).generation))


# -- the metadata server -----------------------------------------------------------------------------------------------


def test_the_metadata_server_is_asked_once_for_the_life_of_a_token(metadata: MetadataServer) -> None:
    time = Time()
    tokens = Tokens(Access(metadata_host=metadata.host), clock=time)
    assert [tokens.current().text for _ in range(3)] == ["token-1"] * 3
    metadata.token = "token-2"
    time.now += 3599 - 61
    assert tokens.current().text == "token-1"
    time.now += 2
    assert tokens.current().text == "token-2"
    assert metadata.requests == {TOKEN_PATH: 2}


def test_a_machine_without_a_service_account_has_no_credentials(metadata: MetadataServer) -> None:
    metadata.token = None
    with pytest.raises(BackendError) as caught:
        Tokens(Access(metadata_host=metadata.host)).current()
    assert caught.value.kind is ErrorKind.NO_CREDENTIALS
    assert "no service account" in caught.value.message


def test_a_metadata_server_that_does_not_answer_may_do_so_later() -> None:
    with pytest.raises(UnavailableError) as caught:
        Tokens(Access(metadata_host="127.0.0.1:1")).current()
    assert "metadata server 127.0.0.1:1" in caught.value.message


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "expected an answer of HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "98 bytes early"),
        (b"", "closed without an answer"),
        (b"HTTP/1.0 500 Oh\r\n\r\n", "answered 500"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"access_token": "a", "expires_in": "soon"}', "with no token"),
    ],
)
def test_a_metadata_server_that_says_something_else_may_do_better_later(said: bytes, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                while not connection.recv(1 << 16).endswith(b"\r\n\r\n"):
                    pass
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnavailableError, match=words):
            Tokens(Access(metadata_host=f"127.0.0.1:{listener.getsockname()[1]}")).current()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1:port", "[::1", "\u2028"])
def test_a_metadata_server_whose_name_makes_no_sense_does_not_answer(host: str) -> None:
    with pytest.raises(UnavailableError, match="did not answer"):
        Tokens(Access(metadata_host=host)).current()


def test_a_token_that_would_add_a_header_of_its_own_is_no_token(metadata: MetadataServer) -> None:
    metadata.token = "token-1\r\nX-Goog-User-Project: another"
    with pytest.raises(UnavailableError, match="with no token") as caught:
        Tokens(Access(metadata_host=metadata.host)).current()
    assert "token-1" not in caught.value.message


@pytest.mark.parametrize(
    ("product", "asks"),
    [("Google Compute Engine\n", True), ("Google\n", True), ("ThinkPad X1\n", False), (None, False)],
)
def test_a_metadata_server_is_looked_for_only_on_machines_of_googles(
    tmp_path: Path, product: str | None, *, asks: bool
) -> None:
    file = tmp_path / "product_name"
    if product is not None:
        file.write_text(product)
    assert Tokens(Access(), product_name=file).asks_metadata() is asks


def test_credentials_of_the_user_come_before_the_machines(
    metadata: MetadataServer, endpoint: TokenEndpoint, credentials_file: Path
) -> None:
    tokens = Tokens(Access(metadata_host=metadata.host, credentials_file=credentials_file))
    assert tokens.current().text == "issued-1"
    assert metadata.requests == {}


@pytest.mark.parametrize(("wide", "asked"), [(False, "devstorage.read_write"), (True, "cloud-platform")])
def test_a_service_account_asks_for_storage_alone_unless_it_is_to_ask_for_all(
    endpoint: TokenEndpoint, credentials_file: Path, *, wide: bool, asked: str
) -> None:
    Tokens(Access(credentials_file=credentials_file), wide=wide).current()
    (claims,) = endpoint.claims
    assert f"https://www.googleapis.com/auth/{asked}" in str(claims["scope"]).split()
    assert ("devstorage" in str(claims["scope"])) is not wide


@pytest.mark.parametrize(("wide", "scopes"), [(False, list(SCOPES)), (True, None)])
def test_a_persons_wide_credentials_ask_for_nothing_by_name(
    tmp_path: Path, *, wide: bool, scopes: list[str] | None
) -> None:
    file = tmp_path / "user.json"
    content = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
    file.write_text(json.dumps(content))
    loaded = _load_credentials_file(file, wide=wide)
    assert (loaded.scopes and list(loaded.scopes)) == scopes


@pytest.mark.parametrize("kind", [GcsBackend, LightGcsBackend])
def test_the_machines_token_opens_the_store_by_either_way(
    server: GcsServer, metadata: MetadataServer, kind: type[Backend]
) -> None:
    version = store(server, b"one")
    server.tokens = {"token-1"}
    access = Access(endpoint=server.url, metadata_host=metadata.host)
    with closing(kind("lab", "p", access)) as backend:  # type: ignore[call-arg]
        for _ in range(3):
            assert backend.get(HEAD, unless=version) == Unchanged()
        assert [it.key for it in backend.keys("")] == [HEAD]
    assert server.requests == {"get_media": 3, "list": 1}
    assert metadata.requests[TOKEN_PATH] <= 2


@pytest.mark.parametrize("kind", [GcsBackend, LightGcsBackend])
def test_a_token_that_the_service_takes_no_more_is_renewed_once(
    server: GcsServer, metadata: MetadataServer, kind: type[Backend]
) -> None:
    version = store(server, b"one")
    server.tokens = {"token-1"}
    access = Access(endpoint=server.url, metadata_host=metadata.host)
    with closing(kind("lab", "p", access)) as backend:  # type: ignore[call-arg]
        backend.get(HEAD)
        server.tokens, metadata.token = {"token-2"}, "token-2"
        server.forget()
        backend.put(HEAD, b"two", replacing=version)
        assert [(it.operation, it.status) for it in server.log] == [("put", 401), ("put", 200)]
        assert metadata.requests == {TOKEN_PATH: 2}


@pytest.mark.parametrize("kind", [GcsBackend, LightGcsBackend])
def test_a_service_that_takes_no_token_refuses(
    server: GcsServer, metadata: MetadataServer, kind: type[Backend]
) -> None:
    server.tokens = {"another"}
    access = Access(endpoint=server.url, metadata_host=metadata.host)
    with closing(kind("lab", "p", access)) as backend:  # type: ignore[call-arg]
        with pytest.raises(BackendError) as caught:
            backend.get(HEAD)
        assert caught.value.kind is ErrorKind.REFUSED
        assert "Invalid Credentials" in caught.value.message


# -- google-auth and the private file ----------------------------------------------------------------------------------


def test_a_users_token_is_made_once_and_kept_for_the_next_process(user: Access, endpoint: TokenEndpoint) -> None:
    assert Tokens(user).current().text == "issued-1"
    program = f"""
import sys
from pathlib import Path
from synccore.backends.gcs_tokens import SCOPES, Tokens, _load_credentials_file
from synccore.backends.opening import Access
access = Access(credentials_file=Path({str(user.credentials_file)!r}), token_cache=Path({str(user.token_cache)!r}))
print(Tokens(access).current().text, [name for name in sys.modules if name.startswith("google")])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "issued-1 []\n"
    assert endpoint.issued == 1


def test_the_file_holds_no_secret_that_lasts(user: Access, private_key: str) -> None:
    Tokens(user).current()
    cache = cache_of(user)
    assert set(json.loads(cache.read_text())) == {"format", "identity", "access_token", "expires_seconds"}
    assert list(cache.parent.iterdir()) == [cache]


def test_a_kept_token_that_has_ended_is_made_anew_and_kept(user: Access, endpoint: TokenEndpoint) -> None:
    time = Time()
    time.now = datetime.now(timezone.utc).timestamp()
    Tokens(user, clock=time).current()
    time.now += 3600
    assert Tokens(user, clock=time).current().text == "issued-2"
    assert json.loads(cache_of(user).read_text())["access_token"] == "issued-2"


def test_a_token_of_other_credentials_is_not_used(
    user: Access, endpoint: TokenEndpoint, credentials_file: Path
) -> None:
    Tokens(user).current()
    content = json.loads(credentials_file.read_text())
    credentials_file.write_text(json.dumps({**content, "client_email": "eve@project.iam.gserviceaccount.com"}))
    assert Tokens(user).current().text == "issued-2"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 2}', b'{"format": 1, "identity": null, "access_token": "x"}'],
)
def test_a_file_that_makes_no_sense_counts_as_none(user: Access, endpoint: TokenEndpoint, content: bytes) -> None:
    Tokens(user).current()
    cache_of(user).write_bytes(content)
    assert Tokens(user).current().text == "issued-2"
    assert Tokens(user).current().text == "issued-2"


def test_a_token_that_cannot_be_kept_is_used_all_the_same(user: Access, endpoint: TokenEndpoint) -> None:
    cache_of(user).mkdir(parents=True)
    assert Tokens(user).current().text == "issued-1"


@pytest.mark.parametrize("kind", [GcsBackend, LightGcsBackend])
def test_a_kept_token_that_the_service_refuses_is_replaced(
    server: GcsServer, user: Access, endpoint: TokenEndpoint, credentials_file: Path, kind: type[Backend]
) -> None:
    version = store(server, b"one")
    Tokens(user).current()
    server.tokens = {"issued-2", "issued-3"}
    access = Access(endpoint=server.url, credentials_file=credentials_file, token_cache=user.token_cache)
    with closing(kind("lab", "p", access)) as backend:  # type: ignore[call-arg]
        assert backend.get(HEAD, unless=version) == Unchanged()
    assert [it.status for it in server.log] == [401, 304]
    if kind is LightGcsBackend:
        assert json.loads(cache_of(user).read_text())["access_token"] == "issued-2"


def test_googles_libraries_begin_with_the_kept_token(
    server: GcsServer, user: Access, endpoint: TokenEndpoint, credentials_file: Path
) -> None:
    version = store(server, b"one")
    Tokens(user).current()
    server.tokens = {"issued-1"}
    access = Access(endpoint=server.url, credentials_file=credentials_file, token_cache=user.token_cache)
    with closing(GcsBackend("lab", "p", access)) as backend:
        assert backend.get(HEAD, unless=version) == Unchanged()
    assert endpoint.issued == 1


@pytest.mark.parametrize("kind", [GcsBackend, LightGcsBackend])
def test_credentials_that_are_refused_say_how_to_get_others(
    server: GcsServer, user: Access, endpoint: TokenEndpoint, credentials_file: Path, kind: type[Backend]
) -> None:
    endpoint.status = 400
    access = Access(endpoint=server.url, credentials_file=credentials_file)
    with closing(kind("lab", "p", access)) as backend, pytest.raises(BackendError) as caught:  # type: ignore[call-arg]
        backend.get(HEAD)
    assert caught.value.kind is ErrorKind.NO_CREDENTIALS
    assert "Account deleted" in caught.value.message
    assert caught.value.facts["hint"] == "gcloud auth application-default login"
    assert server.log == []


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", '{"type": "authorized_user"}', '{"type": "other"}', '{"type": "service_account"}', "not JSON"],
)
def test_a_credentials_file_that_makes_no_sense_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(content)
    with pytest.raises(BackendError) as caught:
        Tokens(Access(credentials_file=file)).current()
    assert caught.value.kind is ErrorKind.NO_CREDENTIALS
    assert str(file) in caught.value.message


def test_where_there_are_no_credentials_at_all_the_hint_says_how_to_get_some(tmp_path: Path) -> None:
    program = """
from synccore.backends.opening import Access, open_backend
from synccore.errors import BackendError
for key in ("ada/head", "ada/bundles/00"):
    try:
        open_backend("gs://lab/p", access=Access()).get(key)
    except BackendError as error:
        print(error.kind.value, error.facts["hint"], "\\n" in error.message)
"""
    # google-auth would look for a metadata server; the machine that runs the suite may have anything.
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE", "GCE", "CLOUDSDK"))},
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path),
        "NO_GCE_CHECK": "true",
    }
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == ["no-credentials gcloud auth application-default login False"] * 2
