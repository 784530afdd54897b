"""A Python beside this one: what is asked is answered, and whoever ends first, the other is told and nothing is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from synccore.beside import Beside, GoneError

ANSWERING = """
import os

def echo(messages):
    for message in messages:
        yield message

def twice(messages):
    for message in messages:
        yield message
        yield message

def who(messages):
    for message in messages:
        print("this is no answer")
        yield str(os.getpid()).encode()

def path(messages):
    import queue
    for message in messages:
        yield queue.__file__.encode()

def fail(messages):
    for message in messages:
        raise ValueError(message)

def hang(messages):
    for message in messages:
        yield str(os.getpid()).encode()
        while True:
            os.read(os.pipe()[0], 1)
"""

PARENT = """
import sys
from synccore.beside import Beside
beside = Beside("answering:hang")
beside.send(b"")
print(beside.receive().decode(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have functions that answer, in a module called answering."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "answering.py").write_text(ANSWERING)
    monkeypatch.syspath_prepend(folder)
    return folder


def is_gone(beside: Beside) -> bool:
    try:
        beside.receive()
    except GoneError:
        return True
    return False


def open_handles() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_messages_are_answered_in_order() -> None:
    with Beside("answering:echo") as beside:
        messages = [b"", b"one", bytes(range(256)) * 1000]
        for message in messages:
            beside.send(message)
        assert [beside.receive() for _ in messages] == messages


def test_a_message_may_have_several_answers() -> None:
    with Beside("answering:twice") as beside:
        beside.send(b"one")
        beside.send(b"two")
        assert [beside.receive() for _ in range(4)] == [b"one", b"one", b"two", b"two"]


def test_long_messages_can_be_sent_before_their_long_answers_are_taken() -> None:
    with Beside("answering:echo") as beside:
        messages = [os.urandom(4 * 2**20) for _ in range(6)]
        for message in messages:
            beside.send(message)
        assert [beside.receive() for _ in messages] == messages


def test_what_is_printed_there_is_no_answer() -> None:
    with Beside("answering:who") as beside:
        beside.send(b"")
        assert int(beside.receive()) != os.getpid()


def test_modules_of_the_system_are_not_looked_for_where_one_happens_to_be(
    tmp_path: Path, answering: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path, answering):
        (folder / "queue.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    with Beside("answering:path") as beside:
        beside.send(b"")
        assert b"modules" not in beside.receive()


@pytest.mark.parametrize("function", ["answering:fail", "answering:missing", "missing:echo"])
def test_whoever_asks_is_told_of_a_failure_and_nobody_else_is(function: str, capfd: pytest.CaptureFixture[str]) -> None:
    with Beside(function) as beside:
        assert is_gone_after_a_message(beside)
    assert capfd.readouterr() == ("", "")


def is_gone_after_a_message(beside: Beside) -> bool:
    try:
        beside.send(b"one")
    except GoneError:
        return True
    return is_gone(beside)


def test_whoever_asks_is_told_that_the_other_was_killed() -> None:
    with Beside("answering:who") as beside:
        beside.send(b"")
        os.kill(int(beside.receive()), signal.SIGTERM)
        assert is_gone(beside)
        with pytest.raises(GoneError):
            beside.send(bytes(2**20))


@pytest.mark.parametrize("executable", ["", "no/such/python"])
def test_where_there_is_no_python_to_start_one_is_told_at_once(
    executable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(GoneError):
        Beside("answering:echo")


@pytest.mark.vm
@pytest.mark.parametrize("program", ["true", "yes"])
def test_what_is_no_python_is_found_out(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", f"/usr/bin/{program}")
    with Beside("answering:echo") as beside:
        assert is_gone_after_a_message(beside)


def test_whoever_waits_for_an_answer_is_told_that_it_was_ended() -> None:
    with Beside("answering:hang") as beside:
        beside.send(b"")
        beside.receive()
        gone: list[bool] = []
        waiting = Thread(target=lambda: gone.append(is_gone(beside)))
        waiting.start()
    waiting.join()
    assert gone == [True]


@pytest.mark.vm
def test_nothing_is_left_of_it_when_it_was_ended() -> None:
    handles = open_handles()
    with Beside("answering:who") as beside:
        beside.send(b"")
        process = int(beside.receive())
    assert open_handles() == handles
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.vm
def test_an_interrupt_of_the_terminal_does_not_end_it() -> None:
    with Beside("answering:who") as beside:
        beside.send(b"")
        process = int(beside.receive())
        os.kill(process, signal.SIGINT)
        beside.send(b"")
        assert int(beside.receive()) == process


@pytest.mark.vm
def test_it_ends_with_whoever_started_it(answering: Path) -> None:
    import select

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(answering), *filter(None, sys.path)])}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as parent:
        assert parent.stdout is not None
        process = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert select.select([process], [], [], 60) == ([process], [], [])
    os.close(process)
