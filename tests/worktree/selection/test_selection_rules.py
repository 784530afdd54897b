"""The user's own rules: `.synccodeignore` and the configuration's exclusion; and folders without git."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import synccore
from synccore.errors import InvalidInputError, WorktreeError
from synccore.ignore import PLAIN_FOLDER_EXCLUSION
from synccore.worktree.selection import Lister, select

Make = Callable[[str], Any]


def paths(root: Path, lister: Lister = Lister.AUTO, **options: Any) -> list[str]:
    selection = select(root, lister=lister, **options)
    assert selection.problems == ()
    return [str(path) for path in selection.paths if path != ".synccodeignore"]


def test_synccodeignore_leaves_out_what_git_tracks(tree: Any, lister: Lister) -> None:
    tree.init().write({"a.dat": "", "a.py": "", "big/x": "", ".synccodeignore": "*.dat\nbig/\n"}).add()
    assert paths(tree.root, lister) == ["a.py"]


def test_synccodeignore_takes_part_itself(tree: Any, lister: Lister) -> None:
    tree.init().write({".synccodeignore": "*.dat\n"})
    assert list(select(tree.root, lister=lister).paths) == [".synccodeignore"]


def test_synccodeignore_takes_back_what_git_ignores(tree: Any, lister: Lister) -> None:
    tree.init().write(
        {
            ".gitignore": "*.dat\nout/\n",
            "a.dat": "",
            "b.dat": "",
            "out/model": "",
            "out/deep/x": "",
            ".synccodeignore": "!a.dat\n!out/\nout/deep/\n",
        }
    )
    assert paths(tree.root, lister) == [".gitignore", "a.dat", "out/model"]


def test_synccodeignore_cannot_take_back_what_is_always_left_out(tree: Any, lister: Lister) -> None:
    tree.init().write({"__pycache__/a": "", "b.pyc": "", "c": "", ".synccodeignore": "!*\n"})
    assert paths(tree.root, lister) == ["c"]


def test_synccodeignore_reaches_into_nested_repositories(tree: Any, another: Make, lister: Lister) -> None:
    tree.init().write({".gitignore": "/hidden/\n", ".synccodeignore": "*.dat\n!keep.dat\n!hidden/h\n!in/b.o\n"})
    another("tree/in").init().write({"a.dat": "", "keep.dat": "", "b.o": "", "c.o": "", ".gitignore": "*.o\n"})
    another("tree/hidden").init().write({"h": "", "other": ""})
    assert paths(tree.root, lister) == [".gitignore", "hidden/h", "in/.gitignore", "in/b.o", "in/keep.dat"]


def test_a_synccodeignore_below_the_root_is_an_ordinary_file(tree: Any, lister: Lister) -> None:
    tree.init().write({"sub/.synccodeignore": "*\n", "sub/a": ""})
    assert paths(tree.root, lister) == ["sub/.synccodeignore", "sub/a"]


def test_the_older_syntax_leaves_out_by_regular_expression(tree: Any, lister: Lister) -> None:
    tree.init().write(
        {".synccodeignore": "syntax: regexp\n.*\\.dat$\ntmp/\n", "x/a.dat": "", "tmp/a": "", "x/tmp/a": ""}
    )
    assert paths(tree.root, lister) == ["x/tmp/a"]


def test_the_configuration_s_exclusion_leaves_out_from_the_beginning_of_the_path(tree: Any, lister: Lister) -> None:
    tree.init().write({"data/a": "", "x/data/a": "", "b.tmp": "", "c": ""})
    assert paths(tree.root, lister, exclusion=r"data/|.*\.tmp$") == ["c", "x/data/a"]


def test_synccodeignore_is_stronger_than_the_configuration_s_exclusion(tree: Any, lister: Lister) -> None:
    tree.init().write({"data/a": "", "data/b": "", ".synccodeignore": "!data/a\n"})
    assert paths(tree.root, lister, exclusion="data/") == ["data/a"]


def test_a_bad_rule_names_its_file_and_line(tree: Any) -> None:
    tree.init().write({".synccodeignore": "ok\n[oops\n"})
    with pytest.raises(InvalidInputError) as caught:
        select(tree.root)
    assert caught.value.message == f"{tree.root / '.synccodeignore'}, line 2: '[oops' has a '[' without its ']'"


def test_a_linked_synccodeignore_is_refused(tree: Any) -> None:
    tree.init().write({"rules": "*\n"})
    (tree.root / ".synccodeignore").symlink_to("rules")
    with pytest.raises(WorktreeError, match="is a link: expected a regular file with ignore rules"):
        select(tree.root)


def test_a_plain_folder_is_taken_whole_less_the_default_exclusion(tree: Any) -> None:
    tree.write(
        {
            "a.py": "",
            "pkg/b.py": "",
            "pkg/__pycache__/b.pyc": "",
            ".venv/lib/x.py": "",
            "web/node_modules/m/index.js": "",
            "venv": "",
            ".DS_Store": "",
            "pkg/.a.py.swp": "",
            "x.egg-info/PKG-INFO": "",
            ".ipynb_checkpoints/n.ipynb": "",
            ".gitignore": "*\n",
            "empty/": "",
        }
    )
    selection = select(tree.root)
    assert list(selection.paths) == [".gitignore", "a.py", "pkg/b.py", "venv"]
    assert not selection.is_git
    assert selection.problems == ()


def test_synccodeignore_changes_what_a_plain_folder_takes(tree: Any) -> None:
    tree.write(
        {"a.dat": "", "b": "", "out/x": "", "venv/keep": "", "venv/drop": "", ".synccodeignore": "*.dat\nout/\n"}
    )
    assert paths(tree.root) == ["b"]
    tree.write({".synccodeignore": "*.dat\nout/\n!out/x\n!venv/keep\n"})
    assert paths(tree.root) == ["b", "out/x", "venv/keep"]


def test_links_in_a_plain_folder_are_taken_and_not_followed(tree: Any, another: Make) -> None:
    another("elsewhere").write({"secret": ""})
    (tree.root / "link").symlink_to("../elsewhere", target_is_directory=True)
    (tree.root / "loop").symlink_to(".", target_is_directory=True)
    assert paths(tree.root) == ["link", "loop"]


def test_repositories_in_a_plain_folder_are_listed_by_their_own_rules(tree: Any, another: Make, lister: Lister) -> None:
    tree.write({"a": "", "venv/b": "", "broken/.git/": "", "broken/c": ""})
    another("tree/one").init().write({"x.log": "", "y": "", ".gitignore": "*.log\n", "venv/z": ""})
    another("tree/two/deep").init().write({"t": ""}).commit()
    another("tree/venv/hidden").init().write({"h": ""})
    expected = ["a", "broken/c", "one/.gitignore", "one/venv/z", "one/y", "two/deep/t"]
    assert paths(tree.root, lister) == expected
    tree.write({".synccodeignore": "!venv/hidden/h\n"})
    assert paths(tree.root, lister) == sorted([*expected, "venv/hidden/h"])


if sys.platform != "win32":

    def test_special_files_in_a_plain_folder_are_left_to_whoever_reads_them(
        tree: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tree.root)
        os.mkfifo("pipe")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
            assert paths(tree.root) == ["pipe", "socket"]


def test_the_reference_names_the_whole_default_exclusion() -> None:
    text = (Path(synccore.__file__).parents[1] / "docs/reference/selection.md").read_text(encoding="utf-8")
    section = text.partition("## In a plain folder")[2].partition("\n## ")[0]
    listed = [name for line in section.splitlines() if line.startswith("    ") for name in line.split()]
    assert listed == list(PLAIN_FOLDER_EXCLUSION)
