"""A disk that is full, read-only, or opens no more files, from any instant on: one error, nothing lost, and a re-run completes it.

What refuses is the system's own limits where there are such (`RLIMIT_FSIZE`, `RLIMIT_NOFILE`), and for a full or read-only
file system each call that would change it; neither needs any right, so this runs everywhere.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from crash.test_killed import FIRST, LARGE, SECOND, check_visible
from crash.worlds import Trees, World

from synccore.errors import ErrorKind
from synccore.testing.invariants import assert_carried, assert_sound
from synccore.testing.killing import (
    Ended,
    on_a_disk_for_files_up_to,
    on_a_disk_that_refuses_from,
    with_spare_handles,
)
from synccore.testing.trees import nodes

Try = Callable[[World, Callable[[], object]], Iterator[Ended]]


def full(world: World, act: Callable[[], object]) -> Iterator[Ended]:
    return refusing(world, act, errno.ENOSPC)


def read_only(world: World, act: Callable[[], object]) -> Iterator[Ended]:
    return refusing(world, act, errno.EROFS)


def refusing(world: World, act: Callable[[], object], number: int) -> Iterator[Ended]:
    """Do *act* with a disk that refuses from each step on in turn, until it is not reached any more."""
    for step in count():
        world.put_back()
        ended = on_a_disk_that_refuses_from(step, number, act)
        yield ended
        if not ended.was_reached:
            return


def limited_files(world: World, act: Callable[[], object]) -> Iterator[Ended]:
    """Do *act* with files of ever more bytes, until that is enough."""
    for power in range(12):
        world.put_back()
        ended = on_a_disk_for_files_up_to(4**power, act)
        yield ended
        if ended.error is None:
            return


def few_handles(world: World, act: Callable[[], object]) -> Iterator[Ended]:
    """Do *act* with ever more files that may be open, until that is enough."""
    for number in count():
        world.put_back()
        ended = with_spare_handles(number, act)
        yield ended
        if ended.error is None:
            return


EVERY = [full, read_only, limited_files, few_handles]
SAID = {ErrorKind.WORKTREE, ErrorKind.BACKEND, ErrorKind.REFUSED, ErrorKind.PROBLEMS, ErrorKind.UNAVAILABLE}


def check_error(ended: Ended) -> bool:
    """Check that what was said is one line of a kind that is expected; tell whether something was."""
    if ended.error is None:
        return False
    assert ended.error.kind in SAID, ended.error
    assert "\n" not in ended.error.message
    return True


@pytest.mark.parametrize("fault", EVERY)
@pytest.mark.parametrize(("before", "wanted"), [(None, FIRST), (FIRST, LARGE)], ids=["first", "edit"])
def test_an_upload(world: World, fault: Try, before: Trees | None, wanted: Trees) -> None:
    if before is not None:
        world.upload(before)
    world.laptop.lay(**wanted)
    world.keep()
    errors = 0
    for ended in fault(world, lambda: world.laptop.push("alpha", "beta")):
        errors += check_error(ended)
        seen = world.seen_by_a_reader()
        assert seen == wanted if ended.error is None else seen in (before, wanted)
        if ended.error is not None and not ended.error.is_ambiguous:
            assert seen == before, f"landed, and was called a failure: {ended.error}"
        world.upload(wanted)
        assert world.lab.head().sequence == (2 if before else 1)
        assert_sound(world.store)
        world.check_laptop()
    assert errors > 0


@pytest.mark.parametrize("fault", EVERY)
@pytest.mark.parametrize(("before", "wanted"), [(None, LARGE), (FIRST, SECOND)], ids=["first", "edit"])
def test_a_download(world: World, fault: Try, before: Trees | None, wanted: Trees) -> None:
    if before is not None:
        world.upload(before)
        world.machine.pull()
    world.upload(wanted)
    world.keep()
    errors = 0
    for ended in fault(world, world.machine.pull):
        errors += check_error(ended)
        check_visible(world, before, wanted)
        report = world.machine.pull()
        assert [line.saved for line in report.repos] == [(), ()]
        assert_carried(world.laptop, world.machine, "alpha", "beta")
        world.upload({**wanted, "beta": nodes({"b.py": "the end"})})
        world.machine.pull()
        world.check_machine()
    assert errors > 0
