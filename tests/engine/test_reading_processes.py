"""Large trees, which other processes help to read: what arrives is what was there, and nothing is stored that is there already."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.intake import Intake, take_in
from synccore.look import Look, Source
from synccore.reading import Claims
from synccore.reading_processes import ReadingProcesses
from synccore.testing.invariants import assert_same_tree, assert_sound
from synccore.testing.lab import Lab
from synccore.testing.trees import TreeLiteral, lay, link, noise

ALPHA: TreeLiteral = {
    **{f"d{number % 7}/{number:03}": noise(3000, number) for number in range(300)},
    "a": link("d0/000"),
    "large": noise(3_000_000),
}
BETA: TreeLiteral = {**{f"b{number:03}": noise(3000, number) for number in range(200)}, "mine": noise(500_000)}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have two processes help with trees as small as ours; the processes that were started are noted."""
    monkeypatch.setattr("synccore.intake.FILES_FOR_PROCESSES", 10)
    monkeypatch.setattr("synccore.reading_processes._processors", lambda: 3)
    noted: list[int] = []
    start = ReadingProcesses.__init__

    def start_and_note(processes: ReadingProcesses) -> None:
        start(processes)
        noted.extend(beside.process_id for beside in processes.besides)

    monkeypatch.setattr(ReadingProcesses, "__init__", start_and_note)
    return noted


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_two_large_trees_arrive_as_they_were(tmp_path: Path, started: list[int]) -> None:
    lab = Lab(tmp_path, MemoryBackend())
    lab.laptop.lay(alpha=ALPHA, beta=BETA)
    lab.laptop.push()
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), ALPHA)
    assert_same_tree(lab.machine.read("beta"), BETA)
    assert_sound(lab.inner)
    assert len(started) == 2
    assert all(map(is_gone, started))


def test_of_many_files_that_were_touched_those_are_stored_that_were_edited(tmp_path: Path, started: list[int]) -> None:
    lab = Lab(tmp_path, MemoryBackend())
    lab.laptop.lay(alpha=ALPHA)
    lab.laptop.push()
    for path in (tmp_path / "laptop/code/alpha").rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, ns=(10**18, 10**18))
    edited = {**ALPHA, "d0/007": noise(3000, 1007), "d1/008": noise(3000, 1008)}
    lab.laptop.lay(alpha=edited)
    del started[:]
    lab.backend.reset()
    lab.laptop.push()
    assert lab.backend.bytes_written < 20_000
    assert len(started) == 2
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), edited)


def test_a_tree_is_stored_anew_by_several_processes_too(tmp_path: Path, started: list[int]) -> None:
    lab = Lab(tmp_path, MemoryBackend())
    lab.laptop.lay(alpha=ALPHA)
    lab.laptop.push()
    lab.backend.reset()
    lab.laptop.push(repair=True)
    assert lab.backend.bytes_written > 300 * 3000
    lab.laptop.forget()
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), ALPHA)
    assert_sound(lab.inner)


@pytest.mark.parametrize(("size_bytes", "processes"), [(1_000, 0), (20_000, 2)])
def test_hands_are_called_for_by_much_in_few_files(
    size_bytes: int, processes: int, tmp_path: Path, started: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synccore.intake.FILES_FOR_PROCESSES", 1000)
    monkeypatch.setattr("synccore.intake._BYTES_FOR_PROCESSES", 1_000_000)
    lab = Lab(tmp_path, MemoryBackend())
    lab.laptop.lay(alpha={f"{number:03}": noise(size_bytes, number) for number in range(100)})
    lab.laptop.push()
    assert len(started) == processes


@pytest.mark.parametrize(
    ("list_bytes", "is_git", "times"),
    [
        pytest.param(100, True, 1, id="a long list"),
        pytest.param(10**6, True, 0, id="a short list"),
        pytest.param(100, False, 0, id="a plain folder"),
    ],
)
def test_hands_are_called_for_while_git_lists_a_tree_that_is_new(
    *, list_bytes: int, is_git: bool, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synccore.look._LARGE_LIST_BYTES", list_bytes)
    root, called = tmp_path / "alpha", []
    lay(root, {"a": "1", "b": "2"})
    if is_git:
        subprocess.run(["git", "init", "-q", str(root)], check=True)
        subprocess.run(["git", "-C", str(root), "add", "."], check=True)
    for _ in range(2):
        look = Look(Source("alpha", root), tmp_path / "cache", time.time_ns, at_many=lambda: called.append(1))
        intake = Intake()
        list(take_in(root, look.scan.unread, Claims(lambda _digest: True), intake))
        look.finish(intake)
    # What was looked at before is known: little of it will have to be read.
    assert len(called) == times


@pytest.mark.parametrize(("touched", "times"), [(1, 0), (2, 1)])
def test_hands_are_called_for_when_many_files_were_touched(
    touched: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synccore.look.FILES_FOR_PROCESSES", 2)
    root, called = tmp_path / "alpha", []
    lay(root, {"a": "1", "b": "2", "c": "3"})

    def look() -> None:
        look = Look(Source("alpha", root), tmp_path / "cache", lambda: 2 * 10**18, at_many=lambda: called.append(1))
        intake = Intake()
        list(take_in(root, look.scan.unread, Claims(lambda _digest: True), intake))
        look.finish(intake)

    look()
    for name in "abc"[:touched]:
        os.utime(root / name, (1_700_000_000, 1_700_000_000))
    look()
    assert len(called) == times
