"""A whole lab in one process: laptops and machines around one store.

Invariant: each actor has its own files and its own memory; nothing but the store connects them.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from synccore.backends.base import Backend
from synccore.backends.memory import MemoryBackend
from synccore.backends.patience import USUAL, Patience
from synccore.backends.recording import RecordingBackend
from synccore.digest import Digest
from synccore.head import Head
from synccore.look import Source
from synccore.provenance import Author
from synccore.pull import pull
from synccore.pullreport import PullReport
from synccore.push import PushReport, push
from synccore.refs import HeadAt, read_head
from synccore.store import Store
from synccore.testing.trees import NodeTree, TreeLiteral, lay, read
from synccore.worktree.laptop import LaptopState

USER = "ann"

# Longer than any time stamp of a file is ever taken to be inaccurate.
_AHEAD_NS = 10 * 10**9


class Clock:
    """The time as the engine is told it."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def __call__(self) -> int:
        """Return nanoseconds since 1970."""
        return time.time_ns() + self._ahead_ns

    def run_ahead(self) -> None:
        """From now on, files that were just written count as old, so that their times are believed.

        Sound for files that `synccore.testing.trees.lay` has made, each of which has a time of its own.
        """
        self._ahead_ns = _AHEAD_NS


class Laptop:
    """Somebody's laptop: trees under ``code``, and what it remembers of the store."""

    def __init__(self, folder: Path, backend: Backend, clock: Clock, *, patience: Patience = USUAL) -> None:
        self.code = folder / "code"
        self.state = LaptopState(folder / "state")
        self.state_folder = folder / "state"
        self.store = Store(
            backend=backend,
            user=USER,
            state=self.state,
            author=Author(user=USER, host=folder.name),
            now_ns=clock,
            patience=patience,
        )

    def lay(self, **repos: TreeLiteral) -> None:
        """Make the trees of *repos* exactly these."""
        for repo, literal in repos.items():
            lay(self.code / repo, literal)

    def push(self, *repos: str, force: bool = False, repair: bool = False) -> PushReport:
        """Push *repos*, all that there are if none is named."""
        names = repos or sorted(path.name for path in self.code.iterdir())
        sources = [Source(repo=repo, root=self.code / repo) for repo in names]
        return push(sources, store=self.store, force=force, repair=repair)

    def forget(self) -> None:
        """Lose what is remembered of the store."""
        shutil.rmtree(self.state_folder, ignore_errors=True)


class Machine:
    """Somebody's notebook machine: trees under ``synccode``."""

    def __init__(self, folder: Path, backend: Backend, clock: Clock) -> None:
        self.home = folder / "synccode"
        self._backend = backend
        self._clock = clock

    @property
    def memory_folder(self) -> Path:
        """Where the machine keeps what it remembers."""
        return self.home / ".synccode"

    def pull(self) -> PullReport:
        """Bring the trees to what the head names."""
        return pull(self.home, user=USER, backend=self._backend, store="lab", now_ns=self._clock)

    def read(self, repo: str) -> NodeTree:
        """Read the tree of *repo*."""
        return read(self.home / repo)

    def trees(self) -> dict[str, NodeTree]:
        """Read every tree."""
        return {path.name: read(path) for path in sorted(self.home.iterdir()) if path.is_dir() and path.name[0] != "."}

    def rescued(self) -> list[NodeTree]:
        """Read what was saved, one tree for each time's folder; its paths begin with the repository."""
        area = self.home / ".rescued"
        return [read(folder) for folder in sorted(area.iterdir()) if folder.is_dir()] if area.is_dir() else []

    def forget(self) -> None:
        """Lose what is remembered."""
        shutil.rmtree(self.memory_folder, ignore_errors=True)


class Lab:
    """Laptops and machines that share a store.

    Args:
        folder: where everybody's files are.
        inner: the storage.
        clock: everybody's time.
        patience: how long laptops try to move a head whose state is in doubt.

    Attributes:
        backend: the storage as all share it, with a count of what is asked of it.
        clock: everybody's time.
        laptop: the first laptop.
        machine: the first machine.
    """

    def __init__(self, folder: Path, inner: Backend, *, clock: Clock | None = None, patience: Patience = USUAL) -> None:
        self.folder = folder
        self.inner = inner
        self.backend = RecordingBackend(inner)
        self.clock = clock or Clock()
        self._patience = patience
        self.laptop = self.another_laptop("laptop")
        self.machine = self.another_machine("machine")

    def another_laptop(self, name: str) -> Laptop:
        """Add a laptop."""
        return Laptop(self.folder / name, self.backend, self.clock, patience=self._patience)

    def another_machine(self, name: str) -> Machine:
        """Add a machine."""
        return Machine(self.folder / name, self.backend, self.clock)

    def head(self) -> Head:
        """Read the head, uncounted.

        Raises:
            AssertionError: there is none.
        """
        at = read_head(self.inner, USER)
        assert isinstance(at, HeadAt), "nothing was uploaded"
        return at.head

    def snapshots(self) -> dict[str, Digest]:
        """Return the snapshot of each repository in the head."""
        return {repo: at.snapshot for repo, at in self.head().repos.items()}

    def counted(self, act: Callable[[], object]) -> Mapping[str, int]:
        """Do *act* and return what it asked of the storage."""
        self.backend.reset()
        act()
        return dict(self.backend.calls)


@contextmanager
def lab_in_memory() -> Iterator[Lab]:
    """A lab of its own with a store in memory, gone afterwards; for the many examples of one property."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        yield Lab(Path(folder), MemoryBackend())
