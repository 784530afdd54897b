"""What holds where there are file modes, signals and limits, and cannot be tried elsewhere."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from synccore.backends.base import Found, Version
from synccore.backends.gcs_tokens import Tokens
from synccore.backends.local import LocalBackend
from synccore.backends.opening import Access
from synccore.errors import UnavailableError
from synccore.keys import Key
from synccore.testing.token_endpoint import TokenEndpoint

HEAD = Key("ada/head")


def names_in(directory: Path) -> list[str]:
    return sorted(it.name for it in directory.iterdir() if it.name != ".lock")


def cache_of(access: Access) -> Path:
    assert access.token_cache is not None
    return access.token_cache


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


def test_the_token_file_is_private(user: Access, endpoint: TokenEndpoint) -> None:
    Tokens(user).current()
    assert stat.S_IMODE(cache_of(user).stat().st_mode) == 0o600
    assert stat.S_IMODE(cache_of(user).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o606])
def test_a_file_that_others_can_reach_is_not_believed(user: Access, endpoint: TokenEndpoint, mode: int) -> None:
    Tokens(user).current()
    cache_of(user).chmod(mode)
    assert Tokens(user).current().text == "issued-2"
    assert stat.S_IMODE(cache_of(user).stat().st_mode) == 0o600


def test_a_link_in_the_files_place_is_not_followed(user: Access, endpoint: TokenEndpoint, tmp_path: Path) -> None:
    Tokens(user).current()
    elsewhere = tmp_path / "elsewhere"
    cache_of(user).rename(elsewhere)
    cache_of(user).symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert Tokens(user).current().text == "issued-2"
    assert not cache_of(user).is_symlink()
    assert elsewhere.read_bytes() == before


def test_a_name_that_the_system_does_not_confirm_is_in_doubt_and_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = LocalBackend(tmp_path / "store")
    sync = os.fsync

    def fail_for_directories(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fail_for_directories)
    with pytest.raises(UnavailableError) as doubt:
        backend.put(Key("ada/head"), b"one", replacing=None)
    assert doubt.value.facts["ambiguous"] is True
    assert backend.get(Key("ada/head")) == Found(b"one", Version(hashlib.sha256(b"one").hexdigest()))
