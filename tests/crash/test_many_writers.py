"""Laptops that upload in loops, readers and machines that look all the time, all of them processes of their own.

Every head that is ever seen is one state that some laptop had; nothing that was reported is missing, nothing is there twice.
"""

from __future__ import annotations

import os
import random
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import pytest

from synccore.backends.base import Backend, Found, Unchanged, Version
from synccore.backends.opening import Access, open_backend
from synccore.backends.passing import PassingBackend
from synccore.backends.patience import Patience
from synccore.errors import ConflictError, ErrorKind, NotFoundError
from synccore.history import LogLine, log
from synccore.keys import Key
from synccore.pull import pull
from synccore.push import PushOutcome
from synccore.refs import HeadAt, read_head
from synccore.testing.gcs_server import GcsServer
from synccore.testing.invariants import assert_is_at_head, assert_sound
from synccore.testing.killing import in_a_copy
from synccore.testing.lab import USER, Lab, Laptop
from synccore.testing.trees import entries, snapshot_of

UPLOADS = 8
PATIENCE = Patience(deadline_seconds=60)
Snapshots = dict[str, bytes]


class Process:
    """A copy of this process, made before any server has a thread; it begins when it is told where the store is."""

    def __init__(self, act: Callable[[Connection, Lab], object], folder: Path) -> None:
        self._pipe, theirs = Pipe()
        self._child = os.fork()
        if self._child == 0:
            self._pipe.close()
            said: object = None
            try:
                url, emulator = theirs.recv()
                backend = opened(url, emulator)
                said = act(theirs, Lab(folder, backend, patience=PATIENCE))
                backend.close()
            except BaseException:  # noqa: BLE001 - whatever it is, the parent hears of it
                said = AssertionError(traceback.format_exc())
            finally:
                theirs.send(said)
                os._exit(0)
        theirs.close()

    def tell(self, what: object) -> None:
        self._pipe.send(what)

    def heard(self) -> object:
        """Wait for what it has to say while it is at work, and return it."""
        assert self._pipe.poll(120), "a process hangs"
        return self._pipe.recv()

    def result(self) -> Any:
        """Wait for its end, and return what it has to say."""
        said = self.heard()
        os.waitpid(self._child, 0)
        if isinstance(said, AssertionError):
            raise said
        return said


def opened(url: str, emulator: str | None) -> Backend:
    return open_backend(url, access=Access(emulator_host=emulator, deadline_seconds=60))


@dataclass
class Wrote:
    """What a laptop did: what each upload published, and the facts of each refusal."""

    published: list[Snapshots] = field(default_factory=list)
    refused: list[dict[str, object]] = field(default_factory=list)


def upload(laptop: Laptop, repos: list[str], wrote: Wrote) -> bool:
    """Upload, by force where another has been there; ``False`` if the head moved whenever it was to be moved."""
    for is_forced in (False, True):
        try:
            lines = laptop.push(*repos, force=is_forced).repos
        except ConflictError as error:  # noqa: PERF203 - the loop is for this
            if error.kind is ErrorKind.VERSION_MOVED:
                return False
            assert not is_forced, error.message  # noqa: PT017 - of what the copy must not see
            wrote.refused.append({**error.facts, "message": error.message})
        else:
            assert {line.outcome for line in lines} == {PushOutcome.PUBLISHED}
            wrote.published.append({line.repo: bytes(line.snapshot) for line in lines})
            return True
    raise AssertionError


def writer(name: str, repos: list[str], seed: int) -> Callable[[Connection, Lab], Wrote]:
    """Be a laptop that uploads in a loop; where another has been there, it means it."""

    def act(_: Connection, lab: Lab) -> Wrote:
        laptop, chance, wrote = lab.another_laptop(name), random.Random(seed), Wrote()
        for number in range(UPLOADS):
            chosen = sorted(chance.sample(repos, chance.randint(1, len(repos))))
            laptop.lay(**{repo: {"who": name, "n": str(number), "same": chance.choice("ab")} for repo in chosen})
            while not upload(laptop, chosen, wrote):
                pass  # the head moved too often meanwhile, which says: run it again
        return wrote

    return act


def reader(stop: Connection, lab: Lab) -> dict[int, Snapshots]:
    """Get the head again and again until told to stop, and once more."""
    seen: dict[int, Snapshots] = {}
    is_over = False
    while not is_over:
        is_over = stop.poll()
        try:
            at = read_head(lab.inner, USER)
        except NotFoundError:
            continue
        if isinstance(at, HeadAt):
            repos = {repo: bytes(it.snapshot) for repo, it in at.head.repos.items()}
            assert seen.setdefault(at.head.sequence, repos) == repos, "two heads have one sequence number"
    return seen


def machine(stop: Connection, lab: Lab) -> list[Snapshots]:
    """Download again and again until told to stop, and once more; return what the trees were, each time that they changed."""
    seen: list[Snapshots] = []
    is_over = False
    while not is_over:
        is_over = stop.poll()
        try:
            lines = lab.machine.pull().repos
        except NotFoundError:
            continue
        here = {line.repo: snapshot_of(entries(lab.machine.read(line.repo))) for line in lines}
        assert here == {line.repo: line.snapshot for line in lines}
        if here not in seen[-1:]:
            seen.append(here)
    return seen


