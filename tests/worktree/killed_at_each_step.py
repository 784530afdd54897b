"""A program that changes trees and is killed at each of its steps in turn; prints how many there were.

It has one thread, so that it may fork: each child works on a tree of its own and sends itself SIGKILL just before its
n-th call that changes anything, or in the middle of a write. The parent then looks at what is left, and completes it.
"""

from __future__ import annotations

import itertools
import json  # noqa: F401 - imported here so that its files are not among the steps
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from synccore.digest import digest_of
from synccore.manifest import FileKind
from synccore.testing.disk_tree import Content, Link, Node, Program, build, lay_out, ours_in, read_back, write
from synccore.treepath import TreePath
from synccore.worktree.lock import TreeLock
from synccore.worktree.rescue import RescueFolder, rescued_under
from synccore.worktree.staging import new_staging, put_in_place, sweep_staging
from synccore.worktree.tree_writer import TreeWriter

CACHE = "__pycache__/m.cpython-311.pyc"
BASE: dict[str, Content] = {"m.py": "1", "gone/a": "1", "gone/b/c": "1", "edited": "1", "link": Link("a"), "large": "1"}
LOCAL: dict[str, Node] = {
    **BASE,
    "edited": "edit",
    "way/deep/x": "in the way",
    CACHE: "stale",
    "own": "own",
    "par": "parent",
}
TARGET: dict[str, Content] = {
    "m.py": "2",
    "edited": Program("2"),
    "link": Link("b"),
    "new/deep/a": "2",
    "way": "2",
    "par/ent": "2",
}
LARGE = "0123456789" * 1000
FINAL: dict[str, Node] = {**TARGET, "large": LARGE, "own": "own"}
EDITS = {"edited": "edit", "way/deep/x": "in the way", "par": "parent"}

STEPS = {
    "open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.utime", "os.truncate", "fcntl.flock",
}  # fmt: skip


def change(home: Path) -> None:
    """Do all that a pull does to a tree that exists."""
    ours = ours_in(BASE)
    with (
        TreeLock(home / ".synccode" / "lock").held(0) as lock,
        TreeWriter(home / "alpha", ours=lambda path: ours.get(path, ()), rescue=RescueFolder(home)) as writer,
    ):
        if lock.after_crash:
            writer.sweep()
        for path in sorted(BASE.keys() - FINAL.keys()):
            writer.remove(TreePath(path))
        data = LARGE.encode()
        with writer.begin(TreePath("large"), FileKind.FILE, len(data)) as large:
            for path, content in TARGET.items():
                write(writer, path, content)
            large.write_at(5000, data[5000:])
            large.write_at(0, data[:5000])
            large.finish(digest_of(data))


def look_at_the_change(home: Path) -> None:
    """Check that every file is the old or the new one, and that every edit is somewhere."""
    now = {
        path: node
        for path, node in read_back(home / "alpha").items()
        if not Path(path).name.startswith(".synccode-tmp-")
    }
    for path, node in now.items():
        assert node in (LOCAL.get(path), FINAL.get(path)) or not list((home / "alpha" / path).iterdir()), (path, node)
    saved = read_back(home / ".rescued") if (home / ".rescued").exists() else {}
    texts = {path.partition("/alpha/")[2]: node for path, node in saved.items()}
    for path, text in EDITS.items():
        assert now.get(path) == text or texts.get(path) == text, path


def complete_the_change(home: Path) -> None:
    """Check that one more run gives the target and that each edit was saved once."""
    change(home)
    assert read_back(home / "alpha") == FINAL
    saved = [node for path, node in read_back(home / ".rescued").items() if "/alpha/" in path]
    assert sorted(map(str, saved)) == sorted(EDITS.values())
    assert sorted(str(one.path) for one in rescued_under(home)) == ["edited", "par", "way"]


def first(home: Path) -> None:
    """Do all that a first pull does."""
    root = home / "alpha"
    with TreeLock(home / ".synccode" / "lock").held(0) as lock:
        if lock.after_crash:
            sweep_staging(root)
        if not root.exists():
            staging = new_staging(root)
            build(staging, TARGET)
            put_in_place(staging, root)


def look_at_the_first(home: Path) -> None:
    """Check that the tree is whole or not there."""
    assert not (home / "alpha").exists() or read_back(home / "alpha") == TARGET


def complete_the_first(home: Path) -> None:
    """Check that one more run gives the tree and leaves nothing else."""
    first(home)
    now = read_back(home)
    assert now == {".synccode/lock": "", **{f"alpha/{path}": content for path, content in TARGET.items()}}, now


def die_at(step: int) -> None:
    """Have this process kill itself before its next call but *step* that changes anything."""
    counted = itertools.count(1)

    def die_in_turn() -> bool:
        return next(counted) == step

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, _: object) -> None:
        if event in STEPS and die_in_turn():
            die()

    def dying(real: Callable[..., int]) -> Callable[..., int]:
        def half(handle: int, data: bytes, *offset: Any) -> int:
            if die_in_turn():
                real(handle, bytes(data)[: len(data) // 2], *offset)
                die()
            return real(handle, data, *offset)

        return half

    os.write, os.pwrite = dying(os.write), dying(os.pwrite)
    sys.addaudithook(hook)


def killed_at(step: int, work: Callable[[Path], None], home: Path) -> bool:
    """Have a child do *work* and be killed at *step*; tell whether there was such a step."""
    child = os.fork()
    if child == 0:
        die_at(step)
        work(home)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def try_all(place: Path, local: dict[str, Node], *, work: Any, look: Any, complete: Any) -> int:
    """Kill *work* at each of its steps; return how many there were."""
    for step in itertools.count(1):
        home = place / str(step)
        if local:
            lay_out(home / "alpha", local)
        home.mkdir(exist_ok=True)
        was_killed = killed_at(step, work, home)
        look(home)
        complete(home)
        shutil.rmtree(home)
        if not was_killed:
            return step - 1
    raise AssertionError


if __name__ == "__main__":
    os.umask(0o022)
    here = Path(sys.argv[1])
    print(try_all(here, LOCAL, work=change, look=look_at_the_change, complete=complete_the_change))  # noqa: T201 - its answer
    print(try_all(here, {}, work=first, look=look_at_the_first, complete=complete_the_first))  # noqa: T201 - its answer
