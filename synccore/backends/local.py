"""A backend in a directory: a laptop alone, a shared disk, the demo, the tests.

A key is a path below the directory. Beside the objects stand names that begin with a dot, which no key has: files that
are being written (``.put-…``) and locks (``.lock``).

Invariant: a name without a dot is only ever made by linking or renaming a finished, synced file, so that whoever opens it
sees an object whole.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from synccore.backends.base import Found, Listed, Unchanged, Version
from synccore.backends.refusals import check_range, key_taken, no_bucket, no_object, refused, too_short, version_moved
from synccore.digest import Digest
from synccore.errors import BackendError, ErrorKind, InvalidInputError, SyncError, UnavailableError
from synccore.keys import Key

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_T = TypeVar("_T")

_UNFINISHED = ".put-"
_LOCK = ".lock"
_HASHED_AT_ONCE_BYTES = 1 << 20
_ABANDONED_AFTER_SECONDS = 24 * 3600.0

# What a file system answers that knows no hard links (exFAT, some network and FUSE mounts).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}

# Windows lets nobody replace or open a file at the instant in which somebody else does.
_SHARING_TRIES = 100
_SHARING_PAUSE_SECONDS = 0.01


class LocalBackend:
    """Objects as files below *directory*, which the first put makes. A version is the SHA-256 of the bytes, in hex."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def base_url(self) -> str:
        """The directory as a URL."""
        return f"file://{'' if self._directory.as_posix().startswith('/') else '/'}{self._directory.as_posix()}"

    def warm(self, calls: int = 1) -> None:
        """Do nothing: a directory is always ready."""

    def close(self) -> None:
        """Do nothing: nothing is kept open."""

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get an object, as `Reader.get` promises."""
        path = self._path(key)
        with self._reading(key, path):
            data = _patiently(path.read_bytes)
        if unless is None:
            # A bundle's version is nobody's business, and to work it out takes as long as to read it.
            return Found(data, lambda: _version_of(data))
        version = _version_of(data)
        return Unchanged() if version == unless else Found(data, version)

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get a part of an object, as `Reader.get_range` promises."""
        check_range(key, start, length)
        path = self._path(key)
        with self._reading(key, path), _patiently(lambda: path.open("rb")) as file:
            file.seek(start)
            part = file.read(length)
        if len(part) != length:
            raise too_short(self.base_url, key, start, length)
        return part

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        """Store an object, as `Writer.put` promises, and make the directories it needs."""
        path = self._path(key)
        with self._translated("write", path):
            unfinished = _write_beside(path, data)
            try:
                if replacing is None:
                    self._create(key, unfinished, path)
                else:
                    self._replace(key, unfinished, path, replacing)
            finally:
                # The object is in its place or it is not; what else is left here goes with a later deletion.
                with contextlib.suppress(OSError):
                    unfinished.unlink()
        try:
            _sync_directory(path.parent)
        except OSError as error:
            raise self._unsettled(path, error) from error
        # Of a bundle it is known already, and to work it out again is 4 % of a first upload of 30,000 files.
        return _version_of(data) if digest is None else Version(digest.hex())

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete an object, as `Writer.delete` promises; also what crashed writers left in its directory a day ago."""
        path = self._path(key)
        self._check_directory()
        with self._translated("delete", path):
            if _is_directory(path.parent):
                self._delete(key, path, expecting)

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List objects, as `Writer.keys` promises. Each is read, since its version is the digest of its bytes."""
        self._check_directory()
        with self._translated("list", self._directory):
            yield from _list(self._directory, "", prefix)

    def now_seconds(self) -> float:
        """Return the file system's clock, which on a shared disk is its server's."""
        self._check_directory()
        path = self._directory / f"{_UNFINISHED}{os.urandom(8).hex()}"
        with self._translated("write", path):
            try:
                path.touch(exist_ok=False)
                return path.stat().st_mtime
            finally:
                path.unlink(missing_ok=True)

    def _path(self, key: Key) -> Path:
        parts = key.split("/")
        if any(not part or part.startswith(".") or "\\" in part or "\0" in part or ":" in part for part in parts):
            raise InvalidInputError(
                ErrorKind.BAD_INPUT,
                f"key {key!r} is not usable: expected names that are not empty, begin with no dot and have no '\\' or ':'",
                key=key,
            )
        return self._directory.joinpath(*parts)

    def _create(self, key: Key, unfinished: Path, path: Path) -> None:
        """Give the finished file its name unless that is taken."""
        try:
            os.link(unfinished, path)
        except FileExistsError:
            # A network file system may repeat a link whose answer was lost, and then meets its own work.
            if unfinished.stat().st_nlink != 2:  # noqa: PLR2004  # one name each
                raise key_taken(self.base_url, key) from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Nobody can link here, so all who create come this way, and the lock keeps them apart.
            with _locked(path.parent):
                if path.exists():
                    raise key_taken(self.base_url, key) from None
                unfinished.rename(path)

    def _replace(self, key: Key, unfinished: Path, path: Path, replacing: Version) -> None:
        with _locked(path.parent):
            found = _examine(path)
            if found is None or found[0] != replacing:
                raise version_moved(self.base_url, key, replacing, found[0] if found else None)
            _patiently(lambda: unfinished.replace(path))

    def _delete(self, key: Key, path: Path, expecting: Version) -> None:
        with _locked(path.parent):
            found = _examine(path)
            if found is not None and found[0] != expecting:
                raise version_moved(self.base_url, key, expecting, found[0])
            if found is not None:
                _patiently(path.unlink)
            _sweep(path.parent)

    def _check_directory(self) -> None:
        with self._translated("look at", self._directory):
            exists = _is_directory(self._directory)
        if not exists:
            raise no_bucket(self.base_url, f"directory {self._directory}", is_made_by_put=True)

    @contextlib.contextmanager
    def _reading(self, key: Key, path: Path) -> Iterator[None]:
        """Translate what the system says about reading the object at *path*."""
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._check_directory()
            raise no_object(self.base_url, key) from None
        except OSError as error:
            if sys.platform == "win32" and path.is_dir():  # which Windows calls a refusal
                raise no_object(self.base_url, key) from None
            raise self._refusal("read", path, error) from error

    @contextlib.contextmanager
    def _translated(self, verb: str, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._refusal(verb, path, error) from error

    def _unsettled(self, path: Path, error: OSError) -> UnavailableError:
        """Say that an object has its name, and that nobody knows whether it keeps it through a crash of the system."""
        return UnavailableError(
            ErrorKind.UNAVAILABLE,
            f"{path} in the store {self.base_url} is written, but the system does not confirm it: {error.strerror or error}",
            base_url=self.base_url,
            path=str(path),
            ambiguous=True,
        )

    def _refusal(self, verb: str, path: Path, error: OSError) -> SyncError:
        at = error.filename if isinstance(error.filename, str) else str(path)
        why = error.strerror or str(error)
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            return refused(self.base_url, None, f"cannot {verb} {at}: {why}")
        message = f"cannot {verb} {at} in the store {self.base_url}: {why}"
        return BackendError(ErrorKind.BACKEND, message, base_url=self.base_url, path=at)


def _is_directory(path: Path) -> bool:
    """Tell whether a directory is at *path*; where that cannot be told, raise what the system says."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _version_of(data: bytes) -> Version:
    return Version(hashlib.sha256(data).hexdigest())


def _examine(path: Path) -> tuple[Version, os.stat_result] | None:
    """Return version and status of the object at *path*, both of one moment, or ``None`` where there is none."""
    digest = hashlib.sha256()
    try:
        with _patiently(lambda: path.open("rb")) as file:
            status = os.fstat(file.fileno())
            while block := file.read(_HASHED_AT_ONCE_BYTES):
                digest.update(block)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Version(digest.hexdigest()), status


def _write_beside(path: Path, data: bytes) -> Path:
    """Write *data* to a new file in the directory of *path*, make it safe against a crash, and return its path."""
    unfinished = path.parent / f"{_UNFINISHED}{os.urandom(8).hex()}"
    try:
        file = unfinished.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = unfinished.open("xb")
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        unfinished.unlink()
        raise
    return unfinished


def _sync_directory(directory: Path) -> None:
    """Make a new name safe against a crash, where a system can; the head must never outlive what it names."""
    if sys.platform == "win32":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # file systems that sync no directories
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Keep all other writers out of *directory*; the system lets go of the lock if this process dies."""
    with (directory / _LOCK).open("ab") as file:
        _lock(file.fileno())
        try:
            yield
        finally:
            _unlock(file.fileno())


if sys.platform == "win32":

    def _lock(handle: int) -> None:
        while True:
            try:
                os.lseek(handle, 0, os.SEEK_SET)
                msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
            except OSError as error:  # noqa: PERF203  # the loop is for this
                if error.errno not in {errno.EACCES, errno.EDEADLK}:  # it has waited for ten seconds
                    raise
            else:
                return

    def _unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

    def _patiently(act: Callable[[], _T]) -> _T:
        """Do *act*, and again for a second while another process has the file in its hands."""
        for _ in range(_SHARING_TRIES):
            with contextlib.suppress(PermissionError):
                return act()
            time.sleep(_SHARING_PAUSE_SECONDS)
        return act()

else:

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)

    def _patiently(act: Callable[[], _T]) -> _T:
        """Do *act*; here a file can be replaced while it is read."""
        return act()


