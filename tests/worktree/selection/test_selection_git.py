"""Which files of a git work tree take part; every case with git and without it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import synccore
from synccore.problem import Problem, ProblemKind
from synccore.worktree.selection import Lister, select

Make = Callable[[str], Any]


def paths(root: Path, lister: Lister, **options: Any) -> list[str]:
    selection = select(root, lister=lister, **options)
    assert selection.problems == ()
    return [str(path) for path in selection.paths]


def test_tracked_and_untracked_files_take_part_and_ignored_ones_do_not(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "", "d/b": "", ".gitignore": "*.log\n/out/\n", "x.log": "", "out/y": "", "d/out/z": ""})
    tree.add("a", ".gitignore")
    assert paths(tree.root, lister) == [".gitignore", "a", "d/b", "d/out/z"]
    assert select(tree.root, lister=lister).is_git


def test_paths_are_sorted_as_text_and_unique(tree: Any, lister: Lister) -> None:
    tree.init().write({"b/c": "", "b.c": "", "a": "", "é": "", "Z": "", "b c": ""}).add("b.c", "Z")
    assert paths(tree.root, lister) == sorted(["b/c", "b.c", "a", "é", "Z", "b c"])


def test_a_tracked_file_takes_part_although_it_is_ignored(tree: Any, lister: Lister) -> None:
    tree.init().write({".gitignore": "*.dat\nbuild/\n", "a.dat": "", "b.dat": "", "build/in": "", "build/new": ""})
    tree.add("a.dat", "build/in")
    assert paths(tree.root, lister) == [".gitignore", "a.dat", "build/in"]


def test_a_tracked_file_that_is_gone_from_the_disk_stays_in_the_list(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "", "d/b": ""}).add()
    (tree.root / "d/b").unlink()
    (tree.root / "d").rmdir()
    assert paths(tree.root, lister) == ["a", "d/b"]


def test_nested_ignore_files_negations_and_anchors_hold(tree: Any, lister: Lister) -> None:
    tree.init().write(
        {
            ".gitignore": "*.log\n!keep.log\n/only-here\na/**/deep\ndir/\n",
            "keep.log": "",
            "drop.log": "",
            "only-here": "",
            "sub/only-here": "",
            "sub/.gitignore": "!drop.log\nlocal\n",
            "sub/drop.log": "",
            "sub/local": "",
            "sub/more/local": "",
            "a/deep": "",
            "a/x/y/deep": "",
            "b/deep": "",
            "dir/x": "",
            "sub/dir": "",
        }
    )
    assert paths(tree.root, lister) == [
        ".gitignore", "b/deep", "keep.log", "sub/.gitignore", "sub/dir", "sub/drop.log", "sub/only-here",
    ]  # fmt: skip


def test_git_does_not_take_back_below_an_ignored_directory(tree: Any, lister: Lister) -> None:
    tree.init().write({".gitignore": "d/\n!d/keep\n", "d/keep": "", "d/.gitignore": "!*\n"})
    assert paths(tree.root, lister) == [".gitignore"]


def test_the_repository_s_and_the_user_s_own_exclude_files_hold(
    tree: Any, lister: Lister, clean_environment: Path
) -> None:
    tree.init().write({"a.one": "", "a.two": "", "a.three": "", "b.two": ""})
    (tree.root / ".git/info/exclude").write_text("*.one\n!b.two\n")
    (clean_environment / ".config/git").mkdir(parents=True, exist_ok=True)
    standard = clean_environment / ".config/git/ignore"
    standard.write_text("*.two\n")
    try:
        assert paths(tree.root, lister) == ["a.three", "b.two"]
        tree.git("config", "core.excludesFile", "~/mine")
        (clean_environment / "mine").write_text("*.three\n")
        assert paths(tree.root, lister) == ["a.two", "b.two"]
    finally:
        standard.unlink()


def test_case_is_ignored_only_where_the_repository_says_so(tree: Any, lister: Lister) -> None:
    tree.init().write({".gitignore": "*.LOG\n", "a.log": "", "b.LOG": ""})
    assert paths(tree.root, lister) == [".gitignore", "a.log"]
    tree.git("config", "core.ignoreCase", "true")
    assert paths(tree.root, lister) == [".gitignore"]


def test_links_take_part_and_are_never_followed(tree: Any, another: Make, lister: Lister) -> None:
    another("elsewhere").write({"secret": ""})
    tree.init().write({"real/a": ""})
    (tree.root / "out").symlink_to("../elsewhere", target_is_directory=True)
    (tree.root / "in").symlink_to("real", target_is_directory=True)
    (tree.root / "dangling").symlink_to("nowhere")
    assert paths(tree.root, lister) == ["dangling", "in", "out", "real/a"]


def test_a_tracked_path_behind_a_link_is_gone(tree: Any, another: Make, lister: Lister) -> None:
    another("elsewhere").write({"a": "secret", "deep/b": "secret"})
    tree.init().write({"d/a": "", "d/deep/b": "", "c": ""}).add()
    for name in ("a", "deep/b"):
        (tree.root / "d" / name).unlink()
    (tree.root / "d/deep").rmdir()
    (tree.root / "d").rmdir()
    (tree.root / "d").symlink_to("../elsewhere", target_is_directory=True)
    assert paths(tree.root, lister) == ["c", "d"]


def test_no_path_stands_above_another(tree: Any, lister: Lister) -> None:
    tree.init().write({"was-file": "", "was-dir/a": ""}).add()
    (tree.root / "was-file").unlink()
    (tree.root / "was-dir/a").unlink()
    (tree.root / "was-dir").rmdir()
    tree.write({"was-file/new": "", "was-dir": ""})
    assert paths(tree.root, lister) == ["was-dir", "was-file/new"]


def test_empty_directories_and_always_left_out_files_are_not_listed(tree: Any, lister: Lister) -> None:
    tree.init().write(
        {"a.py": "", "empty/": "", "a.pyc": "", "p/__pycache__/m.cpython-311.pyc": "", "p/__pycache__/x": ""}
    )
    tree.add()
    tree.write({"b.pyc": "", "__pycache__": ""})
    assert paths(tree.root, lister) == ["a.py"]


def test_what_lies_above_a_root_inside_a_work_tree_counts_for_rules_alone(tree: Any, lister: Lister) -> None:
    tree.init().write(
        {".gitignore": "*.log\n/sub/skip\n", "top": "", "sub/a": "", "sub/a.log": "", "sub/skip": "", "sub/deep/b": ""}
    )
    tree.add("sub/a")
    assert paths(tree.root / "sub", lister) == ["a", "deep/b"]
    assert paths(tree.root / "sub" / "deep", lister) == ["b"]


def test_a_root_that_the_repository_around_it_ignores_is_a_plain_folder(tree: Any, lister: Lister) -> None:
    tree.init().write({".gitignore": "*\n", "mine/a": "", "mine/.gitignore": "*\n", "mine/b/c": ""})
    selection = select(tree.root / "mine", lister=lister)
    assert list(selection.paths) == [".gitignore", "a", "b/c"]
    assert not selection.is_git


def test_an_ignored_root_with_tracked_files_stays_git_s(tree: Any, lister: Lister) -> None:
    tree.init().write({".gitignore": "*\n", "mine/a": "", "mine/b": ""}).add("mine/a")
    selection = select(tree.root / "mine", lister=lister)
    assert (list(selection.paths), selection.is_git) == (["a"], True)


def test_a_linked_root_is_listed_as_the_directory_it_names(tree: Any, tmp_path: Path, lister: Lister) -> None:
    tree.init().write({"a": ""})
    (tmp_path / "link").symlink_to(tree.root, target_is_directory=True)
    assert paths(tmp_path / "link", lister) == ["a"]


def test_an_empty_repository_has_no_paths(tree: Any, lister: Lister) -> None:
    tree.init()
    assert paths(tree.root, lister) == []
    assert select(tree.root, lister=lister).is_git


def test_submodules_are_listed_by_their_own_rules(tree: Any, another: Make, lister: Lister) -> None:
    inner = another("inner").init().write({"lib.py": "", ".gitignore": "*.tmp\n"}).add().commit()
    tree.init().write({"a": "", ".gitignore": "*.py\n"}).add("a")
    tree.git("submodule", "--quiet", "add", str(inner.root), "sub")
    tree.write({"sub/x.tmp": "", "sub/new": ""}).commit()
    assert (tree.root / "sub/.git").is_file()
    assert paths(tree.root, lister) == [".gitignore", ".gitmodules", "a", "sub/.gitignore", "sub/lib.py", "sub/new"]


def test_a_submodule_that_was_never_checked_out_has_no_files(tree: Any, another: Make, lister: Lister) -> None:
    inner = another("inner").init().write({"lib.py": ""}).add().commit()
    first = another("first").init()
    first.git("submodule", "--quiet", "add", str(inner.root), "sub")
    first.commit()
    tree.git("clone", "-q", str(first.root), ".")
    assert paths(tree.root, lister) == [".gitmodules"]


def test_files_where_a_submodule_s_repository_is_gone_are_not_lost(tree: Any, another: Make, lister: Lister) -> None:
    inner = another("inner").init().write({"lib.py": ""}).add().commit()
    tree.init().git("submodule", "--quiet", "add", str(inner.root), "sub")
    (tree.root / "sub/.git").write_text("gitdir: ../nowhere\n")
    assert paths(tree.root, lister) == [".gitmodules", "sub/lib.py"]


def test_untracked_repositories_inside_are_listed_by_their_own_rules(tree: Any, another: Make, lister: Lister) -> None:
    tree.init().write({"a": "", ".gitignore": "*.py\n/hidden/\n"})
    another("tree/in").init().write({"m.py": "", "m.o": "", ".gitignore": "*.o\n"}).add("m.py")
    another("tree/in/deeper").init().write({"n.o": ""})
    another("tree/hidden").init().write({"h": ""})
    assert paths(tree.root, lister) == [".gitignore", "a", "in/.gitignore", "in/deeper/n.o", "in/m.py"]


def test_many_repositories_inside_are_all_listed(tree: Any, another: Make, lister: Lister) -> None:
    tree.init()
    for number in range(11):
        another(f"tree/r{number:02}").init().write({"f": ""})
    assert paths(tree.root, lister) == [f"r{number:02}/f" for number in range(11)]


def test_linked_work_trees_are_listed_like_any_other(tree: Any, another: Make, lister: Lister) -> None:
    tree.init().write({"a": "", ".gitignore": "*.log\n"}).add().commit()
    tree.git("worktree", "add", "-q", "../linked", "-b", "other")
    another("linked").write({"b": "", "c.log": ""})
    (tree.root / ".git/info/exclude").write_text("b\n")
    assert paths(tree.root.parent / "linked", lister) == [".gitignore", "a"]
    tree.git("worktree", "add", "-q", "inside", "-b", "third")
    assert paths(tree.root, lister) == [".gitignore", "a", "inside/.gitignore", "inside/a"]


def test_every_path_of_an_unfinished_merge_stands_once(tree: Any, lister: Lister) -> None:
    tree.init().write({"a": "1", "b": "1"}).add().commit()
    tree.git("checkout", "-q", "-b", "side")
    tree.write({"a": "2"}).add().commit()
    tree.git("checkout", "-q", "main")
    tree.write({"a": "3"}).add().commit()
    with pytest.raises(Exception, match="exit status 1"):
        tree.git("merge", "-q", "side")
    assert tree.git("ls-files", "-u").count("\ta") == 3
    assert paths(tree.root, lister) == ["a", "b"]


def test_entries_with_special_flags_are_ordinary_files(tree: Any, lister: Lister) -> None:
    tree.init().write({"assumed": "", "intended": "", "plain": ""}).add("assumed", "plain")
    tree.git("update-index", "--assume-unchanged", "assumed")
    tree.git("add", "--intent-to-add", "intended")
    assert paths(tree.root, lister) == ["assumed", "intended", "plain"]


@pytest.mark.parametrize("sparse_index", ["--no-sparse-index", "--sparse-index"])
def test_a_sparse_checkout_lists_what_git_tracks(tree: Any, lister: Lister, sparse_index: str) -> None:
    tree.init().write(
        {"in/a": "", "out/b": "", "out/deep/c": "", "top": "", "out/.gitignore": "*.log\n"}
    ).add().commit()
    tree.git("sparse-checkout", "init", "--cone", sparse_index)
    tree.git("sparse-checkout", "set", "in")
    assert not (tree.root / "out").exists()
    tree.write({"out/new.log": "", "in/new": ""})
    assert paths(tree.root, lister) == ["in/a", "in/new", "out/.gitignore", "out/b", "out/deep/c", "top"]


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_every_version_of_git_s_list_is_read(tree: Any, lister: Lister, version: str) -> None:
    tree.init().write({"a/b/c": "", "a/b/d": "", "a/x": ""}).add()
    tree.git("update-index", "--index-version", version)
    assert paths(tree.root, lister) == ["a/b/c", "a/b/d", "a/x"]


def test_the_disk_says_what_is_executable_where_it_can(tree: Any, lister: Lister) -> None:
    tree.init().write({"run": ""})
    (tree.root / "run").chmod(0o755)
    tree.add()
    expected = frozenset({"run"}) if sys.platform == "win32" else None
    assert select(tree.root, lister=lister).executable == expected


def test_git_says_what_is_executable_where_the_disk_cannot(tree: Any, another: Make, lister: Lister) -> None:
    tree.init().write({"run": "", "plain": "", "new": ""}).add("run", "plain")
    tree.git("update-index", "--chmod=+x", "run")
    tree.git("config", "core.fileMode", "false")
    (tree.root / "new").chmod(0o755)
    inner = another("tree/inner").init().write({"tool": "", "text": ""})
    (inner.root / "tool").chmod(0o755)
    assert select(tree.root, lister=lister).executable == {"run", "inner/tool"}


if sys.platform == "linux":  # other systems take no such names

    def test_a_name_that_is_not_utf8_is_a_problem_with_its_bytes_shown(tree: Any, lister: Lister) -> None:
        tree.init().write({"good": ""})
        Path(os.fsdecode(os.fsencode(tree.root) + b"/bad\xff")).write_bytes(b"")
        selection = select(tree.root, lister=lister)
        assert list(selection.paths) == ["good"]
        assert selection.problems == (Problem(ProblemKind.NOT_UTF8, "bad\\xff", "has a name that is not UTF-8"),)

    def test_names_that_other_systems_cannot_carry_are_problems(tree: Any, lister: Lister) -> None:
        tree.init().write({"good": "", "back\\slash": "", ".GIT/x": ""})
        selection = select(tree.root, lister=lister)
        assert list(selection.paths) == ["good"]
        assert selection.problems == (
            Problem(ProblemKind.BAD_NAME, ".GIT/x", "reaches into a repository's .git"),
            Problem(ProblemKind.BAD_NAME, "back\\slash", "contains a backslash"),
        )

    def test_unusual_names_are_taken_as_they_are(tree: Any, lister: Lister) -> None:
        names = [
            "a b",
            " lead",
            "trail ",
            'qu"ote',
            "new\nline",
            "tab\t",
            "e\u0301",
            "\u00e9",
            "?",
            "[x]",
            "#h",
            "!n",
            "H 1",
        ]
        tree.init().write(dict.fromkeys(names, "")).add(*names[:6])
        assert paths(tree.root, lister) == sorted(names)


if sys.platform != "win32":  # there a mode bars nobody

    def without_privileges() -> None:
        """Take from root, for the program about to start, the right to read whatever it likes."""
        drop_from_bounding_set = 24
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if os.geteuid() == 0 and ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0):
                raise OSError("cannot give up a capability")

    def test_a_directory_that_cannot_be_read_is_a_problem(tree: Any, another: Make, lister: Lister) -> None:
        tree.init().write({"a": "", "shut/b": ""})
        another("tree/inner").init().write({"shut/c": ""})
        program = (
            "from pathlib import Path; from synccore.worktree.selection import *;"
            f"s = select(Path({str(tree.root)!r}), lister=Lister({lister.value!r}));"
            "print([str(p) for p in s.paths], sorted((p.kind.value, p.path, p.detail) for p in s.problems))"
        )
        barred = [tree.root / "shut", tree.root / "inner/shut"]
        for directory in barred:
            directory.chmod(0)
        try:
            done = subprocess.run(
                [sys.executable, "-c", program],
                check=True,
                capture_output=True,
                text=True,
                cwd=Path(synccore.__file__).parent.parent,
                preexec_fn=without_privileges,
            )
        finally:
            for directory in barred:
                directory.chmod(0o755)
        detail = "cannot be read as a directory: Permission denied"
        problems = [("unreadable", "inner/shut", detail), ("unreadable", "shut", detail)]
        assert done.stdout.strip() == f"{['a']} {problems}"
