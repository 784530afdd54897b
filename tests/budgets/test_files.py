"""Which files each everyday operation opens."""

from pathlib import Path

import pytest

from synccore.testing.lab import Lab
from synccore.testing.opened_files import OpenedFiles
from synccore.testing.trees import NodeTree, noise

pytestmark = pytest.mark.vm

TREE: NodeTree = {f"d{n % 5}/f{n}.py": b"x = %d" % n for n in range(100)} | {"large": noise(1_500_000)}


@pytest.fixture
def tree(lab: Lab) -> Path:
    """The laptop's tree; both sides are up to date."""
    lab.laptop.lay(alpha=TREE)
    lab.laptop.push()
    lab.machine.pull()
    return lab.laptop.code / "alpha"


def test_an_upload_of_nothing_new_opens_no_file_of_the_tree(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    # The directories are listed, but that is no `open`.
    assert opened_files.during(tree, lab.laptop.push) == []


def test_an_upload_of_an_edit_opens_only_what_was_edited(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    lab.laptop.lay(alpha={**TREE, "d1/f1.py": b"x = 'one'", "new": b""})
    # A file in its first instants is read twice, so what counts is which ones.
    assert set(opened_files.during(tree, lab.laptop.push)) == {"d1/f1.py", "new"}


def test_a_download_of_nothing_new_opens_no_file_of_the_trees(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    home = lab.machine.home
    opened = opened_files.during(home, lab.machine.pull)
    # What the machine remembers, and nothing else.
    assert opened == [".synccode/state"]


def test_a_download_of_an_edit_writes_only_what_was_edited(lab: Lab, tree: Path) -> None:
    root = lab.machine.home / "alpha"
    before = {path: path.lstat() for path in root.rglob("*") if path.is_file()}
    edited: NodeTree = {**TREE, "d1/f1.py": b"x = 'one'", "d9/new": b""}
    del edited["d2/f2.py"]
    lab.laptop.lay(alpha=edited)
    lab.laptop.push()
    (line,) = lab.machine.pull().repos
    assert (line.written, line.removed) == (("d9/new", "d1/f1.py"), ("d2/f2.py",))
    after = {path: path.lstat() for path in root.rglob("*") if path.is_file()}
    same = {path for path in before.keys() & after.keys() if before[path] == after[path]}
    assert before.keys() - same == {root / "d1/f1.py", root / "d2/f2.py"}


def test_an_everyday_download_opens_only_what_it_replaces(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    lab.laptop.lay(alpha={**TREE, "d1/f1.py": b"x = 'one'"})
    lab.laptop.push()
    opened = opened_files.during(lab.machine.home / "alpha", lab.machine.pull)
    in_tree = {name for name in opened if not name.startswith(".synccode-tmp-")}
    # By handles: the directory, the file as it was, and the compiled forms that it may have.
    assert in_tree <= {"d1", "f1.py", "__pycache__"}
