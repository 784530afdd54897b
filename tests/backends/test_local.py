import hashlib
import os
import subprocess
import sys
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


def test_a_writer_killed_half_way_leaves_the_old_object(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    version = backend.put(HEAD, b"old", replacing=None)
    program = f"""
import os, pathlib
from synccore.backends.local import LocalBackend
os.fsync = lambda handle: os.kill(os.getpid(), 9)
LocalBackend(pathlib.Path({str(tmp_path)!r})).put("ada/head", b"new", replacing={version!r})
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert (tmp_path / "ada" / "head").read_bytes() == b"old"
    assert len(names_in(tmp_path / "ada")) == 2
    assert [it.key for it in backend.keys("")] == [HEAD]
    backend.put(HEAD, b"newer", replacing=version)
    assert (tmp_path / "ada" / "head").read_bytes() == b"newer"


def test_a_holder_of_the_lock_that_dies_stops_nobody(tmp_path: Path) -> None:
    version = LocalBackend(tmp_path).put(HEAD, b"old", replacing=None)
    program = f"""
import os, pathlib
from synccore.backends import local
with local._locked(pathlib.Path({str(tmp_path / "ada")!r})):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    LocalBackend(tmp_path).put(HEAD, b"new", replacing=version)
    assert (tmp_path / "ada" / "head").read_bytes() == b"new"


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


def test_a_full_disk_is_told_with_the_path_and_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands in for the end of the disk: the same call fails in the same way.
    program = f"""
import pathlib, resource
from synccore.backends.local import LocalBackend
from synccore.errors import BackendError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    LocalBackend(pathlib.Path({str(tmp_path)!r})).put("ada/head", b"x" * 5000, replacing=None)
except BackendError as error:
    print(error.kind.value, error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"backend cannot write {tmp_path / 'ada'}")
    assert "File too large" in done.stdout
    assert names_in(tmp_path / "ada") == []


def test_a_directory_that_may_not_be_read_is_a_refusal_that_names_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    LocalBackend(store).put(HEAD, b"one", replacing=None)
    store.chmod(0o000)
    program = f"""
import os, pathlib
from synccore.backends.local import LocalBackend
from synccore.errors import BackendError
backend = LocalBackend(pathlib.Path({str(store)!r}))
if os.geteuid() == 0:
    os.setuid(65534)
for act in (
    lambda: backend.get("ada/head"),
    lambda: backend.put("ada/head", b"", replacing=None),
    lambda: backend.put("ada/head", b"", replacing="0"),
    lambda: backend.delete("ada/head", expecting="0"),
    lambda: list(backend.keys("")),
    backend.now_seconds,
):
    try:
        act()
    except BackendError as error:
        print(error.kind.value, error.message)
"""
    try:
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    finally:
        store.chmod(0o700)
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert all(line.startswith("refused ") and str(store) in line and "Permission denied" in line for line in lines)
