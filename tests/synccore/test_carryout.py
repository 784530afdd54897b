from collections.abc import Callable
from pathlib import Path

import pytest

from synccore.backends.base import Found, Unchanged, Version
from synccore.backends.memory import MemoryBackend
from synccore.keys import Key
from synccore.testing.invariants import assert_is_at_head, assert_nothing_unfinished
from synccore.testing.lab import Lab
from synccore.testing.trees import executable, noise

pytestmark = pytest.mark.vm

MIB = 2**20
OLD = noise(6 * MIB)
NEW = OLD[: 3 * MIB] + b"an edit" + OLD[3 * MIB :]


class Meddling(MemoryBackend):
    """Storage during whose next transfer of a bundle something happens on the machine."""

    happening: Callable[[], object] | None = None

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        self._happen(key)
        return super().get(key, unless=unless)

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        self._happen(key)
        return super().get_range(key, start, length)

    def _happen(self, key: Key) -> None:
        if "/bundles/" in key and self.happening is not None:
            happening, self.happening = self.happening, None
            happening()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose machine has the old version of a large file."""
    lab = Lab(tmp_path, Meddling())
    lab.laptop.lay(alpha={"d/large": OLD, "a": "1"})
    lab.laptop.push()
    lab.machine.pull()
    return lab


def pull_the_new_version(lab: Lab) -> int:
    """Upload and pull; return how many bytes that brought."""
    lab.laptop.lay(alpha={"d/large": NEW, "a": "2"})
    lab.laptop.push()
    lab.backend.reset()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert_nothing_unfinished(lab.machine)
    return lab.backend.bytes_read


def test_what_the_old_version_of_a_large_file_has_is_not_fetched(lab: Lab) -> None:
    assert pull_the_new_version(lab) < 2 * MIB


def test_nor_is_what_somebodys_edit_of_it_has_and_the_edit_is_saved(lab: Lab) -> None:
    edited = b"her line\n" + OLD
    (lab.machine.home / "alpha/d/large").write_bytes(edited)
    assert pull_the_new_version(lab) < 3 * MIB
    (saved,) = lab.machine.rescued()
    assert saved == {"alpha/d/large": edited}


def test_a_machine_that_lost_its_memory_fetches_no_large_file_that_it_has(lab: Lab) -> None:
    lab.machine.forget()
    lab.backend.reset()
    (line,) = lab.machine.pull().repos
    assert (line.written, line.saved) == ((), ())
    assert lab.backend.bytes_read < MIB


def test_a_large_file_that_only_becomes_executable_is_not_fetched(lab: Lab) -> None:
    lab.laptop.lay(alpha={"d/large": executable(OLD), "a": "1"})
    lab.laptop.push()
    lab.backend.reset()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert lab.backend.bytes_read < MIB


def gone(path: Path) -> None:
    path.unlink()


def shorter(path: Path) -> None:
    path.write_bytes(OLD[: 2 * MIB])


def overwritten_in_place(path: Path) -> None:
    path.write_bytes(noise(6 * MIB, 3))


def behind_a_link(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")


@pytest.mark.parametrize("meddle", [gone, shorter, overwritten_in_place, behind_a_link])
def test_what_is_not_at_hand_any_more_when_it_is_needed_is_fetched(lab: Lab, meddle: Callable[[Path], None]) -> None:
    assert isinstance(lab.inner, Meddling)
    large = lab.machine.home / "alpha/d/large"
    lab.laptop.lay(alpha={"d/large": NEW, "a": "2"})
    lab.laptop.push()
    lab.inner.happening = lambda: meddle(large)
    lab.machine.pull()
    assert lab.inner.happening is None
    assert lab.machine.read("alpha")["d/large"] == NEW
    assert_nothing_unfinished(lab.machine)
