"""What only the light way promises: what it imports, what it leaves to the other, and whom it trusts."""

import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.certificates import looked_up_as, make_certificates
from synccore import headstart, trust
from synccore.backends.base import Unchanged, Version
from synccore.backends.gcs_light import LightGcsBackend
from synccore.backends.opening import Access, open_backend
from synccore.errors import BackendError, ErrorKind, InvalidInputError, UnavailableError
from synccore.keys import Key
from synccore.testing.gcs_faults import LoseAnswer, Redirect, Refuse
from synccore.testing.gcs_server import GcsServer
from synccore.testing.metadata_server import MetadataServer

HEAD = Key("ada/head")
BUNDLE = Key("ada/bundles/00")

# What an everyday call must not bring into a process: Google's libraries and what they stand on, all that is not the standard
# library's and not ours, and of the standard library's what takes long to import and has little use here.
PROGRAM = """
import sys
before = set(sys.modules)
import synccore.backends.opening
from synccore.backends.base import Found, Unchanged
from synccore.backends.opening import Access, open_backend
backend = open_backend({url!r}, access=Access({access}))
backend.warm()
found = backend.get("ada/head")
assert isinstance(found, Found), found
assert isinstance(backend.get("ada/head", unless=found.version), Unchanged)
backend.put("ada/head", found.data + b"!", replacing=found.version)
backend.close()
ours = {{"synccore"}} | set(sys.stdlib_module_names)
print(sorted({{name.split(".")[0] for name in set(sys.modules) - before}} - ours))
heavy = {{"synccore.backends.gcs", "asyncio", "concurrent.futures", "http.client", "email", "encodings.idna", "stringprep"}}
print(sorted(heavy & set(sys.modules)))
"""


