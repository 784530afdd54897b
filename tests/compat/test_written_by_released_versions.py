"""Data that was written by each version of the format stays readable for ever. It is never edited."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from synccore.backends.local import LocalBackend
from synccore.history import log
from synccore.testing.invariants import assert_is_at_head, assert_sound
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import content_of, kind_of

pytestmark = pytest.mark.vm

HERE = Path(__file__).parent
VERSIONS = ["version-1"]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> Path:
    return HERE / str(request.param)


@pytest.fixture
def expected(version: Path) -> Any:
    return json.loads((version / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture
def lab(version: Path, tmp_path: Path) -> Lab:
    """A lab around a copy of the old store."""
    shutil.copytree(version / "store", tmp_path / "store")
    return Lab(tmp_path, LocalBackend(tmp_path / "store"))


def test_the_data_is_what_was_released(version: Path) -> None:
    hasher = hashlib.sha256()
    for path in sorted(it for it in version.rglob("*") if it.is_file()):
        hasher.update(
            f"{path.relative_to(version).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    assert {version.name: hasher.hexdigest()} == {
        "version-1": "a51e19387f8081c8eceab5d7e9bf1c7b6a9bcc626b6d33691e1aa74543d71219"
    }


def test_an_old_store_is_sound_and_comes_down_as_it_was_uploaded(lab: Lab, expected: Any) -> None:
    assert_sound(lab.inner)
    assert {repo: snapshot.hex() for repo, snapshot in lab.snapshots().items()} == expected["snapshots"]
    lab.machine.pull()
    for repo, tree in expected["trees"].items():
        found = {
            path: [int(kind_of(node)), len(content_of(node)), hashlib.sha256(content_of(node)).hexdigest()]
            for path, node in lab.machine.read(repo).items()
        }
        assert found == tree
    assert sorted(lab.machine.trees()) == sorted(expected["trees"])


def test_the_history_of_an_old_store_is_read_to_its_beginning(lab: Lab, expected: Any) -> None:
    lines = log(USER, lab.inner, limit=1000)
    found = [
        [line.sequence, [[it.repo, it.after.hex() if it.after else None, *it.counts] for it in line.repos]]
        for line in lines
    ]
    assert found == expected["log"]
    assert lines[-1].sequence == 1
    assert lab.head().earlier is not None


def test_uploads_go_on_in_an_old_store(lab: Lab) -> None:
    lab.machine.pull()
    for repo, tree in lab.machine.trees().items():
        lab.laptop.lay(**{repo: {**tree, "new": "1"}})
    lab.laptop.push(force=True)
    assert_sound(lab.inner)
    assert {line.written for line in lab.machine.pull().repos} == {("new",)}
    assert_is_at_head(lab.machine, lab)
