import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from synccore.backends.base import Backend
from synccore.backends.gcs import GcsBackend
from synccore.backends.gcs_light import LightGcsBackend
from synccore.backends.opening import Access
from synccore.testing.gcs_server import GcsServer
from synccore.testing.token_endpoint import TokenEndpoint

collect_ignore = ["test_posix.py"] if sys.platform == "win32" else []

OpenBackend = Callable[..., Backend]


@pytest.fixture
def server() -> Iterator[GcsServer]:
    with GcsServer("lab") as server:
        yield server


@pytest.fixture(params=["google", "light"])
def open_gcs(request: pytest.FixtureRequest, server: GcsServer) -> Iterator[OpenBackend]:
    """Open the store gs://lab/p, by either way of reaching the service; keywords are those of `Access`."""
    with ExitStack() as stack:

        def open_one(**access: object) -> Backend:
            chosen = Access(**{"emulator_host": server.url, "deadline_seconds": 20.0, **access})  # type: ignore[arg-type]
            if request.param == "google":
                backend: Backend = GcsBackend("lab", "p", chosen)
            else:
                backend = LightGcsBackend("lab", "p", chosen)
            stack.callback(backend.close)
            return backend

        yield open_one


@pytest.fixture
def backend(open_gcs: OpenBackend) -> Backend:
    return open_gcs()


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with TokenEndpoint() as server:
        yield server


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def credentials_file(tmp_path: Path, endpoint: TokenEndpoint, private_key: str) -> Path:
    path = tmp_path / "credentials.json"
    content = {
        "type": "service_account",
        "client_email": "ada@project.iam.gserviceaccount.com",
        "private_key": private_key,
        "token_uri": f"{endpoint.url}/token",
    }
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def user(tmp_path: Path, credentials_file: Path) -> Access:
    return Access(credentials_file=credentials_file, token_cache=tmp_path / "private" / "token.json")
