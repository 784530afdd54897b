"""A Python beside this one, which answers what it is asked: threads of one interpreter take turns wherever Python itself is at work.

Invariant: nothing depends on it. Where it cannot be had, or ends early, whoever asked is told so and does the rest alone; and
it ends with whoever started it, however that one ends.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from subprocess import Popen

    from typing_extensions import Self

_SIZE = struct.Struct("<Q")

# What is longer was not said by our program: something else stands where Python is looked for, or has written between.
MAX_MESSAGE_BYTES = 256 * 2**20

# As much as Linux lets anybody have. With the usual 64 KiB both would wait for each other's turn with every tenth of an answer.
_PIPE_BYTES = 2**20

# It finds the modules of the system by itself, and looks for all others behind those.
_PROGRAM = "import sys; sys.path += sys.argv[2:]; from synccore.beside import serve; serve(sys.argv[1])"

Answering = Callable[[Iterator[bytes]], Iterator[bytes]]


class GoneError(Exception):
    """There is nobody beside us any more: what was asked and not answered is for the caller to do."""


class Beside:
    """A Python that runs *answering*; it is being started when this returns, and can be asked at once.

    It takes in whatever it is sent while it is at work, so that sending never waits for an answer to be taken: one thread may
    send long messages and take long answers in any order. How much lies there is for the sender to bound. One thread may send
    and another one receive.

    Use it as a context manager, or call `end`.

    Args:
        answering: ``module:function``, a function that is given the messages as they come and yields answers, as many as it
            likes. What it prints is lost. When no more messages can come the process ends, wherever the function is.

    Raises:
        GoneError: none can be started.
    """

    def __init__(self, answering: str) -> None:
        self._process = _started(answering)
        assert self._process.stdin is not None  # noqa: S101 - pipes were asked for
        assert self._process.stdout is not None  # noqa: S101 - likewise
        self._in, self._out = self._process.stdin, self._process.stdout
        for pipe in (self._in, self._out):
            _widen(pipe.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def process_id(self) -> int:
        """The id of its process."""
        return self._process.pid

    def send(self, message: bytes) -> None:
        """Say *message*.

        Raises:
            GoneError: nobody hears it.
        """
        try:
            self._in.write(_SIZE.pack(len(message)))
            self._in.write(message)
            self._in.flush()
        except (OSError, ValueError) as error:
            raise GoneError from error

    def receive(self) -> bytes:
        """Wait for the next answer.

        Raises:
            GoneError: none comes any more.
        """
        try:
            message = _read(self._out)
        except (OSError, ValueError, MemoryError) as error:
            raise GoneError from error
        if message is None:
            raise GoneError
        return message

    def end(self) -> None:
        """End it, whatever it is doing. Whoever waits for an answer in another thread is told that none comes."""
        # It keeps nothing that would have to be tidied up, and to ask it would take as long as what it is at.
        self._process.kill()
        self._process.wait()
        for pipe in (self._in, self._out):
            # What is still in our buffer has nowhere to go.
            with suppress(OSError, ValueError):
                pipe.close()


def _started(answering: str) -> Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):
        raise GoneError
    import subprocess

    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    # -I and -S: in 14 ms instead of 25, and nobody's variables, startup files or current directory have a say in what it runs.
    options = ["-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}", *(["-B"] if sys.dont_write_bytecode else [])]
    above_us = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is not needed here
    # A directory that one happens to be in is no place for modules.
    paths = [above_us, *filter(os.path.isabs, sys.path)]
    try:
        return subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, *options, "-c", _PROGRAM, answering, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=flags,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise GoneError from error


def _widen(pipe: int) -> None:
    if sys.platform == "linux":
        import fcntl

        # Who has many pipes may not have wide ones.
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _read(pipe: IO[bytes]) -> bytes | None:
    """Return the next message; ``None`` where none can come."""
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    if size > MAX_MESSAGE_BYTES:
        return None
    message = pipe.read(size)
    return message if len(message) == size else None


def serve(answering: str) -> None:
    """Be the Python beside another one, and answer what comes to the standard input until that ends."""
    import signal

    # ^C goes to all of a terminal's programs. What it means for us is for the one to say who started us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from queue import SimpleQueue
    from threading import Thread

    heard: SimpleQueue[bytes] = SimpleQueue()
    given, taken = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    module, _, name = answering.partition(":")
    answers: Answering = getattr(__import__(module, fromlist=[name]), name)
    Thread(target=_hear, args=(given, heard.put), daemon=True).start()
    try:
        for answer in answers(iter(heard.get, None)):
            taken.write(_SIZE.pack(len(answer)))
            taken.write(answer)
            taken.flush()
    finally:
        # The interpreter would end with a complaint about the thread that still listens.
        os._exit(0)


def _hear(given: IO[bytes], put: Callable[[bytes], object]) -> None:
    """Take in messages until none can come, and end the process: nobody waits for an answer any more."""
    try:
        while (message := _read(given)) is not None:
            put(message)
    finally:
        os._exit(0)
