"""Somebody's edits, through the installed commands: saved and named on the machine; on the laptop nothing is ever written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from actors import Lab, files_below

from synccore.testing.disk_tree import Folder, Link, Node, Program, lay_out, read_back

# What the laptop has first (None: nothing of that name), what somebody puts there on the machine, and what the laptop has
# afterwards (None: it is deleted).
EDITS: dict[str, tuple[Node | None, Mapping[str, Node], Node | None]] = {
    "an edited file": ("1", {"a": "mine"}, "2"),
    "an edited file that goes": ("1", {"a": "mine"}, None),
    "a file that became a link": ("1", {"a": Link("/etc/hostname")}, "2"),
    "a file that became a link and goes": ("1", {"a": Link("b")}, None),
    "a file that became a folder": ("1", {"a/mine": "x", "a/deep/er": Program("y")}, "2"),
    "a file that was made executable": ("1", {"a": Program("1")}, "2"),
    "a file that was made executable and goes": ("1", {"a": Program("1")}, None),
    "a program that was made a plain file": (Program("1"), {"a": "1"}, Program("2")),
    "a link that was changed": (Link("b"), {"a": Link("c")}, Link("d")),
    "a file that was here before": (None, {"a": "mine"}, "2"),
    "a link that was here before": (None, {"a": Link("/etc/hostname")}, "2"),
    "a folder that was here before": (None, {"a/mine": "x"}, "2"),
}


def put(root: Path, tree: Mapping[str, Node]) -> None:
    """Make *tree* in the place of whatever is called ``a``."""
    if (root / "a").is_symlink() or (root / "a").exists():
        (root / "a").unlink()
    lay_out(root, tree)


def given_a_lab(lab: Lab, first: Mapping[str, Node]) -> tuple[Path, Path]:
    """Upload and download *first*; return the laptop's and the machine's tree."""
    code, tree = lab.code(lab.laptop), lab.tree(lab.machine)
    lay_out(code, {"b": "b", **first})
    lab.laptop.report("upload")
    lab.machine.report("download")
    return code, tree


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_is_saved_under_its_time_repository_and_path_and_named(case: str, local: Lab) -> None:
    first, mine, then = EDITS[case]
    code, tree = given_a_lab(local, {} if first is None else {"a": first})
    put(tree, mine)
    if first is not None:
        (code / "a").unlink()
    lay_out(code, {} if then is None else {"a": then})
    local.laptop.report("upload")

    said = local.machine.run("download")

    assert said.code == 0, said
    assert files_below(tree) == files_below(code)
    (time,) = (place for place in (tree.parent / ".rescued").iterdir() if place.is_dir())
    assert read_back(time) == {f"alpha/{path}": node for path, node in mine.items()}
    assert said.err == f"warning: alpha/a was edited here; the edit is now {time / 'alpha' / 'a'}\n"
    assert [edit["path"] for edit in local.machine.report("rescued")["saved"]] == ["a"]


def test_what_was_never_ours_stays_and_keeps_its_folder(local: Lab) -> None:
    code, tree = given_a_lab(local, {"p/q/a": "1", "r/a": "1", "s/a": "1"})
    lay_out(tree, {"p/q/mine": "x", "mine": "y", "r/mine": Folder()})
    for name in ("p/q/a", "r/a", "s/a"):
        (code / name).unlink()
    local.laptop.report("upload")
    assert local.machine.report("download")["repos"][0]["saved"] == []
    assert read_back(tree) == {"b": "b", "p/q/mine": "x", "mine": "y", "r/mine": Folder()}


def test_an_edit_that_the_laptop_does_not_touch_is_not_looked_at(local: Lab) -> None:
    code, tree = given_a_lab(local, {"a": "1"})
    lay_out(tree, {"b": "mine"})
    (code / "a").write_text("2")
    local.laptop.report("upload")
    assert local.machine.report("download")["repos"][0]["saved"] == []
    assert read_back(tree) == {"a": "2", "b": "mine"}


def test_a_file_of_ours_that_somebody_deleted_comes_back_when_the_laptop_changes_it(local: Lab) -> None:
    code, tree = given_a_lab(local, {"a": "1"})
    (tree / "a").unlink()
    (code / "b").write_text("2")
    local.laptop.report("upload")
    local.machine.report("download")
    assert read_back(tree) == {"b": "2"}
    (code / "a").write_text("2")
    local.laptop.report("upload")
    local.machine.report("download")
    assert read_back(tree) == {"a": "2", "b": "2"}


def test_a_tree_that_somebody_deleted_is_built_anew(local: Lab) -> None:
    code, tree = given_a_lab(local, {"a": "1"})
    for name in ("a", "b"):
        (tree / name).unlink()
    tree.rmdir()
    (code / "a").write_text("2")
    local.laptop.report("upload")
    local.machine.report("download")
    assert files_below(tree) == files_below(code)


def test_a_machine_that_lost_its_memory_keeps_what_equals_the_store_and_saves_the_rest(local: Lab) -> None:
    code, tree = given_a_lab(local, {"a": "1"})
    memory = tree.parent / ".synccode"
    for damaged in (b"", b"not a state"):
        (memory / "state").write_bytes(damaged)
        lay_out(tree, {"a": "mine"})
        before = (tree / "b").stat().st_ctime_ns
        (repo,) = local.machine.report("download")["repos"]
        assert [saved["path"] for saved in repo["saved"]] == ["alpha/a"]
        assert (tree / "b").stat().st_ctime_ns == before
        assert files_below(tree) == files_below(code)


def test_a_saved_edit_is_compared_restored_saved_again_and_dropped(lab: Lab) -> None:
    code, tree = given_a_lab(lab, {"src/m.py": "rate = 1\n"})
    machine = lab.machine
    (tree / "src" / "m.py").write_text("rate = 2\n")
    (code / "src" / "m.py").write_text("rate = 3\n")
    lab.laptop.report("upload")
    machine.report("download")

    (edit,) = machine.report("rescued")["saved"]
    assert (edit["repo"], edit["path"], edit["reason"], edit["here"]) == ("alpha", "src/m.py", "edited", "replacement")
    assert machine.run("rescued").out.split()[0] == edit["id"][:7]
    compared = machine.run("rescued", "diff")
    assert compared.out.splitlines()[-2:] == ["-rate = 3", "+rate = 2"]

    restored = machine.run("rescued", "restore", edit["id"][:7])
    assert restored.code == 0, restored
    assert "the laptop's next change of the same path saves it here again" in restored.err
    assert (tree / "src" / "m.py").read_text() == "rate = 2\n"
    assert [one["reason"] for one in machine.report("rescued")["saved"]] == ["replaced-by-restore"]

    machine.report("download")
    assert (tree / "src" / "m.py").read_text() == "rate = 2\n"
    (code / "src" / "m.py").write_text("rate = 4\n")
    lab.laptop.report("upload")
    machine.report("download")
    assert (tree / "src" / "m.py").read_text() == "rate = 4\n"
    saved = machine.report("rescued")["saved"]
    assert [Path(one["saved_as"]).read_text() for one in saved] == ["rate = 2\n", "rate = 3\n"]

    asked = machine.run("rescued", "drop", "alpha/src/m.py")
    assert asked.code == 1
    assert asked.err.startswith(
        "error: the removal of 2 saved edits must be confirmed, and there is no terminal to ask on"
    )
    assert machine.report("rescued", "drop", "--all", "--older-than", "1h")["dropped"] == []
    assert machine.report("rescued", "--json", "drop", saved[0]["id"], "--yes")["dropped"] == [saved[0]]
    assert machine.report("rescued")["saved"] == [saved[1]]
    assert machine.report("rescued", "drop", "alpha", "--yes")["dropped"] == [saved[1]]
    assert machine.run("rescued").out == "nothing was saved on this machine\n"
    assert (tree / "src" / "m.py").read_text() == "rate = 4\n"


def test_a_name_that_means_nothing_is_answered_with_the_nearest(local: Lab) -> None:
    code, tree = given_a_lab(local, {"a.py": "1"})
    (tree / "a.py").write_text("mine")
    (code / "a.py").write_text("2")
    local.laptop.report("upload")
    local.machine.report("download")
    for command in (("diff",), ("restore",), ("drop", "--yes")):
        said = local.machine.run("rescued", *command, "alpha/b.py")
        assert said.code == 4
        assert said.err.startswith(
            f"error: nothing in {tree.parent / '.rescued'} is called 'alpha/b.py'; did you mean alpha/a.py?\n"
        )
        assert "hint: `epic-synccode rescued` lists what was saved on this machine." in said.err


# The laptop


def everything_in(root: Path) -> dict[str, tuple[object, ...]]:
    """All that a repository is, its ``.git`` too: each name with inode, mode, times of change, and content; but for access times."""
    found: dict[str, tuple[object, ...]] = {}
    for place in [root, *sorted(root.rglob("*"))]:
        status = place.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = place.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = str(place.readlink())
        facts = (status.st_ino, status.st_mode, status.st_nlink, status.st_mtime_ns, status.st_ctime_ns)
        found[place.relative_to(root).as_posix()] = (*facts, content)
    return found


def in_git(lab: Lab, code: Path) -> None:
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        lab.laptop.git(*words, at=code)


def plain(_lab: Lab, _code: Path) -> None:
    pass


@pytest.mark.parametrize("prepare", [in_git, plain], ids=["git", "plain"])
def test_no_command_of_the_laptop_writes_anything_into_a_repository(
    prepare: Callable[[Lab, Path], None], local: Lab
) -> None:
    code = local.code(local.laptop)
    lay_out(code, {"a.py": "1\n", "p/run": Program("x"), "l": Link("a.py"), ".gitignore": "*.log\n", "x.log": "x"})
    prepare(local, code)
    # As git finds it after an editor was at work: times that it has not noted yet, an edit, something new.
    os.utime(code / "p" / "run")
    lay_out(code, {"a.py": "2\n", "new": "n", "__pycache__/a.cpython-311.pyc": "c"})
    before = everything_in(code)
    for words in (
        ["status"],
        ["upload"],
        ["upload"],
        ["status"],
        ["explain", str(code / "a.py"), str(code / "x.log")],
        ["log"],
        ["path"],
        ["upload", "--force"],
        ["delete", "alpha", "--yes"],
        ["upload"],
        ["rescued"],
    ):
        assert local.laptop.run(*words).code == 0
        assert everything_in(code) == before, words
    # A change is seen: this test can fail.
    (code / "a.py").touch()
    assert everything_in(code) != before
