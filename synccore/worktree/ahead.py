"""A look at a tree that is begun while there is something else to do: git lists it, and another process looks at its files.

The engine takes 30 ms to be imported, and git and the other process are at work meanwhile, on another core. Of 30,000 files they
have done half of what there is to do when somebody comes for it.

Invariant: nothing depends on it. What was not begun, or did not get far, or comes too late, is done by whoever comes for it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from synccore.errors import SyncError
from synccore.worktree import status_rows
from synccore.worktree.status_rows import MARK_BYTES, ROW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from synccore.worktree.git import GitListing
    from synccore.worktree.selection import Selecting

# Below this there is no gain: the other process is at work after 9 ms, and looks at 400 files in each further one.
_WORTH_BYTES = 64 * 2**10

# Who comes later, because another upload had to end first, has what has happened meanwhile looked at as well.
_LONGEST_AHEAD_NS = 1_000_000_000


def stat_cache_path(folder: Path, repo: str) -> Path:
    """Return where, in the *folder* of what a laptop remembers of a store, the stat cache of *repo* is kept."""
    return folder / "stat" / repo


class StatusesAhead:
    """The statuses of all that a stat cache knows, being looked at by another process, which begins with the first.

    Use `end` when nothing is wanted of it any more.

    Args:
        root: the tree.
        stat_cache: where its stat cache is.

    Attributes:
        about: both.
        since_ns: a moment before anything was looked at, in nanoseconds since 1970.

    Raises:
        OSError: there can be no such process.
    """

    _output: int
    _errors: int
    _process: int
    _opened: ExitStack

    def __init__(self, root: Path, stat_cache: Path) -> None:
        self.about = root, stat_cache
        self.since_ns = time.time_ns()
        self._lock, self._is_ended = threading.Lock(), False
        if sys.platform == "win32":
            raise OSError(errno.ENOSYS, "nothing of what follows is there")
        with ExitStack() as opened, ExitStack() as closed:
            self._output = _file_without_name(stat_cache)
            opened.callback(os.close, self._output)
            self._errors, errors = os.pipe()
            opened.callback(os.close, self._errors)
            closed.callback(os.close, errors)
            arguments = [sys.executable, "-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}"]
            arguments += [status_rows.__file__, str(root), str(stat_cache)]
            self._process = os.posix_spawn(
                sys.executable,
                arguments,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, self._output, 1),
                    (os.POSIX_SPAWN_DUP2, errors, 2),
                ],
            )
            self._opened = opened.pop_all()

    def is_of(self, mark: bytes) -> bool:
        """Tell whether it has begun, and with the stat cache that has this *mark*."""
        return self._read(0, MARK_BYTES) == mark

    def found(self) -> bytes:
        """Wait for it to end, and return all that it has found; nothing if it did not come to its end by itself."""
        # Whoever ends it ends the waiting first, and only then lets go of the pipe and the file.
        with self._lock:
            if self._is_ended or os.read(self._errors, 1):
                return b""
            return self._read(0, os.fstat(self._output).st_size)

    def rows_done(self) -> int:
        """Return how many rows there are by now."""
        return (os.fstat(self._output).st_size - MARK_BYTES) // ROW_BYTES

    def rows(self, start: int, end: int) -> bytes:
        """Return the rows from *start* up to *end*, which are done."""
        return self._read(MARK_BYTES + start * ROW_BYTES, (end - start) * ROW_BYTES)

    def _read(self, offset: int, size: int) -> bytes:
        if sys.platform == "win32":
            return b""
        return os.pread(self._output, size, offset)

    def end(self) -> None:
        """End the process, whatever it is at."""
        if sys.platform != "win32":
            with suppress(OSError):
                os.kill(self._process, signal.SIGKILL)
                os.waitpid(self._process, 0)
        with self._lock:
            self._is_ended = True
            self._opened.close()


def _file_without_name(beside: Path) -> int:
    path = beside.with_name(f"{beside.name}.{os.urandom(4).hex()}.tmp")
    opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with suppress(OSError):
        path.unlink()
    return opened


class Ahead:
    """A look at the tree at *root* that has been begun.

    Use it as a context manager: leaving it ends what still runs.

    Args:
        root: the tree.
        exclusion: as for a selection.
        stat_cache: where the stat cache of the tree is, if it has one.

    Attributes:
        about: the tree, and where its stat cache is.
        statuses: the other process; ``None`` if there is none, or it is somebody's.
        holds: the mark of a stat cache whose list git would make again; empty where that is not so, or not known.
        since_ns: a moment before anything was looked at, in nanoseconds since 1970.
    """

    def __init__(self, root: Path, exclusion: str | None, stat_cache: Path) -> None:
        self._ended = ExitStack()
        self.about = str(root), str(stat_cache)
        self.statuses = self._looking = _taken(root, stat_cache) or _begun(root, stat_cache)
        self.since_ns = time.time_ns()
        if self.statuses is not None:
            self.since_ns = self.statuses.since_ns
            self._ended.callback(self.statuses.end)

        self._exclusion = exclusion
        self._selecting: Selecting | None = None
        self.holds = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def begin_list(self) -> None:
        """Have git list the tree, if it does not yet and would not say what it said the last time; what that takes is imported first."""
        root = Path(self.about[0])
        begun = _listings.pop(root, None)
        if begun is None:
            self.holds = _holding.pop(self.about, b"") or _holds(*self.about)
            if self.holds:
                return
        else:
            self._ended.callback(begun.drop)

        from synccore.worktree.selection import Selecting

        # What cannot be listed is said by whoever comes for the list and finds none begun.
        with suppress(SyncError):
            self._selecting = self._ended.enter_context(Selecting(root, exclusion=self._exclusion, begun=begun))

    def found_same(self) -> bool:
        """Look at all files, or wait for the other process to have done so, and tell whether they are as they were, and the directories too."""
        statuses, (root, stat_cache) = self._looking, self.about
        with suppress(OSError, ValueError):
            found = b"".join(status_rows.look(root, stat_cache)) if statuses is None else statuses.found()
            return status_rows.is_as_kept(stat_cache, found)
        return False

    def take(self) -> tuple[Selecting | None, StatusesAhead | None, bytes]:
        """Return what was begun, once, and `holds`, if it is not too long ago; it ends with this."""
        begun = self._selecting, self.statuses, self.holds
        self._selecting = self.statuses = None
        return begun if 0 <= time.time_ns() - self.since_ns < _LONGEST_AHEAD_NS else (None, None, b"")


def _begun(root: Path, stat_cache: Path) -> StatusesAhead | None:
    if not sys.executable or getattr(sys, "frozen", False) or os.cpu_count() == 1:
        return None
    try:
        return StatusesAhead(root, stat_cache) if _is_worth_it(stat_cache) else None
    except OSError:
        return None


def _is_worth_it(stat_cache: Path) -> bool:
    try:
        return stat_cache.stat().st_size >= _WORTH_BYTES
    except OSError:
        return False


# What was begun before it was known which trees are meant.
_early: list[StatusesAhead] = []
_listings: dict[Path, GitListing] = {}
_holding: dict[tuple[str, str], bytes] = {}


def begin(path: str) -> None:
    """Begin to look where the file at *path* says that the last upload has looked; without such a file nothing happens."""
    with suppress(OSError, ValueError):
        names = Path(path).read_text(encoding="utf-8").split("\0")
        for root, stat_cache in zip(names[::2], names[1::2], strict=True):
            begun = _begun(Path(root), Path(stat_cache))
            if begun is not None:
                _early.append(begun)


def begin_listings() -> None:
    """Have git list the trees that are looked at already, but for those of which it would say what it said the last time.

    Which of what it leaves out is taken all the same is not known yet.
    """
    for root, stat_cache in {begun.about for begun in _early}:
        about = str(root), str(stat_cache)
        holds = _holds(*about)
        if holds:
            _holding[about] = holds
        elif (root / ".git").exists():
            from synccore.worktree.git import GitListing

            with suppress(SyncError):
                _listings[root] = GitListing(root, left_out=False, nested=False)


def _holds(root: str, stat_cache: str) -> bytes:
    with suppress(OSError, ValueError):
        return status_rows.holds(root, stat_cache)
    return b""


def _taken(root: Path, stat_cache: Path) -> StatusesAhead | None:
    """Return what was begun of just this, which is the caller's from then on."""
    found = next((one for one in _early if one.about == (root, stat_cache)), None)
    if found is not None:
        _early.remove(found)
    return found


def end_early() -> None:
    """End what was begun and is not wanted."""
    while _early:
        _early.pop().end()
    while _listings:
        _listings.popitem()[1].drop()


def note(path: Path, looks: Iterable[Ahead]) -> None:
    """Keep in the file at *path* where to begin the next time: at *looks* by which a large tree is known now, for which there are processors.

    What cannot be kept is not.
    """
    large = [look.about for look in looks if _is_worth_it(Path(look.about[1]))]
    text = "\0".join(name for about in large[: max((os.cpu_count() or 1) - 1, 1)] for name in about)
    with suppress(OSError, ValueError):
        if (path.read_text(encoding="utf-8") if path.exists() else "") != text:
            path.write_text(text, encoding="utf-8")
