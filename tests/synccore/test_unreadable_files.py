"""Files that cannot be carried, or not now: each is named, and what cannot be read stops the upload."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from synccore.errors import ErrorKind, InvalidInputError, WorktreeError
from synccore.look import Source
from synccore.problem import ProblemKind
from synccore.progress import Progress
from synccore.push import PushOutcome, push
from synccore.testing.interference import Interference
from synccore.testing.lab import Lab
from synccore.testing.trees import link, noise

pytestmark = pytest.mark.vm


@pytest.fixture(scope="session")
def interference() -> Interference:
    return Interference()


@pytest.fixture
def root(lab: Lab) -> Path:
    """A tree that was uploaded, and has been edited since."""
    lab.laptop.lay(alpha={"a": "1", "b": "1"})
    lab.laptop.push()
    lab.laptop.lay(alpha={"a": "two", "b": "1"})
    return lab.laptop.code / "alpha"


def assert_stopped(lab: Lab, act: Callable[[], object], kind: ProblemKind, path: str) -> None:
    before = lab.head()
    with pytest.raises(WorktreeError, match=f"repository alpha: {path} .*; nothing was uploaded") as refused:
        act()
    assert refused.value.kind is ErrorKind.PROBLEMS
    assert [(it.kind, it.path) for it in refused.value.facts["problems"]] == [(kind, path)]  # type: ignore[attr-defined]
    assert lab.head() == before


def becomes_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def becomes_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def becomes_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def becomes_large(path: Path) -> None:
    path.write_bytes(noise(1_500_000))


@pytest.mark.parametrize(
    ("happens", "kind"),
    [
        (becomes_a_directory, ProblemKind.UNSTABLE),
        (becomes_a_pipe, ProblemKind.UNSTABLE),
        (becomes_large, ProblemKind.UNSTABLE),
        (becomes_a_link, ProblemKind.UNREADABLE),
        (Path.unlink, ProblemKind.UNREADABLE),
    ],
)
def test_a_file_that_is_no_longer_what_it_was_when_it_is_to_be_read_stops_the_upload(
    lab: Lab, root: Path, interference: Interference, happens: Callable[[Path], None], kind: ProblemKind
) -> None:
    with interference.before_opening(root / "a", lambda: happens(root / "a")):
        assert_stopped(lab, lab.laptop.push, kind, "a")
    shutil.rmtree(root)
    lab.laptop.lay(alpha={"a": "three", "b": "1"})
    assert lab.laptop.push().repos[0].outcome is PushOutcome.PUBLISHED


def test_a_file_that_is_written_again_before_it_is_read_is_read_as_it_is_then(
    lab: Lab, root: Path, interference: Interference
) -> None:
    with interference.before_opening(root / "a", lambda: (root / "a").write_bytes(b"just now")):
        lab.laptop.push()
    lab.machine.pull()
    assert lab.machine.read("alpha")["a"] == b"just now"


def push_while(lab: Lab, happens: Callable[[int], object]) -> None:
    """Push, and let something happen whenever a part of a large file was read."""
    parts = 0

    def listen(_progress: Progress) -> None:
        nonlocal parts
        parts += 1
        happens(parts)

    push([Source(repo="alpha", root=lab.laptop.code / "alpha")], store=lab.laptop.store, progress=listen)


def test_a_large_file_that_will_not_hold_still_stops_the_upload(lab: Lab, root: Path) -> None:
    lab.laptop.lay(alpha={"a": noise(8_000_000), "b": "1"})

    def grow(part: int) -> None:
        with (root / "a").open("ab") as file:
            file.write(noise(100_000, part))

    assert_stopped(lab, lambda: push_while(lab, grow), ProblemKind.UNSTABLE, "a")


def test_a_large_file_that_holds_still_in_the_end_is_carried(lab: Lab, root: Path) -> None:
    lab.laptop.lay(alpha={"a": noise(8_000_000), "b": "1"})

    def grow_twice(part: int) -> None:
        if part <= 2:
            with (root / "a").open("ab") as file:
                file.write(noise(100_000))

    push_while(lab, grow_twice)
    lab.machine.pull()
    assert lab.machine.read("alpha")["a"] == (root / "a").read_bytes()


def test_what_can_never_be_carried_is_left_out_and_named_each_time(lab: Lab, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        before = Path.cwd()
        os.chdir(root)  # the name of a socket is short
        try:
            listener.bind("socket")
        finally:
            os.chdir(before)
    (root / os.fsdecode(b"b\xff")).write_bytes(b"1")
    for _ in range(2):
        (line,) = lab.laptop.push().repos
        assert sorted((it.kind, it.path) for it in line.notes) == [
            (ProblemKind.NOT_UTF8, "b\\xff"),
            (ProblemKind.SPECIAL_FILE, "pipe"),
            (ProblemKind.SPECIAL_FILE, "socket"),
        ]
    lab.machine.pull()
    assert lab.machine.read("alpha") == {"a": b"two", "b": b"1"}


def test_what_is_carried_and_may_surprise_is_named(lab: Lab) -> None:
    lab.laptop.lay(
        alpha={"A": "1", "a": "2", "inside": link("A"), "out": link("../x"), "far": link("/mnt"), "d/up": link("../A")}
    )
    (line,) = lab.laptop.push().repos
    assert [(it.kind, it.path) for it in line.notes] == [
        (ProblemKind.LINK_LEAVES_TREE, "far"),
        (ProblemKind.LINK_LEAVES_TREE, "out"),
        (ProblemKind.COLLIDES, "a"),
    ]
    lab.machine.pull()
    assert lab.machine.read("alpha").keys() == {"A", "a", "inside", "out", "far", "d/up"}


def test_a_directory_that_is_not_there_is_the_callers_mistake(lab: Lab) -> None:
    lab.laptop.code.mkdir(parents=True)
    with pytest.raises(InvalidInputError, match=r"repository alpha: .*alpha is not a directory"):
        lab.laptop.push("alpha")
