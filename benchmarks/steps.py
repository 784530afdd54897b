"""What happens to the laptop's tree between two synchronisations.

Invariant: a step changes what it says and nothing else, and the same round of the same step always changes the same files, in
a way that no earlier round did.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.trees import NOTEBOOK, NOTEBOOK_FILE, OTHER_BRANCH, files_of, git

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a person does before the next upload.

    Attributes:
        name: in results.
        title: in tables.
        change: does it to a working tree, in a round.
    """

    name: str
    title: str
    change: Callable[[Path, int], None]


def _nothing(_tree: Path, _round: int) -> None:
    pass


def _edit(number: int) -> Callable[[Path, int], None]:
    def change(tree: Path, round_: int) -> None:
        sources = [it for it in files_of(tree) if it.suffix == ".py" and it.stat().st_size < 100_000]
        for file in random.Random(number).sample(sources, min(number, len(sources))):
            with file.open("a", encoding="utf-8", newline="") as stream:
                stream.write(f"\n# edited, for the {round_ + 1}. time\n")

    return change


def _rename_directory(tree: Path, round_: int) -> None:
    """Rename the package that has the most files in itself, so that it is not a trifle."""
    packages = [it for it in tree.iterdir() if it.is_dir() and it.name != ".git" and "dist-info" not in it.name]
    found = max(
        (it for package in packages for it in package.iterdir() if it.is_dir()), key=lambda it: len(files_of(it))
    )
    found.rename(found.with_name(f"{found.name.partition('__')[0]}__renamed_{round_ + 1}"))


def _touch(tree: Path, _round: int) -> None:
    for file in files_of(tree):
        os.utime(file)


def _edit_notebook(tree: Path, round_: int) -> None:
    file = tree / NOTEBOOK_FILE
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write((f"{round_:04}" * _KIB)[:_KIB].encode())


def _switch_branch(tree: Path, _round: int) -> None:
    git(tree, "reset", "-q", "--hard")
    git(tree, "clean", "-q", "-fd")
    git(tree, "checkout", "-q", OTHER_BRANCH)


FIRST = Step("first", "first time", _nothing)
SAME = Step("same", "nothing changed", _nothing)
EDIT = Step("edit", "one file edited", _edit(1))
EDIT_20 = Step("edit20", "20 files edited", _edit(20))
RENAME = Step("rename", "directory renamed", _rename_directory)
TOUCH = Step("touch", "touched, not changed", _touch)
BIG_EDIT = Step("big_edit", "1 KiB changed in 100 MB", _edit_notebook)
SWITCH = Step("switch", "branch switched (10 %)", _switch_branch)

STEPS = {step.name: step for step in (FIRST, SAME, EDIT, EDIT_20, RENAME, TOUCH, BIG_EDIT, SWITCH)}


def round_of(tree: str, everyday: int, *, short: bool = False) -> list[Step]:
    """Return what happens to a tree in a round; what people do all day happens *everyday* times, and if *short* nothing else."""
    if tree == NOTEBOOK:
        return [FIRST, *[SAME, BIG_EDIT] * everyday]
    if short:
        return [FIRST, *[SAME, EDIT] * everyday]
    return [FIRST, *[SAME, EDIT, EDIT_20] * everyday, RENAME, TOUCH, SWITCH]
