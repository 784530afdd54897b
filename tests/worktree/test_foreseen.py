"""What is looked at where a directory was probably renamed to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.manifest import Entry, FileKind
from synccore.treepath import TreePath
from synccore.worktree.chosen import NOTHING_CHOSEN
from synccore.worktree.foreseen import NOTHING_FORESEEN, Foreseen, foreseen
from synccore.worktree.scan import statuses
from synccore.worktree.statcache import StatCache

FILES = 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("a", "a/b", "c", "e/f"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(FILES):
            (tmp_path / folder / f"{number}.py").write_text(f"{folder} {number}")
    return tmp_path


@pytest.fixture
def cache(root: Path) -> StatCache:
    paths = sorted(TreePath(path.relative_to(root).as_posix()) for path in root.rglob("*.py"))
    tree = dict.fromkeys(paths, Entry(FileKind.FILE, 1, digest_of(b"1")))
    return StatCache.of(tree, statuses(root, paths))


def found(root: Path, cache: StatCache) -> Foreseen:
    return foreseen(root, cache, statuses(root, cache.paths))


MOVES = pytest.mark.parametrize(("old", "new"), [("a", "z"), ("a/b", "a/z"), ("e", "0"), ("c", "c__renamed")])


def below(root: Path, new: str) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in [root / new, *(root / new).rglob("*")])


@MOVES
def test_what_is_as_it_was_below_the_new_name_is_known_by_its_old_row(
    root: Path, cache: StatCache, old: str, new: str
) -> None:
    (root / old).rename(root / new)
    rows, moved = found(root, cache)
    expected = below(root, new)
    assert sorted([*rows, *moved]) == expected
    directories = [name for name in expected if (root / name).is_dir()]
    assert [rows[name] for name in directories] == statuses(root, directories).rows()
    assert {name: cache.paths[row] for name, row in moved.items()} == {
        name: old + name[len(new) :] for name in expected if name not in directories
    }


@MOVES
def test_what_stands_below_the_new_name_is_looked_at(root: Path, cache: StatCache, old: str, new: str) -> None:
    (root / old).rename(root / new)
    edited = next((root / new).rglob("*.py"))
    edited.write_text("edited meanwhile")
    rows, moved = found(root, cache)
    directories = [name for name in below(root, new) if (root / name).is_dir()]
    expected = sorted([*directories, edited.relative_to(root).as_posix()])
    assert sorted(rows) == expected
    assert sorted([*rows, *moved]) == below(root, new)
    assert [rows[name] for name in expected] == statuses(root, expected).rows()


def executable_by_git(cache: StatCache) -> None:
    cache.chosen = NOTHING_CHOSEN._replace(executable=frozenset())


def another_kind(cache: StatCache) -> None:
    links = bytes([FileKind.SYMLINK]) * len(cache.paths)
    cache.columns = cache.columns._replace(kinds=links)


@pytest.mark.parametrize("doubt", [executable_by_git, another_kind])
def test_what_may_be_of_another_kind_is_looked_at_more_closely(
    root: Path, cache: StatCache, doubt: Callable[[StatCache], None]
) -> None:
    doubt(cache)
    (root / "c").rename(root / "z")
    rows, moved = found(root, cache)
    assert not moved
    assert sorted(rows) == below(root, "z")


def test_what_is_not_there_is_not_foreseen(root: Path, cache: StatCache) -> None:
    (root / "a").rename(root / "z")
    (root / "z" / "7.py").unlink()
    rows, moved = found(root, cache)
    assert "z/7.py" not in {**rows, **moved}
    assert len(rows) == 2
    assert len(moved) == 2 * FILES - 1


def move_both(root: Path) -> None:
    (root / "a").rename(root / "x")
    (root / "c").rename(root / "y")


def move_beside_another(root: Path) -> None:
    (root / "a").rename(root / "x")
    (root / "another").mkdir()


def move_into_a_known_one(root: Path) -> None:
    (root / "a").rename(root / "c" / "a")


def leave_a_link(root: Path) -> None:
    (root / "a").rename(root.parent / "elsewhere")
    (root / "x").symlink_to(root.parent / "elsewhere")


def delete_few(root: Path) -> None:
    for number in range(10):
        (root / "a" / f"{number}.py").unlink()


def delete_files(root: Path) -> None:
    for number in range(FILES):
        (root / "c" / f"{number}.py").unlink()
    (root / "new").mkdir()


@pytest.mark.parametrize(
    "change", [move_both, move_beside_another, move_into_a_known_one, leave_a_link, delete_few, delete_files]
)
def test_where_it_is_not_plain_what_became_of_it_nothing_is_foreseen(
    root: Path, cache: StatCache, change: Callable[[Path], None]
) -> None:
    change(root)
    assert found(root, cache) == NOTHING_FORESEEN


def test_a_repository_that_came_meanwhile_is_no_new_name(root: Path, cache: StatCache) -> None:
    (root / "a").rename(root / "x")
    (root / ".git").mkdir()
    assert "x/b/1.py" in found(root, cache).moved
