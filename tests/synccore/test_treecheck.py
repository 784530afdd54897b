"""A machine's trees beside what was written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.testing.lab import USER, Lab
from synccore.testing.trees import executable, link
from synccore.treecheck import TreeCheck, check_trees


def check(lab: Lab) -> TreeCheck:
    (found,) = check_trees(lab.machine.home, user=USER, store="lab")
    return found


@pytest.fixture
def tree(lab: Lab) -> Path:
    lab.laptop.lay(alpha={"a.py": "1", "b/c": "2", "empty": "", "x": executable("#!"), "l": link("a.py")})
    lab.laptop.push()
    lab.machine.pull()
    lab.laptop.lay(alpha={"a.py": "11", "b/c": "2", "empty": "", "x": executable("#!"), "l": link("a.py")})
    lab.laptop.push()
    lab.machine.pull()
    return lab.machine.home / "alpha"


def test_a_tree_as_it_was_written_has_nothing_to_tell(lab: Lab, tree: Path) -> None:
    (tree / "__pycache__").mkdir()
    (tree / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"compiled")
    assert check(lab) == TreeCheck(repo="alpha", snapshot=lab.head().repos["alpha"].snapshot, files=5)


def test_edited_missing_and_additional_files_are_told_apart(lab: Lab, tree: Path) -> None:
    (tree / "a.py").write_text("22")
    (tree / "b" / "c").unlink()
    (tree / "x").chmod(0o644)
    (tree / "l").unlink()
    (tree / "l").symlink_to("b")
    (tree / "b" / "new").write_text("mine")
    found = check(lab)
    assert (found.files, found.edited, found.missing, found.additional) == (1, ("a.py", "l", "x"), ("b/c",), ("b/new",))


def test_a_directory_in_the_place_of_a_file_is_an_edit(lab: Lab, tree: Path) -> None:
    (tree / "a.py").unlink()
    (tree / "a.py").mkdir()
    (tree / "a.py" / "inside").write_text("mine")
    found = check(lab)
    assert (found.edited, found.missing, found.additional) == (("a.py",), (), ("a.py/inside",))


def test_a_removed_tree_is_missing_whole(lab: Lab, tree: Path) -> None:
    tree.rename(tree.with_name("elsewhere"))
    assert len(check(lab).missing) == 5


@pytest.mark.parametrize("kind", ["manifests", "deltas"])
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.usefixtures("tree")
def test_a_damaged_memory_is_named(lab: Lab, kind: str, *, is_there: bool) -> None:
    (path,) = (lab.machine.memory_folder / kind).iterdir()
    if is_there:
        path.write_bytes(b"\x07" * max(len(path.read_bytes()), 8))
    else:
        path.unlink()
    assert "of alpha" in (check(lab).fault or "")
