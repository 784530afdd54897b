"""One at a time."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from synccore.errors import ErrorKind, WorktreeError
from synccore.testing.killing import in_a_copy, is_killed_at
from synccore.worktree.lock import TreeLock

NOON_NS = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z

HOLDER = """
import sys
from pathlib import Path
from synccore.worktree.lock import TreeLock
lock = TreeLock(Path(sys.argv[1]))
lock.acquire(0)
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state" / "lock"


def start_holder(place: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def end(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()


def test_a_second_holder_in_the_process_is_refused_with_the_name_of_the_first(place: Path) -> None:
    with TreeLock(place, now_ns=lambda: NOON_NS).held(0), pytest.raises(WorktreeError) as caught:
        TreeLock(place).acquire(0)
    assert caught.value.kind is ErrorKind.LOCKED
    assert caught.value.facts == {"path": str(place), "holder_pid": os.getpid(), "since": "2026-01-01T12:00:00Z"}
    assert f"process {os.getpid()} since 2026-01-01T12:00:00Z" in caught.value.message


def test_a_holder_in_another_process_is_named_and_its_release_is_enough(place: Path) -> None:
    holder = start_holder(place)
    try:
        with pytest.raises(WorktreeError) as caught:
            TreeLock(place).acquire(0)
        assert caught.value.facts["holder_pid"] == holder.pid
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "released\n"
        with TreeLock(place).held(0) as lock:
            assert not lock.after_crash
    finally:
        end(holder)


def test_a_killed_holder_holds_nothing_and_its_crash_is_known_once(place: Path) -> None:
    holder = start_holder(place)
    os.kill(holder.pid, signal.SIGKILL)
    end(holder)
    with TreeLock(place).held(0) as lock:
        assert lock.after_crash
    with TreeLock(place).held(0) as lock:
        assert not lock.after_crash


def test_who_waits_gets_the_lock_when_it_is_released(place: Path) -> None:
    first, second = TreeLock(place), TreeLock(place)
    first.acquire(0)
    pauses: list[float] = []

    def release_at_the_third_pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            first.release()

    waiting = TreeLock(place, sleep=release_at_the_third_pause)
    waiting.acquire(60)
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    with pytest.raises(WorktreeError):
        second.acquire(0)
    waiting.release()
    second.acquire(0)
    second.release()


def test_the_wait_ends_at_its_limit(place: Path) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 0.1
        now[0] += seconds

    waiting = TreeLock(place, monotonic=lambda: now[0], sleep=sleep)
    with TreeLock(place).held(0), pytest.raises(WorktreeError, match=r"waited 2 s"):
        waiting.acquire(2)
    assert now[0] == pytest.approx(2)


def test_threads_exclude_each_other(place: Path) -> None:
    inside: list[int] = []
    seen: list[int] = []

    def work() -> None:
        for _ in range(20):
            with TreeLock(place).held(60):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 80


FORK = """
import os, sys
from pathlib import Path
from synccore.errors import WorktreeError
from synccore.worktree.lock import TreeLock
lock = TreeLock(Path(sys.argv[1]))
lock.acquire(0)
child = os.fork()
if child == 0:
    lock.release()
    os._exit(0)
os.waitpid(child, 0)
try:
    TreeLock(Path(sys.argv[1])).acquire(0)
except WorktreeError as error:
    print(error.facts["holder_pid"] == os.getpid())
"""


def test_a_forked_child_does_not_give_back_its_parents_lock(place: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", FORK, str(place)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "True\n"


def test_a_lock_that_is_given_back_can_be_taken_again(place: Path) -> None:
    lock = TreeLock(place)
    for _ in range(2):
        lock.acquire(0)
        lock.release()
    lock.release()
    assert place.read_text() == ""


def test_an_error_inside_gives_the_lock_back(place: Path) -> None:
    with pytest.raises(ZeroDivisionError), TreeLock(place).held(0):
        raise ZeroDivisionError
    with TreeLock(place).held(0):
        assert place.read_text().startswith(f"pid {os.getpid()} since ")


def test_a_programs_children_do_not_inherit_the_lock(place: Path) -> None:
    lock = TreeLock(place)
    lock.acquire(0)
    assert lock._handle is not None
    assert fcntl.fcntl(lock._handle, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    lock.release()


@pytest.mark.parametrize("note", ["", "garbage\n", "pid x since y\n", "pid 1 since 2026-01-01T12:00:00Z"])
def test_a_note_that_says_nothing_is_no_obstacle(note: str, place: Path) -> None:
    with TreeLock(place).held(0):
        place.write_text(note)
        with pytest.raises(WorktreeError, match="another process") as caught:
            TreeLock(place).acquire(0)
        assert caught.value.facts["holder_pid"] is None


def test_a_place_where_no_lock_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorktreeError, match="cannot open the lock file") as caught:
        TreeLock(tmp_path / "file" / "lock").acquire(0)
    assert caught.value.facts["path"] == str(tmp_path / "file" / "lock")


def test_a_crash_is_not_forgotten_by_one_that_is_killed_while_it_takes_the_lock(place: Path) -> None:
    lock = TreeLock(place)

    def die_at_work() -> None:
        lock.acquire(0)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_copy(die_at_work).was_killed
    for step in range(10):
        if not is_killed_at(step, lambda: TreeLock(place).acquire(0)):
            break
        with TreeLock(place).held(0) as after:
            assert after.after_crash, f"forgotten by one that was killed at step {step}"
        assert in_a_copy(die_at_work).was_killed
    assert step > 1
