"""Why a path takes part or not; every case with git and without it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synccore.errors import InvalidInputError
from synccore.worktree.explain import Explanation, Reason, explain
from synccore.worktree.selection import Lister, select

Make = Callable[[str], Any]

EVERYTHING = {
    "tracked.py": "",
    "new.py": "",
    "forced.log": "",
    "x.log": "",
    "sub/deep.log": "",
    "sub/.gitignore": "!deep.log\nlocal\n",
    "sub/local": "",
    "out/a": "",
    "out/b": "",
    "conf/a": "",
    "big.dat": "",
    "m.pyc": "",
    "p/__pycache__/m": "",
    ".gitignore": "*.log\n/out/\n",
    ".synccodeignore": "*.dat\n!out/a\n!tracked.py\n",
}


@pytest.fixture
def full(tree: Any, another: Make) -> Any:
    """A repository in which every rule has something to do."""
    tree.init().write(EVERYTHING).add("tracked.py", "forced.log", ".gitignore")
    another("tree/in").init().write({"t": "", "n": "", "x.o": "", "k.log": "", ".gitignore": "*.o\n"}).add("t")
    another("tree/out/hidden").init().write({"h": ""})
    (tree.root / "link").symlink_to("sub", target_is_directory=True)
    return tree


EXCLUSION = "conf/"


def brief(found: Explanation) -> tuple[bool, str, str | None, str | None, int | None, str | None]:
    return found.taken, found.reason.value, found.rule, found.file, found.line, found.repository


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("new.py", (True, "untracked", None, None, None, None)),
        ("forced.log", (True, "tracked", None, None, None, None)),
        ("tracked.py", (True, "tracked", "!tracked.py", ".synccodeignore", 3, None)),
        ("link", (True, "untracked", None, None, None, None)),
        ("x.log", (False, "ignored-by-git", "*.log", ".gitignore", 1, None)),
        ("sub/deep.log", (True, "untracked", None, None, None, None)),
        ("sub/local", (False, "ignored-by-git", "local", "sub/.gitignore", 2, None)),
        ("out/b", (False, "ignored-by-git", "/out/", ".gitignore", 2, None)),
        ("out/a", (True, "taken-back", "!out/a", ".synccodeignore", 2, None)),
        ("out/hidden/h", (False, "ignored-by-git", "/out/", ".gitignore", 2, None)),
        ("big.dat", (False, "synccodeignore", "*.dat", ".synccodeignore", 1, None)),
        ("conf/a", (False, "configuration", "conf/", None, None, None)),
        ("m.pyc", (False, "always-left-out", "*.pyc", None, None, None)),
        ("p/__pycache__/m", (False, "always-left-out", "__pycache__", None, None, None)),
        (".git/HEAD", (False, "always-left-out", ".git", None, None, None)),
        ("in/.git/HEAD", (False, "always-left-out", ".git", None, None, None)),
        ("in/t", (True, "tracked", None, None, None, "in")),
        ("in/n", (True, "untracked", None, None, None, "in")),
        ("in/k.log", (True, "untracked", None, None, None, "in")),
        ("in/x.o", (False, "ignored-by-git", "*.o", ".gitignore", 1, "in")),
        ("link/local", (False, "behind-link", None, None, None, None)),
        ("nowhere", (False, "missing", None, None, None, None)),
        ("new.py/x", (False, "missing", None, None, None, None)),
        ("back\\slash", (False, "bad-name", None, None, None, None)),
        ("../other", (False, "outside", None, None, None, None)),
        ("sub/../../other", (False, "outside", None, None, None, None)),
        ("sub/../new.py", (True, "untracked", None, None, None, None)),
        ("./new.py", (True, "untracked", None, None, None, None)),
    ],
)
def test_the_rule_that_decided_is_named(full: Any, lister: Lister, path: str, expected: tuple[object, ...]) -> None:
    if sys.platform == "win32" and "\\" in path:
        expected = (False, "missing", None, None, None, None)
    assert brief(explain(full.root, path, exclusion=EXCLUSION, lister=lister)) == expected


def test_an_explanation_agrees_with_the_selection(full: Any, lister: Lister) -> None:
    selected = set(select(full.root, exclusion=EXCLUSION, lister=lister).paths)
    everything = [
        (Path(directory) / name).relative_to(full.root).as_posix()
        for directory, directories, names in os.walk(full.root)
        for name in [*names, *(name for name in directories if (Path(directory) / name).is_symlink())]
        if ".git" not in Path(directory).parts
    ]
    assert selected <= set(everything)
    assert len(everything) > len(selected) + 8
    for path in everything:
        assert explain(full.root, path, exclusion=EXCLUSION, lister=lister).taken == (path in selected), path


def test_details_are_sentences_that_begin_with_the_path(full: Any, lister: Lister) -> None:
    def detail(path: str) -> str:
        return explain(full.root, path, exclusion=EXCLUSION, lister=lister).detail

    assert detail("forced.log") == "forced.log is tracked by git"
    assert detail("in/t") == "in/t is tracked by git in the nested repository in"
    assert detail("new.py") == "new.py is not tracked and not ignored by git"
    assert detail("x.log") == "x.log is ignored by git: .gitignore, line 1: *.log"
    assert detail("big.dat") == "big.dat is left out by .synccodeignore, line 1: *.dat"
    assert detail("out/a") == "out/a is taken back by .synccodeignore, line 2: !out/a"
    assert detail("conf/a") == "conf/a is left out by the configuration's exclusion 'conf/'"
    assert detail("sub") == "sub is a directory of which 2 files take part"
    assert detail("nowhere") == "nowhere does not exist"
    assert detail("link/local") == "link/local lies behind the link link, which is carried but not followed"
    assert detail("m.pyc") == "m.pyc is left out always: .git, __pycache__ and *.pyc never take part"


def test_of_a_directory_the_files_that_take_part_are_counted(full: Any, lister: Lister) -> None:
    def counted(path: str) -> tuple[bool, str, int | None]:
        found = explain(full.root, path, exclusion=EXCLUSION, lister=lister)
        return found.taken, found.reason.value, found.files

    assert counted("sub") == (True, "directory", 2)
    assert counted("in") == (True, "directory", 4)
    assert counted("out") == (True, "directory", 1)
    assert counted(".") == (True, "directory", len(select(full.root, exclusion=EXCLUSION, lister=lister).paths))
    assert counted("out/hidden") == (False, "ignored-by-git", 0)
    assert counted("conf") == (False, "directory", 0)


def test_a_rule_of_the_repository_s_own_exclude_file_is_named(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": ""})
    (tree.root / ".git/info/exclude").write_text("# mine\na\n")
    found = explain(tree.root, "a", lister=lister)
    assert (found.reason, found.line, found.rule) == (Reason.IGNORED_BY_GIT, 2, "a")
    assert found.file is not None
    assert Path(found.file).as_posix().endswith(".git/info/exclude")


def test_below_a_subdirectory_the_rules_above_it_are_named(tree: Any, lister: Lister) -> None:
    tree.init().write({".gitignore": "*.log\n", "sub/a.log": "", "sub/b": ""})
    found = explain(tree.root / "sub", "a.log", lister=lister)
    assert brief(found) == (False, "ignored-by-git", "*.log", ".gitignore", 1, None)
    assert explain(tree.root / "sub", "b", lister=lister).taken


def test_absolute_paths_are_understood_also_through_a_linked_root(tree: Any, tmp_path: Path, lister: Lister) -> None:
    tree.init().write({"a": ""})
    (tmp_path / "linked").symlink_to(tree.root, target_is_directory=True)
    for root in (tree.root, tmp_path / "linked"):
        assert explain(root, root / "a", lister=lister).path == "a"
        assert explain(root, tree.root.resolve() / "a", lister=lister).taken
    assert explain(tree.root, tmp_path / "elsewhere", lister=lister).reason is Reason.OUTSIDE


def test_a_tracked_file_that_is_gone_is_missing(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": ""}).add()
    (tree.root / "a").unlink()
    assert explain(tree.root, "a", lister=lister).reason is Reason.MISSING


def test_submodules_are_explained_by_their_own_rules(tree: Any, another: Make, lister: Lister) -> None:
    inner = another("inner").init().write({"lib": "", ".gitignore": "*.tmp\n"}).add().commit()
    tree.init().write({".gitignore": "lib\n"}).git("submodule", "--quiet", "add", str(inner.root), "sub")
    tree.write({"sub/x.tmp": ""})
    assert brief(explain(tree.root, "sub/lib", lister=lister)) == (True, "tracked", None, None, None, "sub")
    assert brief(explain(tree.root, "sub/x.tmp", lister=lister))[1:3] == ("ignored-by-git", "*.tmp")
    (tree.root / "sub/.git").unlink()
    assert brief(explain(tree.root, "sub/lib", lister=lister)) == (True, "in-folder", None, None, None, "sub")


def test_a_plain_folder_s_rules_are_named(tree: Any, another: Make, lister: Lister) -> None:
    tree.write({"a": "", "venv/x": "", "b.swp": "", "k.swp": "", ".synccodeignore": "!k.swp\n"})
    another("tree/in").init().write({"t": "", "x.o": "", ".gitignore": "*.o\n"}).add("t")
    another("tree/venv/hidden").init().write({"h": ""})
    cases = {
        "a": (True, "in-folder", None, None, None, None),
        "venv/x": (False, "default-exclusion", "venv/", None, None, None),
        "venv": (False, "default-exclusion", "venv/", None, None, None),
        "venv/hidden/h": (False, "default-exclusion", "venv/", None, None, None),
        "b.swp": (False, "default-exclusion", "*.swp", None, None, None),
        "k.swp": (True, "taken-back", "!k.swp", ".synccodeignore", 1, None),
        "in/t": (True, "tracked", None, None, None, "in"),
        "in/x.o": (False, "ignored-by-git", "*.o", ".gitignore", 1, "in"),
    }
    assert {path: brief(explain(tree.root, path, lister=lister)) for path in cases} == cases


def test_the_older_syntax_is_explained(tree: Any, lister: Lister) -> None:
    tree.init().write({".synccodeignore": "syntax: regexp\n.*\\.dat$\n", "a.dat": "", "b": ""})
    assert brief(explain(tree.root, "a.dat", lister=lister))[1:5] == (
        "synccodeignore",
        ".*\\.dat$",
        ".synccodeignore",
        2,
    )
    assert explain(tree.root, "b", lister=lister).taken


def test_a_bad_rule_is_refused_as_in_a_selection(tree: Any) -> None:
    tree.init().write({".synccodeignore": "[a\n", "a": ""})
    with pytest.raises(InvalidInputError, match="line 1"):
        explain(tree.root, "a")


if sys.platform != "win32":

    def test_special_files_are_explained(tree: Any, lister: Lister) -> None:
        tree.init()
        os.mkfifo(tree.root / "pipe")
        assert explain(tree.root, "pipe", lister=lister).detail == (
            "pipe is a socket, a pipe or a device, which has no content to carry"
        )

    def test_a_name_that_is_not_utf8_is_shown_with_its_bytes(tree: Any) -> None:
        tree.init()
        found = explain(tree.root, os.fsdecode(b"a\xff"))
        assert (found.path, found.reason) == ("a\\xff", Reason.NOT_UTF8)