def _list(directory: Path, above: str, prefix: str) -> Iterator[Listed]:
    """List what is below *directory*, whose keys begin with *above*, in key order."""
    try:
        with os.scandir(directory) as found:
            entries = [(it.name + "/" if it.is_dir() else it.name) for it in found if not it.name.startswith(".")]
    except FileNotFoundError:
        return
    # Sorted with their slashes, since "a-b" comes before "a/b" though "a" comes before "a-b".
    for entry in sorted(entries):
        name = above + entry
        if entry.endswith("/"):
            if name.startswith(prefix) or prefix.startswith(name):
                yield from _list(directory / entry[:-1], name, prefix)
        elif name.startswith(prefix):
            examined = _examine(directory / entry)
            if examined is not None:
                version, status = examined
                yield Listed(
                    key=Key(name), size_bytes=status.st_size, modified_seconds=status.st_mtime, version=version
                )


def _sweep(directory: Path) -> None:
    """Remove what crashed writers left in *directory*, whose lock we hold: unfinished files of yesterday."""
    lock = directory / _LOCK
    os.utime(lock)
    now_seconds = lock.stat().st_mtime  # by the file system's own clock
    with os.scandir(directory) as found:
        unfinished = [it for it in found if it.name.startswith(_UNFINISHED)]
    for it in unfinished:
        with contextlib.suppress(FileNotFoundError):
            if it.stat().st_mtime < now_seconds - _ABANDONED_AFTER_SECONDS:
                Path(it.path).unlink()
