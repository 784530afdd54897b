"""A lab on a disk that can be put back to what it was, so that one operation can be interrupted at each of its steps."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from synccore.backends.local import LocalBackend
from synccore.delete import delete
from synccore.digest import digest_of
from synccore.errors import NotFoundError
from synccore.testing.invariants import assert_nothing_unfinished
from synccore.testing.killing import SteppingBackend, is_killed_at, is_killed_beyond
from synccore.testing.lab import USER, Lab, Machine
from synccore.testing.trees import NodeTree

_IN_MEMORY = "/dev/shm"

Trees = Mapping[str, NodeTree]


class World:
    """A laptop, a machine and a store below *folder*."""

    def __init__(self, folder: Path) -> None:
        self._kept = folder / "kept"
        self.folder = folder / "now"
        self.folder.mkdir(parents=True)
        self.store = LocalBackend(self.folder / "store")
        self.lab = Lab(self.folder, SteppingBackend(self.store))
        self.laptop = self.lab.laptop
        self.machine = self.lab.machine
        self._readers = count()

    def keep(self) -> None:
        """From now on `put_back` comes back to this instant."""
        shutil.copytree(self.folder, self._kept, symlinks=True)

    def put_back(self) -> None:
        """Make everything what it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder, symlinks=True)

    def upload(self, trees: Trees) -> None:
        """Have the laptop upload *trees*."""
        self.laptop.lay(**trees)
        self.laptop.push()

    def seen_by_a_reader(self) -> dict[str, NodeTree] | None:
        """Return what somebody sees who downloads for the first time; ``None`` if there is nothing to be had."""
        reader: Machine = self.lab.another_machine(f"reader{next(self._readers)}")
        try:
            reader.pull()
        except NotFoundError:
            return None
        return reader.trees()

    def check_store(self) -> None:
        """Check that every object that can be seen is whole."""
        for path in (self.folder / "store" / USER).glob("*/*"):
            if not path.name.startswith("."):
                assert digest_of(path.read_bytes()).hex() == path.name, f"{path} is half an object"

    def check_laptop(self) -> None:
        """Check that no file in the making is left of the laptop's memory."""
        left = [str(path) for path in self.laptop.state_folder.rglob("*.tmp")]
        assert left == []

    def check_machine(self) -> None:
        """Check that nothing unfinished is left on the machine."""
        assert_nothing_unfinished(self.machine)

    def pull_if_any(self) -> None:
        """Have the machine download, if there is something."""
        with suppress(NotFoundError):
            self.machine.pull()

    def delete_if_any(self) -> None:
        """Take alpha out of the head, if it is there."""
        with suppress(NotFoundError):
            delete("alpha", store=self.laptop.store)


@contextmanager
def a_world() -> Iterator[World]:
    """A world that is gone afterwards; in memory where the system has a place for that, for there are thousands."""
    place = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="world-", dir=place) as folder:
        yield World(Path(folder))


# How much of a file is written: nothing, a part of what is smallest, and on to more than anything here is.
_SIZES = (0, 1, 20, *(4**power for power in range(3, 12)))


def killed_everywhere(world: World, act: Callable[[], object]) -> Iterator[int]:
    """Do *act* again and again in the same world, killed at each step in turn and beyond each size; yield after each.

    Yields:
        The number of the attempt; the last two attempts of all are not killed.
    """
    attempt = count()
    for how, places in ((is_killed_at, count()), (is_killed_beyond, iter(_SIZES))):
        is_killed = True
        while is_killed:
            world.put_back()
            is_killed = how(next(places), act)
            yield next(attempt)
