"""Damaged objects of the store: each is named, nothing of it is used, and when it is whole again all goes on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from synccore.backends.base import Version
from synccore.backends.memory import MemoryBackend, Stored
from synccore.errors import ErrorKind, IntegrityError, NotFoundError, SyncError
from synccore.history import log
from synccore.keys import Key, head_key, journal_key, manifest_key
from synccore.testing.damages import DAMAGES, Damage
from synccore.testing.invariants import assert_is_at_head, assert_nothing_unfinished, assert_sound
from synccore.testing.lab import USER, Lab, Machine
from synccore.testing.trees import NodeTree, content_of, executable, link, noise

pytestmark = pytest.mark.vm

STATES: list[NodeTree] = [
    {
        "a": b"%d" % number,
        "b/noise": noise(50_000, number),
        "b/large": noise(1_200_000, number // 4),
        "l": link("a"),
        "r": executable(b"%d" % number),
        "steady": noise(3000, 99),
    }
    for number in range(6)
]


class DamagedLab(Lab):
    """A lab with a history, with any number of machines that are behind and of others that are new."""

    def __init__(self, folder: Path) -> None:
        self.memory = MemoryBackend()
        super().__init__(folder, self.memory)
        self._numbers = count()
        for number, tree in enumerate(STATES):
            self.laptop.lay(alpha=tree)
            self.laptop.push()
            if number == 1:
                self.machine.pull()

    def machines(self) -> tuple[Machine, Machine]:
        """Return a machine that is some uploads behind, and one that is new."""
        name = f"behind-{next(self._numbers)}"
        shutil.copytree(self.folder / "machine", self.folder / name, symlinks=True)
        return self.another_machine(name), self.another_machine(f"new-{name}")

    @contextmanager
    def damaged(self, key: Key, damage: Damage) -> Iterator[None]:
        """Damage what is stored under *key* for a while."""
        before = self.memory.objects[key]
        data = damage(before.data)
        if data is None:
            del self.memory.objects[key]
        else:
            # The version goes with the bytes, as everywhere.
            self.memory.objects[key] = Stored(data, Version("damaged"), before.modified_seconds)
        try:
            yield
        finally:
            self.memory.objects[key] = before


@pytest.fixture
def lab(tmp_path: Path) -> DamagedLab:
    return DamagedLab(tmp_path)


def keys_of(lab: DamagedLab, kind: str) -> list[Key]:
    """Every object of a kind that readers of the head may need."""
    head = lab.head()
    if kind == "head":
        return [head_key(USER)]
    if kind == "bundles":
        return sorted(key for key in lab.memory.objects if "/bundles/" in key)
    if kind == "journal":
        assert head.earlier is not None
        return [journal_key(USER, head.earlier.digest)]
    ref = head.repos["alpha"].manifest
    assert ref is not None
    return [manifest_key(USER, ref.digest)]


def assert_nothing_wrong(machine: Machine) -> None:
    """Check that every content on *machine* was uploaded for that very path at some time, and that nothing was saved."""
    tree = machine.read("alpha") if (machine.home / "alpha").exists() else {}
    for path, node in tree.items():
        assert content_of(node) in [content_of(state[path]) for state in STATES]
    assert machine.rescued() == []


@pytest.mark.parametrize("kind", ["head", "manifests", "bundles", "journal"])
def test_a_damaged_object_is_named_and_nothing_of_it_is_used(lab: DamagedLab, kind: str) -> None:
    for name, damage in DAMAGES.items():
        failed = 0
        for key in keys_of(lab, kind):
            behind, new = lab.machines()
            with lab.damaged(key, damage):
                for act in (behind.pull, new.pull, lambda: log(USER, lab.inner, limit=100)):
                    failed += assert_succeeds_or_names(key, act)
                assert_nothing_wrong(behind)
                assert_nothing_wrong(new)
            for machine in (behind, new):
                machine.pull()
                assert_is_at_head(machine, lab)
                assert_nothing_unfinished(machine)
                assert_nothing_wrong(machine)
        # What nobody needs of a bundle is not fetched, so that damage to it goes unseen.
        assert failed or (kind == "bundles" and name != "deleted"), name


def assert_succeeds_or_names(key: Key, act: Callable[[], object]) -> bool:
    """Do *act*, and tell whether it failed, with an error about *key*."""
    failure: SyncError | None = None
    try:
        act()
    except SyncError as error:
        failure = error
    if failure is None:
        return False
    if key == head_key(USER) and isinstance(failure, NotFoundError):
        assert failure.kind is ErrorKind.NO_HEAD
    else:
        assert isinstance(failure, IntegrityError)
        assert key in failure.message
    return True


@pytest.mark.parametrize("kind", ["manifests", "bundles", "journal"])
def test_a_laptop_without_memory_stops_at_a_damaged_object_or_does_without_it(lab: DamagedLab, kind: str) -> None:
    before = dict(lab.memory.objects)
    for number, damage in enumerate(DAMAGES.values()):
        for key in keys_of(lab, kind):
            lab.laptop.forget()
            lab.laptop.lay(alpha={**STATES[-1], "a": b"edit %d" % number})
            with lab.damaged(key, damage):
                failed = assert_succeeds_or_names(key, lambda: lab.laptop.push(force=True))
            if not failed:
                assert_sound(lab.inner)
            lab.memory.objects.update(before)


def test_a_laptop_moves_no_head_that_it_cannot_read(lab: DamagedLab) -> None:
    for name, damage in DAMAGES.items():
        lab.laptop.forget()
        lab.laptop.lay(alpha={**STATES[-1], "a": b"an edit"})
        with lab.damaged(head_key(USER), damage):
            if name == "deleted":
                # Then there is nothing, and nobody can tell that there ever was.
                continue
            there = lab.memory.objects[head_key(USER)]
            assert assert_succeeds_or_names(head_key(USER), lambda: lab.laptop.push(force=True))
            assert lab.memory.objects[head_key(USER)] == there


def test_an_object_of_another_kind_or_place_is_not_taken_for_the_right_one(lab: DamagedLab) -> None:
    _, new = lab.machines()
    manifest = lab.memory.objects[keys_of(lab, "manifests")[0]].data
    journal = lab.memory.objects[keys_of(lab, "journal")[0]].data
    head = lab.memory.objects[head_key(USER)].data
    for key, others in ((keys_of(lab, "manifests")[0], [journal, head]), (head_key(USER), [journal, manifest])):
        for other in others:
            with lab.damaged(key, lambda _data, other=other: other), pytest.raises(IntegrityError, match=key):  # type: ignore[misc]
                new.pull()
    assert_nothing_wrong(new)


def test_a_store_of_a_newer_format_is_said_to_be_newer_and_nothing_changes(lab: DamagedLab) -> None:
    def newer(data: bytes) -> bytes:
        return data[:5] + b"\2" + data[6:]

    before = lab.machine.read("alpha")
    with lab.damaged(head_key(USER), newer):
        for act in (lab.machine.pull, lambda: lab.laptop.push(force=True)):
            lab.laptop.forget()
            with pytest.raises(IntegrityError, match="format version 2; this program reads version 1") as refused:
                act()
            assert refused.value.kind is ErrorKind.NEWER_FORMAT
    assert lab.machine.read("alpha") == before
