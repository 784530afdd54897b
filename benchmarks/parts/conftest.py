"""What the parts are measured on: a tree of 3,000 files, in memory and on a disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.paths import CACHE, WORKING
from benchmarks.trees import NOTEBOOK, NOTEBOOK_FILE, files_of, make_tree
from synccore.bundle import BLOCK_TARGET_BYTES, Bundle, build_bundle, pack_block
from synccore.digest import Digest, digest_of
from synccore.manifest import Entry, FileKind
from synccore.treepath import TreePath


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the trees are."""
    parser.addoption("--trees-cache", type=Path, default=CACHE, help="where the benchmarks' trees are kept")


@pytest.fixture(scope="session")
def tree(request: pytest.FixtureRequest) -> Path:
    """Return the tree, which nobody may change."""
    return make_tree("3000", request.config.getoption("--trees-cache")).path


@pytest.fixture(scope="session")
def notebook(request: pytest.FixtureRequest) -> bytes:
    """Return a notebook of 100 MB."""
    path = make_tree(NOTEBOOK, request.config.getoption("--trees-cache")).path
    return (path / NOTEBOOK_FILE).read_bytes()


@pytest.fixture(scope="session")
def contents(tree: Path) -> dict[TreePath, bytes]:
    """Return all contents of the tree."""
    return {TreePath(it.relative_to(tree).as_posix()): it.read_bytes() for it in files_of(tree)}


@pytest.fixture(scope="session")
def entries(contents: dict[TreePath, bytes]) -> dict[TreePath, Entry]:
    """Return the tree as a manifest lists it."""
    return {path: Entry(FileKind.FILE, len(data), digest_of(data), ()) for path, data in contents.items()}


@pytest.fixture(scope="session")
def blocks(contents: dict[TreePath, bytes]) -> list[list[tuple[Digest, bytes]]]:
    """Return the contents, each once, in blocks of about a megabyte."""
    found: list[list[tuple[Digest, bytes]]] = [[]]
    for digest, data in {digest_of(data): data for data in contents.values() if data}.items():
        if sum(len(it) for _, it in found[-1]) + len(data) > BLOCK_TARGET_BYTES:
            found.append([])
        found[-1].append((digest, data))
    return found


@pytest.fixture(scope="session")
def bundle(blocks: list[list[tuple[Digest, bytes]]]) -> Bundle:
    """Return all of it as one bundle."""
    return build_bundle(pack_block(it) for it in blocks)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder in memory."""
    with tempfile.TemporaryDirectory(prefix="epic-bench-", dir=WORKING) as made:
        yield Path(made)
