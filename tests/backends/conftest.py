from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from synccore.backends.base import Backend
from synccore.backends.gcs import GcsBackend
from synccore.backends.gcs_light import LightGcsBackend
from synccore.backends.opening import Access
from synccore.testing.gcs_server import GcsServer

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
                backend = LightGcsBackend("lab", "p", chosen, serves=lambda _: True)
            stack.callback(backend.close)
            return backend

        yield open_one


@pytest.fixture
def backend(open_gcs: OpenBackend) -> Backend:
    return open_gcs()
