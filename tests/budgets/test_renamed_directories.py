"""What a renamed directory holds is recognised by its status and not read again, and only if that status says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from synccore.errors import ConflictError
from synccore.testing.invariants import assert_is_at_head
from synccore.testing.lab import Lab
from synccore.testing.opened_files import OpenedFiles
from synccore.testing.trees import NodeTree, executable, link, nodes

FILES = {f"p{number % 3}/{number}.py": f"x = {number % 40}\n" for number in range(100)}
TREE: NodeTree = nodes(
    {**{f"old/{path}": text for path, text in FILES.items()}, "old/run": executable("1"), "old/at": link("run")}
)


pytestmark = pytest.mark.vm


@pytest.fixture
def tree(lab: Lab) -> Path:
    """The laptop's tree; both sides are up to date."""
    lab.clock.run_ahead()
    lab.laptop.lay(alpha=TREE)
    lab.laptop.push()
    lab.machine.pull()
    return lab.laptop.code / "alpha"


def arrives(lab: Lab) -> None:
    """Check that machines, one that follows and one that is new, get what the laptop has."""
    lab.machine.pull()
    new = lab.another_machine("new")
    new.pull()
    for machine in (lab.machine, new):
        assert_is_at_head(machine, lab)
        assert machine.read("alpha").keys() == {
            str(it.relative_to(lab.laptop.code / "alpha"))
            for it in (lab.laptop.code / "alpha").rglob("*")
            if it.is_symlink() or it.is_file()
        }


def test_an_upload_of_a_renamed_directory_opens_no_file_of_it(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    (tree / "old").rename(tree / "new")
    assert opened_files.during(tree, lab.laptop.push) == []
    arrives(lab)


def test_what_was_edited_in_it_is_read(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    (tree / "old").rename(tree / "new")
    (tree / "new/p0/0.py").write_text("x = 9\n")
    (tree / "new/p1/1.py").chmod(0o755)
    (tree / "new/p2/2.py").rename(tree / "new/p2/3.py")
    times = (tree / "new/p2/5.py").stat()
    (tree / "new/p2/5.py").write_text("y = 5\n")
    os.utime(tree / "new/p2/5.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    opened = set(opened_files.during(tree, lab.laptop.push))
    assert opened == {"new/p0/0.py", "new/p1/1.py", "new/p2/3.py", "new/p2/5.py"}
    arrives(lab)
    assert (lab.machine.home / "alpha/new/p2/5.py").read_text() == "y = 5\n"


def test_two_directories_that_were_exchanged_are_told_apart(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    for old, new in (("p0", "p"), ("p1", "p0"), ("p", "p1")):
        (tree / "old" / old).rename(tree / "old" / new)
    assert opened_files.during(tree, lab.laptop.push) == []
    arrives(lab)
    assert (lab.machine.home / "alpha/old/p1/0.py").read_text() == "x = 0\n"


def test_a_copy_has_another_inode_and_is_read(lab: Lab, tree: Path, opened_files: OpenedFiles) -> None:
    for path in FILES:
        place = tree / "copy" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((tree / "old" / path).read_bytes())
        times = (tree / "old" / path).stat()
        os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(set(opened_files.during(tree, lab.laptop.push))) == len(FILES)
    arrives(lab)


def test_what_was_read_and_never_stored_is_read_again_and_stored(
    lab: Lab, tree: Path, opened_files: OpenedFiles
) -> None:
    other = lab.another_laptop("other")
    other.lay(alpha={**TREE, "theirs": b"1"})
    other.push(force=True)
    lab.laptop.lay(alpha={**TREE, **{f"mine/{number}.py": b"y = %d" % number for number in range(100)}})
    with pytest.raises(ConflictError, match="never seen"):
        lab.laptop.push()
    (tree / "mine").rename(tree / "ours")
    opened = opened_files.during(tree, lambda: lab.laptop.push(force=True))
    assert len(set(opened)) == 100
    arrives(lab)
