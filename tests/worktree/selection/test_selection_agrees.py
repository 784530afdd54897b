"""Both listers give one list, whatever the repository looks like."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.worktree.dulwich_git import DulwichListing
from synccore.worktree.git import GitListing
from synccore.worktree.listing import Listing, NotARepositoryError

NAMES = ["a", "b", "ab", "A", "a b", "é", "[a]", "#a", "!a", "a.b"]
PIECES = ["a", "b", "A", "*", "**", "/", "/", "!", "?", "[", "]", "-", "\\", " ", "#", ".", "[ab]", "[!a]", "é"]

lines = st.one_of(
    st.tuples(
        st.sampled_from(["", "!", "/", "!/"]),
        st.lists(st.sampled_from(["a", "b", "ab", "*", "**", "a*", "?"]), min_size=1, max_size=3).map("/".join),
        st.sampled_from(["", "/"]),
    ).map("".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join),
)
ignore_files = st.tuples(
    st.lists(lines, min_size=1, max_size=4).map("\n".join), st.sampled_from(["", "\n", "\r\n", " \n"])
).map("".join)
places = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


@dataclass(frozen=True)
class Plan:
    """A small repository: what is made, in this order, and the directory that is asked about."""

    files: list[str]
    directories: list[str]
    nested: list[str]
    links: list[str]
    tracked: list[str]
    removed: list[str]
    ignores: dict[str, str]
    exclude: str
    personal: str
    ignore_case: bool
    root: str


def some(strategy: st.SearchStrategy[str], most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(strategy, max_size=most)


plans = st.builds(
    Plan,
    files=some(places, 8),
    directories=some(places, 3),
    nested=some(places, 1),
    links=some(places, 1),
    tracked=some(places, 3),
    removed=some(places, 1),
    ignores=st.dictionaries(st.one_of(st.just(""), places), ignore_files, max_size=3),
    exclude=st.one_of(st.just(""), ignore_files),
    personal=st.one_of(st.just(""), ignore_files),
    ignore_case=st.sampled_from([False, False, False, True]),
    root=st.one_of(st.just(""), places),
)


def carry_out(plan: Plan, root: Path, home: Path, template: Path) -> Path:
    """Make the repository of *plan*; return the directory to ask about."""
    shutil.copytree(template, root)
    (root / ".git/info").mkdir()
    (root / ".git/info/exclude").write_bytes(plan.exclude.encode())
    (home / "personal").write_bytes(plan.personal.encode())
    if plan.ignore_case:
        with (root / ".git/config").open("a") as config:
            config.write("[core]\n\tignoreCase = true\n")
    for act in steps(plan, root, template):
        with suppress(OSError):  # names that are in one another's way
            act()
    asked = root / plan.root
    return asked if asked.is_dir() and not asked.is_symlink() else root


def steps(plan: Plan, root: Path, template: Path) -> Iterator[Callable[[], Any]]:
    for place in [*plan.directories, *(path.rpartition("/")[0] for path in plan.files + plan.links + plan.nested)]:
        yield partial((root / place).mkdir, parents=True, exist_ok=True)
    yield from [partial(shutil.copytree, template, root / place) for place in plan.nested]
    yield from [(root / place).touch for place in plan.files]
    yield from [partial((root / place).symlink_to, "a") for place in plan.links]
    for place in plan.tracked:
        if os.path.lexists(root / place):
            command = ["git", "--literal-pathspecs", "add", "-f", "--", place]
            yield partial(subprocess.run, command, cwd=root, capture_output=True, check=False)
    for place, text in plan.ignores.items():
        yield partial((root / place / ".gitignore").write_bytes, text.encode())
    for place in plan.removed:
        yield partial(shutil.rmtree, root / place) if (root / place).is_dir() else (root / place).unlink


def found(make: Callable[..., Any], root: Path) -> dict[str, list[Any]] | str:
    with ExitStack() as running:
        pending = make(root, left_out=True, nested=False)
        running.callback(pending.drop)
        try:
            listing: Listing = pending.finish()
        except NotARepositoryError:
            return "the repository around it ignores it"
    names = ("taken", "nested", "left_out", "nested_left_out", "problems")
    return {name: sorted(set(getattr(listing, name)), key=str) for name in names}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, clean_environment: Path) -> Path:
    root = tmp_path_factory.mktemp("template") / "repository"
    subprocess.run(["git", "init", "-q", "--template=", str(root)], check=True)
    (clean_environment / ".gitconfig").write_text("[core]\n\texcludesFile = ~/personal\n")
    return root


numbers = itertools.count()


@given(plan=plans)
@settings(max_examples=100, deadline=None)
def test_git_and_dulwich_give_one_list(
    plan: Plan, template: Path, clean_environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp() / f"agrees-{next(numbers)}"
    try:
        asked = carry_out(plan, root, clean_environment, template)
        assert found(DulwichListing, asked) == found(GitListing, asked)
    finally:
        shutil.rmtree(root)
