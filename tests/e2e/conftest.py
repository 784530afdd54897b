"""A lab on either kind of store, and a cloud with machines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from actors import Lab, bucket_store, file_store
from notebook_actor import ZONE, Researcher, researcher

from epic_lab.testing.compute.service import Mutation
from epic_lab.testing.compute_server import ComputeServer


@pytest.fixture(params=["file", "bucket"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with file_store(tmp_path / "store") if request.param == "file" else bucket_store() as store:
        yield Lab(tmp_path, store)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Lab]:
    """Return a lab on a directory, for what does not depend on the kind of store."""
    with file_store(tmp_path / "store") as store:
        yield Lab(tmp_path, store)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Lab]:
    """Return a lab on a bucket."""
    with bucket_store() as store:
        yield Lab(tmp_path, store)


@pytest.fixture
def compute() -> Iterator[ComputeServer]:
    """Return a Compute Engine that fails the test if anything is said to it that is not its API."""
    with ComputeServer("proj1") as server:
        server.service.seconds_a_look = 40.0
        yield server
        server.check()


@pytest.fixture
def ann(tmp_path: Path, compute: ComputeServer) -> Researcher:
    """Return somebody who may have machines."""
    return researcher(tmp_path, compute)


@pytest.fixture
def launched(compute: ComputeServer, ann: Researcher) -> str:
    """Return a machine that runs, made as the command makes it."""
    body = ann.report("launch", "cpu", "--dry-run")["request"]
    with compute.service.lock:
        compute.service.insert(ZONE, body, Mutation(kind="insert"))
        compute.service.timeline.pass_time(60)
    return "cpu"
