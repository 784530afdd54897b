import hashlib
import os
from pathlib import Path

import pytest

from synccore.backends.base import Version
from synccore.backends.local import LocalBackend
from synccore.errors import BackendError, ErrorKind, InvalidInputError
from synccore.keys import Key

HEAD = Key("ada/head")


def names_in(directory: Path) -> list[str]:
    return sorted(it.name for it in directory.iterdir() if it.name != ".lock")


def test_a_version_is_the_digest_of_the_bytes(tmp_path: Path) -> None:
    assert LocalBackend(tmp_path).put(HEAD, b"one", replacing=None) == hashlib.sha256(b"one").hexdigest()


def test_a_first_put_makes_the_directories_it_needs(tmp_path: Path) -> None:
    LocalBackend(tmp_path / "new" / "store").put(HEAD, b"one", replacing=None)
    assert (tmp_path / "new" / "store" / "ada" / "head").read_bytes() == b"one"


def test_neither_puts_nor_conflicts_leave_anything_beside_the_object(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    first = backend.put(HEAD, b"one", replacing=None)
    backend.put(HEAD, b"two", replacing=first)
    for replacing in (None, first):
        with pytest.raises(Exception, match="nothing was changed"):
            backend.put(HEAD, b"three", replacing=replacing)
    assert names_in(tmp_path / "ada") == ["head"]


def test_unfinished_files_and_locks_are_no_objects(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / ".put-0123").write_bytes(b"half")
    (tmp_path / ".DS_Store").write_bytes(b"a desktop's")
    version = backend.put(HEAD, b"one", replacing=None)
    backend.put(HEAD, b"two", replacing=version)
    assert [it.key for it in backend.keys("")] == [HEAD]


def test_a_delete_sweeps_what_crashed_writers_left_the_day_before(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    version = backend.put(HEAD, b"one", replacing=None)
    old, young = tmp_path / "ada" / ".put-old", tmp_path / "ada" / ".put-young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (backend.now_seconds() - 25 * 3600,) * 2)
    backend.delete(HEAD, expecting=version)
    assert names_in(tmp_path / "ada") == [".put-young"]


def test_the_clock_leaves_nothing_behind(tmp_path: Path) -> None:
    LocalBackend(tmp_path).now_seconds()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/.put-1", "a\\b", "a\0b", "C:/a"])
def test_a_key_that_is_no_path_below_the_directory_is_refused(tmp_path: Path, key: str) -> None:
    backend = LocalBackend(tmp_path / "store")
    for act in (
        lambda: backend.get(Key(key)),
        lambda: backend.put(Key(key), b"", replacing=None),
        lambda: backend.delete(Key(key), expecting=Version("")),
    ):
        with pytest.raises(InvalidInputError) as caught:
            act()
        assert repr(key) in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_an_object_in_the_way_of_a_directory_is_named(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    (tmp_path / "ada").write_bytes(b"")
    with pytest.raises(BackendError) as caught:
        backend.put(HEAD, b"", replacing=None)
    assert caught.value.kind is ErrorKind.BACKEND
    assert str(tmp_path / "ada") in caught.value.message
