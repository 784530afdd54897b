"""When git is asked what differs from the commit: at once, when all was looked at, or when much has been read."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from synccore.intake import Intake, take_in
from synccore.look import Look, Source
from synccore.reading import Claims

LATER_NS = 2 * 10**18  # by this clock all times are long past, and believed
FILES = 200


def look(root: Path, asked: ExitStack) -> Look:
    return Look(Source("alpha", root), root.parent / "cache", lambda: LATER_NS, asked=asked)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree that was looked at, and of which it is known that nothing differs from the commit."""
    root = tmp_path / "alpha"
    (root / "d").mkdir(parents=True)
    for number in range(FILES):
        (root / f"d/{number}.py").write_text(f"x = {number}\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True)
    with ExitStack() as asked:
        found = look(root, asked)
        intake = Intake()
        assert not list(take_in(root, found.scan.unread, Claims(lambda _digest: True), intake))
        found.ask(asked).finish()
        found.finish(intake, asked)
        assert found.asking is not None
        found.keep(found.asking.differing)
    return root


@pytest.mark.parametrize(("gone", "is_asked"), [(0, False), (10, False), (100, True)])
def test_where_many_files_are_gone_it_is_asked_while_the_rest_is_looked_at(
    root: Path,
    gone: int,
    is_asked: bool,  # noqa: FBT001
) -> None:
    for number in range(gone):
        (root / f"d/{number}.py").unlink()
    with ExitStack() as asked:
        found = look(root, asked)
        assert (found.asking is not None) == is_asked
        assert not found.has_much_to_read


@pytest.mark.parametrize(("edited", "is_much"), [(10, False), (100, True)])
def test_where_much_is_to_be_read_it_is_not_asked_before(root: Path, edited: int, is_much: bool) -> None:  # noqa: FBT001
    for number in range(edited):
        (root / f"d/{number}.py").write_text(f"y = {number}\n")
    with ExitStack() as asked:
        found = look(root, asked)
        assert found.asking is None
        assert found.has_much_to_read == is_much


def test_a_new_tree_is_much_to_read(root: Path) -> None:
    (root.parent / "cache").unlink()
    with ExitStack() as asked:
        assert look(root, asked).has_much_to_read
