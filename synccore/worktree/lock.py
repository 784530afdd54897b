"""At most one process at a time works on a set of trees.

Invariant: the lock is the kernel's, on an open file. It ends with the process that holds it, however that ends, so no
lock is ever stale; what the lock file says is for people, and for knowing that a holder died at work.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from synccore.errors import ErrorKind, WorktreeError
from synccore.worktree.disk_error import worktree_error

if TYPE_CHECKING:
    from typing_extensions import Self

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Windows keeps others from reading a locked range, so the byte that is locked lies far behind the text.
_LOCKED_BYTE = 1 << 30
_NOTE = re.compile(r"pid (?P<pid>[0-9]+) since (?P<since>[0-9TZ:-]+)\n")
_NOTE_BYTES = 200
_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1
_HELD_ELSEWHERE = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})


class TreeLock:
    """A lock that is a file; each object is one holder, also within one process.

    Attributes:
        after_crash: whether the last holder ended without releasing, so that its work may be unfinished; known once
            the lock is held.
    """

    def __init__(
        self,
        path: Path,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a lock at *path*, a file of its own, which is made when first needed and never removed."""
        self._path = path
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._sleep = sleep
        self._handle: int | None = None
        self._owner_pid = 0
        self.after_crash = False

    def acquire(self, wait_seconds: float) -> None:
        """Take the lock; while another holder has it, wait up to *wait_seconds*.

        Waiting asks again after pauses that grow to a tenth of a second: the kernel offers no blocking wait with a limit.

        Raises:
            WorktreeError: it is still held (``LOCKED``; the message and facts name the holder), or the disk refused.
        """
        if self._handle is not None:
            raise AssertionError(f"{self._path} is held by this very object")
        deadline = self._monotonic() + wait_seconds
        pause = _FIRST_PAUSE_SECONDS
        handle = self._open()
        try:
            while not _try_lock(handle):
                left = deadline - self._monotonic()
                if left <= 0:
                    raise self._locked(handle, wait_seconds)  # noqa: TRY301 - the handle is closed below
                self._sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            self.after_crash = _read_note(handle) != ""
            self._write_note(handle)
        except BaseException as error:
            os.close(handle)
            if isinstance(error, OSError):
                raise worktree_error(error, self._path, "lock") from error
            raise
        self._handle = handle
        self._owner_pid = os.getpid()

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held, or held by the process that this one was forked from."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            if self._owner_pid == os.getpid():
                # Where the disk refuses even this, the next holder looks for the traces of a crash, and finds none.
                with suppress(OSError):
                    os.ftruncate(handle, 0)
                _unlock(handle)
        finally:
            os.close(handle)

    @contextmanager
    def held(self, wait_seconds: float) -> Iterator[Self]:
        """Hold the lock for the length of a ``with`` block; errors as `acquire`."""
        self.acquire(wait_seconds)
        try:
            yield self
        finally:
            self.release()

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            return os.open(self._path, flags, 0o666)
        except OSError as error:
            raise worktree_error(error, self._path, "open the lock file") from error

    def _write_note(self, handle: int) -> None:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now_ns() // 10**9))
        note = f"pid {os.getpid()} since {since}\n".encode("ascii")
        os.lseek(handle, 0, os.SEEK_SET)
        # Over the old one, so that at no instant there is none: it is the only sign of a crash.
        os.write(handle, note)
        os.ftruncate(handle, len(note))

    def _locked(self, handle: int, waited_seconds: float) -> WorktreeError:
        note = _NOTE.fullmatch(_read_note(handle))
        holder = f"process {note['pid']} since {note['since']}" if note else "another process"
        return WorktreeError(
            ErrorKind.LOCKED,
            f"{self._path} is held by {holder}; waited {waited_seconds:g} s: let it finish, or end it",
            path=str(self._path),
            holder_pid=int(note["pid"]) if note else None,
            since=note["since"] if note else None,
        )


def _read_note(handle: int) -> str:
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, _NOTE_BYTES).decode("ascii", "replace")


if sys.platform == "win32":

    def _try_lock(handle: int) -> bool:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _HELD_ELSEWHERE:
                return False
            raise
        return True

    def _unlock(handle: int) -> None:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD_ELSEWHERE:
                return False
            raise
        return True

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
