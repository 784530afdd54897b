"""Ending a process, or failing its disk, at a chosen instant of its work.

The instants are counted in *steps*: each call that changes something on a disk, each write by handle, before it and in its middle,
and, where the storage is a `SteppingBackend`, each call of the storage before and after it took effect. Limits of the kernel
do the same to writes that Python does not announce.

Invariant: it happens to a copy of this process (`os.fork`), of whose memory nothing comes back but what `Ended` says; one
that is killed ends by SIGKILL or SIGXFSZ, so that nothing is cleaned up.
"""

from __future__ import annotations

import errno
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, NoReturn, TypeVar

from synccore.backends.passing import PassingBackend
from synccore.errors import ErrorKind, SyncError

_T = TypeVar("_T")

# What Python announces before it changes something on a disk. It announces `open` too, for reading as well.
_CHANGES = frozenset(
    f"os.{name}" for name in ("rename", "remove", "rmdir", "mkdir", "link", "symlink", "truncate", "utime", "chmod")
)
_FREEING = frozenset({"os.rename", "os.remove", "os.rmdir", "os.utime", "os.chmod"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CALL = "call of the storage"

# A copy has some milliseconds' work to do; one that takes so long hangs.
_LONGEST_SECONDS = 120

_KILLING = frozenset({signal.SIGKILL, getattr(signal, "SIGXFSZ", signal.SIGKILL)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An error of the engine that a copy of this process ended with."""

    kind: ErrorKind
    message: str
    is_ambiguous: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a copy of this process ended.

    Attributes:
        was_killed: whether it was, or came to its end.
        was_reached: whether it came to the step that was meant.
        result: what its act returned.
        error: what its act raised.
    """

    was_killed: bool
    was_reached: bool
    result: Any = None
    error: Raised | None = None


class _Steps:
    """Lets steps pass: what happens in an ordinary copy."""

    is_reached = False

    def come_to(self, what: str, begin: Callable[[], object] | None = None) -> None:
        """Hear of a step, which *begin* does by half."""


class _Death(_Steps):
    """Kills the process at a step."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._seen = count()

    def come_to(self, what: str, begin: Callable[[], object] | None = None) -> None:
        del what
        if next(self._seen) == self._step:
            if begin is not None:
                begin()
            os.kill(os.getpid(), signal.SIGKILL)


class _Refusal(_Steps):
    """Lets the disk refuse from a step on; a full one still removes and renames."""

    def __init__(self, step: int, number: int) -> None:
        self._step = step
        self._number = number
        self._seen = count()

    def come_to(self, what: str, begin: Callable[[], object] | None = None) -> None:
        del begin
        if what == _CALL or (self._number == errno.ENOSPC and what in _FREEING):
            return
        if next(self._seen) >= self._step:
            self.is_reached = True
            raise OSError(self._number, os.strerror(self._number))


_steps = _Steps()


class SteppingBackend(PassingBackend):
    """Make each call two steps: one before it is passed on, and one after it took effect."""

    def pass_on(self, name: str, call: Callable[[], _T]) -> _T:
        """Make *call* between two steps."""
        del name
        _steps.come_to(_CALL)
        result = call()
        _steps.come_to(_CALL)
        return result


def is_killed_at(step: int, act: Callable[[], object]) -> bool:
    """Do *act* in a copy of this process that is killed at its *step*-th step, counted from 0.

    Returns:
        Whether it came to that step; if not, *act* was done to its end.

    Raises:
        AssertionError: *act* failed.
    """
    ended = in_a_copy(act, steps=_Death(step))
    assert ended.error is None, f"what was to be killed at step {step} failed: {ended.error}"
    return ended.was_killed


def is_killed_beyond(size_bytes: int, act: Callable[[], object]) -> bool:
    """Do *act* in a copy of this process that is killed when it writes more than so many bytes to any one file.

    Returns:
        Whether it came to that; if not, *act* was done to its end.

    Raises:
        AssertionError: *act* failed.
    """
    ended = in_a_copy(act, limit=lambda: _limit_files(size_bytes, signal.SIG_DFL))
    assert ended.error is None, f"what was to be killed beyond {size_bytes} bytes failed: {ended.error}"
    return ended.was_killed


def on_a_disk_that_refuses_from(step: int, number: int, act: Callable[[], object]) -> Ended:
    """Do *act* in a copy of this process to which the disk says the error *number* from its *step*-th step on.

    Raises:
        AssertionError: *act* failed with anything but an error of the engine.
    """
    return in_a_copy(act, steps=_Refusal(step, number))


def on_a_disk_for_files_up_to(size_bytes: int, act: Callable[[], object]) -> Ended:
    """Do *act* in a copy of this process that may write no more than so many bytes to any one file; errors as above."""
    return in_a_copy(act, limit=lambda: _limit_files(size_bytes, signal.SIG_IGN))


def with_spare_handles(number: int, act: Callable[[], object]) -> Ended:
    """Do *act* in a copy of this process that may have so many files open beside those that are; errors as above."""
    return in_a_copy(act, limit=lambda: _limit_handles(number))


def in_a_copy(
    act: Callable[[], object], *, steps: _Steps | None = None, limit: Callable[[], object] = lambda: None
) -> Ended:
    """Do *act* in a copy of this process, and say how that ended.

    Raises:
        AssertionError: *act* failed with anything but an error of the engine.
    """
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Of forking beside other threads: they do not hold what *act* needs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(read)
        _be_the_copy(act, steps or _Steps(), limit, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if -code in _KILLING:
        return Ended(was_killed=True, was_reached=True)
    assert code == 0, f"a copy of this process ended with {code}"
    ended, unexpected = pickle.loads(said)  # noqa: S301 - our own copy's words
    assert unexpected is None, f"a copy of this process failed:\n{unexpected}"
    assert isinstance(ended, Ended)
    return ended


def _be_the_copy(act: Callable[[], object], steps: _Steps, limit: Callable[[], object], write: int) -> NoReturn:
    global _steps  # noqa: PLW0603 - of this copy, which does nothing else
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_LONGEST_SECONDS)
    say = os.write
    result: object = None
    error: Raised | None = None
    unexpected: str | None = None
    try:
        _announce_writes()
        _steps = steps
        limit()
        result = act()
    except SyncError as raised:
        is_ambiguous = raised.facts.get("ambiguous") is True
        error = Raised(kind=raised.kind, message=raised.message, is_ambiguous=is_ambiguous)
    except BaseException:  # noqa: BLE001 - whatever it is, the parent hears of it
        unexpected = traceback.format_exc()
    try:
        ended = Ended(was_killed=False, was_reached=steps.is_reached, result=result, error=error)
        data = pickle.dumps((ended, unexpected))
        while data:
            data = data[say(write, data) :]
    finally:
        os._exit(0)


def _announce_writes() -> None:
    """Make steps of whatever changes a disk in this process."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING):
            _steps.come_to(event)

    def announced(write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(handle: int, data: Any, *more: Any) -> Any:
            # Of a number of bytes to make room for there is no half.
            begin = None if isinstance(data, int) else lambda: write(handle, bytes(data)[: len(data) // 2], *more)
            _steps.come_to("write")
            _steps.come_to("write", begin)
            return write(handle, data, *more)

        return wrapped

    sys.addaudithook(hear)
    for name in ("write", "pwrite", "posix_fallocate"):
        if hasattr(os, name):
            setattr(os, name, announced(getattr(os, name)))


def _limit_files(size_bytes: int, on_excess: signal.Handlers) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, on_excess)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def _limit_handles(number: int) -> None:
    import resource

    free = (handle for handle in count() if not _is_open(handle))
    for _ in range(number):
        next(free)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(free), most))


def _is_open(handle: int) -> bool:
    try:
        os.fstat(handle)
    except OSError:
        return False
    return True
