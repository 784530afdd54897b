"""A lab on either kind of store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from actors import Lab, bucket_store, file_store


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