def run(program: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def light(server: GcsServer) -> Iterator[LightGcsBackend]:
    with closing(LightGcsBackend("lab", "p", Access(emulator_host=server.url))) as backend:
        yield backend


def store(server: GcsServer, data: bytes) -> Version:
    return Version(str(server.service.insert("lab", "p/ada/head", data, {}, {}).generation))


def imports_google(backend: LightGcsBackend) -> bool:
    return backend._bulk is not None


# -- what it imports ---------------------------------------------------------------------------------------------------


def test_everyday_calls_to_an_emulator_import_the_standard_library_alone(server: GcsServer) -> None:
    store(server, b"one")
    printed = run(PROGRAM.format(url="gs://lab/p", access=f"emulator_host={server.url!r}"))
    assert printed.splitlines() == ["[]", "[]"]
    assert server.data("lab", "p/ada/head") == b"one!"
    assert server.requests == {"get_media": 2, "put": 1}
    assert server.connections_made == 1


def test_everyday_calls_on_a_machine_of_googles_import_the_standard_library_alone(server: GcsServer) -> None:
    store(server, b"one")
    server.tokens = {"token-1"}
    with MetadataServer(token="token-1") as metadata:
        access = f"endpoint={server.url!r}, metadata_host={metadata.host!r}"
        printed = run(PROGRAM.format(url="gs://lab/p", access=access))
        assert metadata.requests == {"computeMetadata/v1/instance/service-accounts/default/token": 1}
    assert printed.splitlines() == ["[]", "[]"]
    assert server.requests == {"get_media": 2, "put": 1}


# -- what it leaves to the other way -----------------------------------------------------------------------------------


def test_only_listing_and_deleting_go_the_other_way(server: GcsServer, light: LightGcsBackend) -> None:
    version = light.put(HEAD, b"one", replacing=None)
    light.get(HEAD)
    light.get(HEAD, unless=version)
    light.put(BUNDLE, b"two", replacing=None)
    assert light.get_range(BUNDLE, 1, 2) == b"wo"
    assert not imports_google(light)
    assert {listed.key for listed in light.keys("")} == {HEAD, BUNDLE}
    assert imports_google(light)
    assert server.requests["put"] == 2


def test_where_there_are_proxies_everything_goes_the_other_way(server: GcsServer) -> None:
    version = store(server, b"one")
    access = Access(emulator_host=server.url, has_proxies=True)
    with closing(LightGcsBackend("lab", "p", access)) as backend:
        backend.warm()
        assert server.connections_made == 0
        assert backend.get(HEAD, unless=version) == Unchanged()
        assert imports_google(backend)


@pytest.mark.parametrize("fault", [Redirect("http://127.0.0.1:1/"), Refuse(401), Refuse(400), Refuse(405)])
def test_what_is_not_understood_goes_the_other_way(
    server: GcsServer, light: LightGcsBackend, fault: Refuse | Redirect
) -> None:
    version = store(server, b"one")
    server.inject(fault)
    assert light.get(HEAD, unless=version) == Unchanged()
    assert imports_google(light)
    server.inject(fault)
    light.put(HEAD, b"two", replacing=version)
    assert server.data("lab", "p/ada/head") == b"two"
    assert server.requests == {"get_media": 2, "put": 2}


def test_a_get_on_a_dead_connection_is_repeated_on_a_new_one(server: GcsServer, light: LightGcsBackend) -> None:
    version = store(server, b"one")
    light.get(HEAD)
    server.inject(LoseAnswer())
    assert light.get(HEAD, unless=version) == Unchanged()
    assert server.requests == {"get_media": 3}


def test_a_connection_that_has_long_been_idle_is_not_trusted(
    server: GcsServer, light: LightGcsBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = store(server, b"one")
    light.get(HEAD)
    monkeypatch.setattr("synccore.backends.connecting._LONGEST_IDLE_SECONDS", 0.0)
    light.put(HEAD, b"two", replacing=version)
    assert server.connections_made == 2


def test_a_connection_over_which_more_came_than_was_asked_for_is_not_used_again() -> None:
    answer = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack:

        def serve() -> None:
            for _ in range(2):
                connection = stack.enter_context(listener.accept()[0])
                while not connection.recv(1 << 16).endswith(b"\r\n\r\n"):
                    pass
                connection.sendall(answer + b"HTTP/1.1 200 OK\r\nx-goog-generation: 9\r\nContent-Length: 1\r\n\r\n!")

        thread = threading.Thread(target=serve)
        thread.start()
        access = Access(emulator_host=f"127.0.0.1:{listener.getsockname()[1]}", deadline_seconds=5)
        with closing(LightGcsBackend("lab", "p", access)) as backend:
            assert [backend.get(HEAD, unless=Version("7")) for _ in range(2)] == [Unchanged()] * 2
        thread.join()


def test_a_warm_backend_has_its_connection(server: GcsServer, light: LightGcsBackend) -> None:
    store(server, b"one")
    light.warm()
    light.warm()
    light.get(HEAD)
    assert server.connections_made == 1


def test_as_many_connections_are_begun_as_calls_are_expected_and_no_more(
    server: GcsServer, light: LightGcsBackend
) -> None:
    store(server, b"one")
    light.warm()
    light.get(HEAD)
    light.warm(2)
    light.warm(2)
    threads = [threading.Thread(target=light.get, args=(HEAD,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.connections_made == 2


def test_warming_where_nobody_listens_leaves_the_error_to_the_first_call() -> None:
    with closing(LightGcsBackend("lab", "p", Access(emulator_host="127.0.0.1:1"))) as backend:
        backend.warm()
        with pytest.raises(UnavailableError) as caught:
            backend.get(HEAD)
        assert caught.value.kind is ErrorKind.UNREACHABLE


def test_a_server_behind_a_path_is_found(server: GcsServer, light: LightGcsBackend) -> None:
    # Google's own endpoints have none; some emulators and gateways do. The path must be kept before the API's.
    with closing(LightGcsBackend("lab", "p", Access(emulator_host=f"{server.url}/download"))) as backend:
        version = store(server, b"one")
        assert backend.get(HEAD, unless=version) == Unchanged()


# -- whom it trusts ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the suite's own")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[GcsServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with GcsServer("lab", tls=context) as server:
        yield server


def test_a_certificate_of_the_systems_store_is_believed(tls_server: GcsServer, certificate: Path) -> None:
    store(tls_server, b"one")
    program = PROGRAM.format(url="gs://lab/p", access=f"emulator_host={tls_server.url!r}")
    printed = run(program, {"SSL_CERT_FILE": str(certificate)})
    assert printed.splitlines() == ["[]", "[]"]
    assert tls_server.data("lab", "p/ada/head") == b"one!"


@pytest.fixture
def directory(certificate: Path, tmp_path: Path) -> Path:
    """Return a directory in which the certificate is looked up by its subject."""
    (tmp_path / looked_up_as("the suite's own")).write_bytes(certificate.read_bytes())
    return tmp_path


def test_a_certificate_of_the_systems_directory_is_looked_up_there(
    tls_server: GcsServer, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tls_server, b"one")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    read: list[object] = []
    monkeypatch.setattr("synccore.trust.trusted_context", lambda: read.append("the whole list"))
    with closing(LightGcsBackend("lab", "p", Access(emulator_host=tls_server.url))) as backend:
        backend.warm()
        assert backend.get(HEAD).data == b"one"
    assert tls_server.connections_made == 1
    assert not read


def test_what_the_systems_directory_does_not_know_is_looked_for_in_its_list(
    tls_server: GcsServer, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tls_server, b"one")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    empty = ssl.create_default_context(capath=str(tmp_path))
    monkeypatch.setattr("synccore.trust._from_directory", lambda: empty)
    with closing(LightGcsBackend("lab", "p", Access(emulator_host=tls_server.url))) as backend:
        assert backend.get(HEAD).data == b"one"
        assert backend.get(HEAD).data == b"one"
    assert tls_server.connections_made == 2


def test_a_connection_that_was_begun_is_secured_like_any_other(
    tls_server: GcsServer, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tls_server, b"one")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    access = Access(emulator_host=tls_server.url, address_cache=tmp_path / "address")
    for connections in (1, 2):
        headstart.begin(str(tmp_path / "address"))
        headstart.secure()
        with closing(LightGcsBackend("lab", "p", access)) as backend:
            assert backend.get(HEAD).data == b"one"
        assert tls_server.connections_made == connections


def test_who_answers_where_the_last_connection_has_led_and_is_somebody_else_is_not_believed(
    tls_server: GcsServer, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tls_server, b"one")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    port = int(tls_server.url.rpartition(":")[2])
    strange = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    strange.load_cert_chain(make_certificates(tmp_path).server)
    with GcsServer("lab", tls=strange) as stranger:
        there = int(stranger.url.rpartition(":")[2])
        begun = headstart._Begun("127.0.0.1", there, "127.0.0.1", is_secured=True)
        begun.about = ("127.0.0.1", port, True)  # the way there is the system's: here it leads to the stranger
        headstart._begun.append(begun)
        headstart.secure()
        with closing(LightGcsBackend("lab", "p", Access(emulator_host=tls_server.url))) as backend:
            assert backend.get(HEAD).data == b"one"
        assert stranger.connections_made == 1
        assert not stranger.requests


def test_who_names_a_file_of_certificates_is_not_served_from_the_directory(
    certificate: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(directory))
    assert trust.Trust().context().cert_store_stats()["x509"] == 0  # none is read before it is needed
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert trust.Trust().context().cert_store_stats()["x509"] == 1


def test_a_warm_connection_is_used_though_the_server_has_sent_its_session_tickets(
    tls_server: GcsServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tls_server, b"one")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with closing(LightGcsBackend("lab", "p", Access(emulator_host=tls_server.url))) as backend:
        backend.warm()
        backend.get(HEAD)
        backend.get(HEAD)
    assert tls_server.connections_made == 1


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_said(tls_server: GcsServer) -> None:
    access = Access(emulator_host=tls_server.url, deadline_seconds=5)
    with closing(open_backend("gs://lab/p", access=access)) as backend:
        for act in (lambda: backend.get(HEAD), lambda: backend.put(HEAD, b"", replacing=None)):
            with pytest.raises(BackendError, match="no certificate that this machine trusts") as caught:
                act()
            assert caught.value.kind is ErrorKind.BACKEND
    assert tls_server.log == []


# -- its URL -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("gs://lab", "gs://lab"),
        ("gs://lab/", "gs://lab"),
        ("gs://lab/a/b", "gs://lab/a/b"),
        ("gs://lab/a/b/", "gs://lab/a/b"),
        ("gs://my_lab.example.org/a", "gs://my_lab.example.org/a"),
    ],
)
def test_a_bucket_url_may_have_a_prefix(url: str, base_url: str) -> None:
    assert open_backend(url, access=Access()).base_url == base_url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gs://", "no bucket's name"),
        ("gs:///prefix", "no bucket's name"),
        ("gs://Lab/prefix", "no bucket's name"),
        ("gs://ab/prefix", "no bucket's name"),
        ("gs://lab?x/prefix", "no bucket's name"),
        ("gs://lab//prefix", "single slashes"),
        ("gs://lab/../other", "single slashes"),
        ("gs://lab/a\nb", "single slashes"),
    ],
)
def test_a_bucket_url_that_cannot_be_opened_is_refused_with_what_was_expected(url: str, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        open_backend(url, access=Access())
    assert words in caught.value.message
    assert "expected file:///some/dir or gs://bucket/prefix" in caught.value.message