@contextmanager
def store(kind: str, folder: Path) -> Iterator[tuple[str, str | None]]:
    if kind == "file":
        yield (folder / "store").as_uri(), None
        return
    with GcsServer("lab") as server:
        if kind == "slow bucket":
            server.service.writes_a_second = 1
            ticks = iter(range(10**9))
            # A third of a second passes with each look at the clock: the limit is met, and nobody waits for long.
            server.service.clock = lambda: 1_700_000_000 + next(ticks) / 3
        yield "gs://lab/code", server.url


@pytest.mark.parametrize("kind", ["file", "bucket", "slow bucket"])
@pytest.mark.parametrize(
    "repos", [(["alpha"], ["beta"]), (["alpha", "beta"], ["beta", "gamma"])], ids=["own", "shared"]
)
def test_every_head_is_a_state_that_a_laptop_had_and_nothing_is_lost(
    tmp_path: Path, kind: str, repos: tuple[list[str], list[str]]
) -> None:
    laptops = {name: Process(writer(name, repos[at], at), tmp_path) for at, name in enumerate(("one", "two"))}
    looking = [Process(reader, tmp_path), Process(machine, tmp_path)]
    with store(kind, tmp_path) as (url, emulator):
        for process in (*laptops.values(), *looking):
            process.tell((url, emulator))
        wrote: dict[str, Wrote] = {name: process.result() for name, process in laptops.items()}
        for process in looking:
            process.tell("stop")
        heads, trees = [process.result() for process in looking]
        backend = opened(url, emulator)
        history = log(USER, backend, limit=10**6)[::-1]
        assert_sound(backend)
        backend.close()
    states = check_history(history, wrote)
    for sequence, seen in heads.items():
        assert seen == states[sequence], f"head {sequence} is no state that a laptop made"
    # A machine goes through the states in their order, and ends with the last.
    assert trees[-1] == states[-1]
    places = [states.index(seen) for seen in trees]
    assert places == sorted(places)
    check_refusals(wrote, history)
    # Whoever is the later of two at what both upload has never seen what the other has made of it.
    assert any(did.refused for did in wrote.values()) is bool({*repos[0]} & {*repos[1]})


def check_history(history: tuple[LogLine, ...], wrote: dict[str, Wrote]) -> list[Snapshots]:
    """Check that the history is just what the laptops have published, and return the state after each of its lines."""
    assert [line.sequence for line in history] == list(range(1, 2 * UPLOADS + 1))
    states: list[Snapshots] = [{}]
    for line in history:
        for it in line.repos:
            assert it.before == states[-1].get(it.repo), "somebody's snapshot has disappeared"
        states.append({**states[-1], **{it.repo: bytes(it.after) for it in line.repos if it.after is not None}})
    for name, did in wrote.items():
        theirs = [
            {it.repo: bytes(it.after) for it in line.repos if it.after is not None}
            for line in history
            if line.author.host == name
        ]
        assert theirs == did.published
    return states


def check_refusals(wrote: dict[str, Wrote], history: tuple[LogLine, ...]) -> None:
    """Check that each refusal says who had uploaded what, and that it is in the history still."""
    made = {
        (line.author.host, it.repo, it.after.hex()) for line in history for it in line.repos if it.after is not None
    }
    for name, did in wrote.items():
        for facts in did.refused:
            assert (facts["host"], facts["repo"], facts["snapshot"]) in made
            assert facts["host"] != name
            assert facts["user"] == USER
            assert f"{facts['user']} uploaded from {facts['host']} at " in str(facts["message"])


def slow_download(other: Connection, lab: Lab) -> list[str]:
    """Download, and wait before anything is written until the other side says to go on."""

    def pause() -> None:
        other.send("about to write")
        other.recv()

    report = pull(lab.machine.home, user=USER, backend=lab.backend, store="lab", now_ns=lab.clock, before_writing=pause)
    return [line.outcome.value for line in report.repos]


def download(other: Connection, lab: Lab) -> tuple[list[str], dict[str, int]]:
    """Download, and say when the head has been got for the first time."""

    class Telling(PassingBackend):
        def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
            found = super().get(key, unless=unless)
            if sum(lab.backend.calls.values()) == 1:
                other.send("has asked")
            return found

    report = pull(
        lab.machine.home, user=USER, backend=Telling(lab.backend), store="lab", now_ns=lab.clock, lock_wait_seconds=60
    )
    return [line.outcome.value for line in report.repos], dict(lab.backend.calls)


def test_two_downloads_at_once_are_one_that_works_and_one_that_sees_the_result(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    first, second = Process(slow_download, tmp_path), Process(download, tmp_path)
    backend = opened(url, None)
    lab = Lab(tmp_path, backend)
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    first.tell((url, None))
    assert first.heard() == "about to write"
    second.tell((url, None))
    assert second.heard() == "has asked"
    first.tell("go on")
    assert first.result() == ["created", "created"]
    outcomes, calls = second.result()
    assert outcomes == ["unchanged", "unchanged"]
    assert calls == {"get": 1, "conditional_get": 1}
    assert_is_at_head(lab.machine, lab)


def test_the_lock_of_a_download_that_was_killed_is_no_obstacle(tmp_path: Path) -> None:
    lab = Lab(tmp_path, opened((tmp_path / "store").as_uri(), None))
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    for act, lock in (
        (lab.machine.pull, lab.machine.memory_folder / "lock"),
        (lab.laptop.push, lab.laptop.state_folder / "lock"),
    ):
        lock.parent.mkdir(exist_ok=True, parents=True)
        lock.write_text(f"pid {os.getpid()} since 2026-01-01T00:00:00Z\n")  # a process that lives, and holds nothing
        assert in_a_copy(act).error is None
        assert lock.read_text() == ""
