"""Clocks that are wrong: no machine believes another's, and what a file's time says is never all that counts."""

import os
import time
from pathlib import Path

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.errors import ConflictError
from synccore.history import log
from synccore.testing.invariants import assert_is_at_head
from synccore.testing.lab import USER, Lab, Laptop, Machine
from synccore.testing.trees import nodes

YEAR_NS = 365 * 24 * 3600 * 10**9


class Shifted:
    """A clock that is wrong by *shift_ns*."""

    def __init__(self, shift_ns: int) -> None:
        self.shift_ns = shift_ns

    def __call__(self) -> int:
        return time.time_ns() + self.shift_ns


@pytest.mark.parametrize("shift_ns", [-YEAR_NS, YEAR_NS], ids=["a year behind", "a year ahead"])
def test_laptops_and_machines_whose_clocks_are_a_year_apart_go_on_as_always(shift_ns: int, tmp_path: Path) -> None:
    lab = Lab(tmp_path, MemoryBackend())
    wrong = Laptop(tmp_path / "wrong", lab.backend, Shifted(shift_ns))  # type: ignore[arg-type] # a clock like any other
    machine = Machine(tmp_path / "other-machine", lab.backend, Shifted(-shift_ns))  # type: ignore[arg-type] # as above
    for turn, laptop in enumerate([lab.laptop, wrong, lab.laptop, wrong]):
        laptop.lay(alpha={"a": f"{turn}", "same": "s"})
        if turn == 1:
            with pytest.raises(ConflictError):
                laptop.push()
        laptop.push(force=True)
        for each in (lab.machine, machine):
            each.pull()
            assert each.read("alpha") == nodes({"a": f"{turn}", "same": "s"})
    assert [line.sequence for line in log(USER, lab.inner, limit=10)] == [4, 3, 2, 1]


def test_an_edit_is_saved_on_a_machine_whose_clock_jumps_back(tmp_path: Path) -> None:
    lab = Lab(tmp_path, MemoryBackend())
    clock = Shifted(0)
    machine = Machine(tmp_path / "jumping", lab.backend, clock)  # type: ignore[arg-type] # as above
    for turn in range(3):
        lab.laptop.lay(alpha={"a": f"{turn}"})
        lab.laptop.push()
        machine.pull()
        assert_is_at_head(machine, lab)
        (machine.home / "alpha" / "a").write_text(f"hers {turn}")
        clock.shift_ns -= YEAR_NS
    lab.laptop.lay(alpha={"a": "last"})
    lab.laptop.push()
    machine.pull()
    saved = [path.read_text() for path in (machine.home / ".rescued").rglob("a")]
    assert sorted(saved) == ["hers 0", "hers 1", "hers 2"]


def test_an_edit_whose_time_was_set_back_is_uploaded_and_one_that_was_made_here_is_saved(tmp_path: Path) -> None:
    lab = Lab(tmp_path, MemoryBackend())
    lab.laptop.lay(alpha={"a": "11", "b": "11"})
    lab.laptop.push()
    lab.machine.pull()
    on_the_laptop, on_the_machine = lab.laptop.code / "alpha" / "a", lab.machine.home / "alpha" / "a"
    for path, text in ((on_the_laptop, "22"), (on_the_machine, "33")):
        before = path.stat()
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    lab.laptop.push()
    (line,) = lab.machine.pull().repos
    assert [saved.saved_as.read_text() for saved in line.saved] == ["33"]
    assert_is_at_head(lab.machine, lab)
