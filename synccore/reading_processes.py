"""Reading by several processes: Pythons beside this one that read and pack a part of what there is to read.

Opening, reading and hashing a small file is 16 µs, a third of it with the interpreter's lock, and compressing it 27. With one other process on two
processors 30,000 files (334 MB) are taken in within 0.8 s, by two threads of one interpreter within 1.4.

Invariant: each file is read by exactly one of us; what a process has taken and not answered when it ends is read by the others.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from threading import Lock, Semaphore
from typing import TYPE_CHECKING

from synccore.beside import Beside, GoneError
from synccore.errors import IntegrityError
from synccore.reading import BATCH_FILES, Batch, Reader, batch_of, beginning, request
from synccore.workers import GLANCE_SECONDS, Workers
from synccore.worktree.scan import Unread

if TYPE_CHECKING:
    from typing_extensions import Self

_MOST = 3

_ANSWERING = "synccore.reading:answers"

# A process has two requests, so that it never waits for one.
_REQUESTS = 2

# So many answers may wait to be taken; one has a block.
_AHEAD = 8

# What is left is handed out in parts of a share of it, so that all end at the same time.
_SHARES = 4
_MIN_FILES = 32


class ReadingProcesses:
    """The Pythons beside this one: one less than there are processors, so far as they can be started. Leaving the context ends them.

    Attributes:
        besides: those that there are.
    """

    def __init__(self) -> None:
        self.besides: list[Beside] = []
        self._answers: _Answers | None = None
        with suppress(GoneError):
            for _ in range(min(_MOST, _processors() - 1)):
                self.besides.append(Beside(_ANSWERING))

    def __enter__(self) -> Self:
        return self

    @staticmethod
    def prepare() -> None:
        """Load what reading much needs sooner or later: 20 ms, for while this process has to wait for something anyway."""
        import pyfastcdc  # noqa: F401 - to have it

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End them, whatever they are doing."""
        if self._answers is not None:
            self._answers.end()
        while self.besides:
            self.besides.pop().end()

    def read(
        self, reader: Reader, items: Sequence[Unread], read_ours: Callable[[Iterator[Unread]], Iterator[Batch]]
    ) -> Iterator[Batch]:
        """Read and pack *items*, each by one of us; batches come as they are ready.

        Args:
            reader: knows the tree and what is stored.
            items: what to read.
            read_ours: reads and packs what falls to this process.
        """
        work = _Work(items, len(self.besides) + 1)
        answers = self._answers = _Answers(len(self.besides))
        begun = beginning(reader.root, reader.claims)
        with ExitStack() as stack:
            workers = stack.enter_context(Workers(_MOST, "reading"))
            # If this is left early, nobody is to wait for what nobody takes.
            stack.push(lambda kind, *_: self.end() if kind is not None else None)
            leading = [
                workers.submit(_lead, beside, begun, work, answers, reader.is_keeping_up) for beside in self.besides
            ]
            while True:
                for batch in read_ours(work.ours()):
                    yield batch
                    yield from _heard(reader, answers.at_hand())
                if not answers.left:
                    break
                # What comes last may be that somebody has gone, and then there is more for us to read.
                yield from _heard(reader, answers.next())
            for done in leading:
                done.result()


def _heard(reader: Reader, batches: Iterator[Batch]) -> Iterator[Batch]:
    for batch in batches:
        if batch.block is not None:
            reader.claims.hear(batch.block.chunks)
        yield batch


def _processors() -> int:
    """Return how many processors are ours."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Work:
    """Files to read, of which whoever is free takes the next few."""

    def __init__(self, items: Sequence[Unread], takers: int) -> None:
        self._lock = Lock()
        self._items = items
        self._taken = 0
        self._takers = takers
        self._back: list[Sequence[Unread]] = []

    def take(self, most: int = BATCH_FILES) -> Sequence[Unread]:
        """Return the next few files; none if there are none."""
        with self._lock:
            if self._back:
                return self._back.pop()
            left = len(self._items) - self._taken
            count = min(most, max(left // (_SHARES * self._takers), _MIN_FILES), left)
            self._taken += count
            return self._items[self._taken - count : self._taken]

    def give_back(self, items: Sequence[Unread]) -> None:
        """Take files back that nobody has read."""
        if items:
            with self._lock:
                self._back.append(items)

    def ours(self) -> Iterator[Unread]:
        """Yield files for this process to read, until there are none."""
        while items := self.take(_MIN_FILES):
            yield from items


class _Answers:
    """What so many *processes* have brought and nobody has taken yet.

    Attributes:
        left: how many of them may bring more.
    """

    def __init__(self, processes: int) -> None:
        self.left = processes
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._room = Semaphore(_AHEAD)
        self._is_over = False

    def wait_for_room(self) -> bool:
        """Wait until one more answer may come; ``False`` if nobody wants it any more."""
        self._room.acquire()
        return not self._is_over

    def bring(self, batch: Batch | None) -> None:
        """Bring an answer; ``None`` if no more come from one of the processes."""
        self._queue.put(batch)

    def next(self) -> Iterator[Batch]:
        """Wait for the next answer, and yield it; nothing if one of the processes has no more."""
        while True:
            with suppress(Empty):
                batch = self._queue.get(timeout=GLANCE_SECONDS)
                break
        if batch is None:
            self.left -= 1
        else:
            self._room.release()
            yield batch

    def at_hand(self) -> Iterator[Batch]:
        """Yield the answers that need not be waited for."""
        while not self._queue.empty():
            yield from self.next()

    def end(self) -> None:
        """Let nobody wait any more."""
        self._is_over = True
        self._room.release(2 * _MOST)


def _lead(beside: Beside, begun: bytes, work: _Work, answers: _Answers, is_keeping_up: Callable[[], bool]) -> None:
    """Give *beside* files to read as long as there are some, and bring its answers."""
    asked: deque[Sequence[Unread]] = deque()
    try:
        beside.send(begun)
        while True:
            while len(asked) < _REQUESTS and (items := work.take()):
                asked.append(items)
                beside.send(request(items, quickly=is_keeping_up()))
            if not asked or not answers.wait_for_room():
                return
            batch = batch_of(beside.receive(), beside.receive(), asked[0])
            asked[0] = asked[0][batch.files :]
            if not asked[0]:
                asked.popleft()
            answers.bring(batch)
    except (GoneError, IntegrityError):
        for items in asked:
            work.give_back(items)
    finally:
        answers.bring(None)
