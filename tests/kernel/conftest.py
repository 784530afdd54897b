from collections.abc import Iterator
from pathlib import Path

import pytest

from epic_lab.testing.kernels import Machine
from synccore.backends.opening import Access
from synccore.testing.gcs_server import GcsServer


@pytest.fixture
def server() -> Iterator[GcsServer]:
    with GcsServer("lab") as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine whose store is a folder."""
    return Machine(tmp_path / "lab", base_url=f"file://{tmp_path}/store")


@pytest.fixture
def cloud(tmp_path: Path, server: GcsServer) -> Machine:
    """A machine whose store is a bucket of *server*."""
    return Machine(
        tmp_path / "lab",
        base_url="gs://lab/code",
        access=Access(emulator_host=server.url, deadline_seconds=20),
        variables={"STORAGE_EMULATOR_HOST": server.url},
    )


@pytest.fixture(params=["machine", "cloud"])
def any_machine(request: pytest.FixtureRequest) -> Machine:
    """A machine with each kind of store."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Machine)
    return found
