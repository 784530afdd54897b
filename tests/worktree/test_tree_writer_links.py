"""Links that would lead the writer out of its tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.errors import WorktreeError
from synccore.testing.disk_tree import Content, Folder, Link, Node, apply, lay_out, ours_in, read_back, write
from synccore.treepath import TreePath
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter

OUTSIDE: dict[str, Node] = {"outside/a": "1", "outside/m.py": "1", "outside/__pycache__/m.cpython-311.pyc": "code"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    lay_out(tmp_path, OUTSIDE)
    return tmp_path


def outside(home: Path) -> dict[str, Node]:
    return {path: node for path, node in read_back(home).items() if path.startswith("outside/")}


@pytest.mark.parametrize("target", [{"p/a": "2"}, {"p/q/a": "2"}, {"p/a": Link("x")}, {"p/new": "2"}], ids=str)
def test_a_directory_that_became_a_link_is_replaced_and_not_followed(target: dict[str, Content], home: Path) -> None:
    lay_out(home / "alpha", {"p": Link("../outside")})
    rescue = RescueFolder(home)
    apply(home / "alpha", {"p/a": "1"}, target, rescue)
    assert outside(home) == OUTSIDE
    assert read_back(home / "alpha") == target
    assert read_back(rescue.saved[0].saved_as.parent) == {"p": Link("../outside")}


def test_a_link_of_our_own_that_becomes_a_directory_is_not_followed(home: Path) -> None:
    lay_out(home / "alpha", {"p": Link("../outside")})
    rescue = RescueFolder(home)
    apply(home / "alpha", {"p": Link("../outside")}, {"p/a": "2"}, rescue)
    assert outside(home) == OUTSIDE
    assert read_back(home / "alpha") == {"p/a": "2"}
    assert not rescue.saved


def test_nothing_is_removed_through_a_link(home: Path) -> None:
    lay_out(home / "alpha", {"p": Link("../outside"), "q/r": Link("../../outside")})
    rescue = RescueFolder(home)
    apply(home / "alpha", {"p/a": "1", "p/m.py": "1", "q/r/a": "1"}, {}, rescue)
    assert outside(home) == OUTSIDE
    assert read_back(home / "alpha") == {"p": Link("../outside"), "q/r": Link("../../outside")}
    assert not rescue.saved


def test_a_file_that_became_a_link_is_replaced_and_its_target_not_written(home: Path) -> None:
    lay_out(home / "alpha", {"a": Link("../outside/a")})
    apply(home / "alpha", {"a": "1"}, {"a": "2"}, RescueFolder(home))
    assert outside(home) == OUTSIDE
    assert read_back(home / "alpha") == {"a": "2"}


def test_a_link_to_our_bytes_is_not_our_file(home: Path) -> None:
    lay_out(home / "alpha", {"a": Link("../outside/a")})
    rescue = RescueFolder(home)
    apply(home / "alpha", {"a": "1"}, {}, rescue)
    assert outside(home) == OUTSIDE
    assert read_back(rescue.saved[0].saved_as.parent) == {"a": Link("../outside/a")}


def test_a_cache_that_is_a_link_is_not_followed(home: Path) -> None:
    lay_out(home / "alpha", {"m.py": "1", "__pycache__": Link("../outside/__pycache__")})
    apply(home / "alpha", {"m.py": "1"}, {"m.py": "2"}, RescueFolder(home))
    assert outside(home) == OUTSIDE


def test_a_directory_that_is_exchanged_while_we_are_in_it_does_not_lead_outside(home: Path) -> None:
    root = home / "alpha"
    lay_out(root, {"p/a": "1"})
    ours = ours_in({"p/a": "1", "p/m.py": "1"})
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=RescueFolder(home)) as writer:
        write(writer, "p/b", "2")
        (root / "p").rename(root / "moved")
        (root / "p").symlink_to("../outside")
        write(writer, "p/a", "2")
        writer.remove(TreePath("p/m.py"))
    assert outside(home) == OUTSIDE
    assert read_back(root / "moved") == {"a": "2", "b": "2"}


def test_the_rescue_area_is_not_reached_through_a_link(home: Path) -> None:
    lay_out(home, {".rescued": Link("outside"), "alpha/a": "x"})
    with pytest.raises(WorktreeError):
        apply(home / "alpha", {"a": "1"}, {"a": "2"}, RescueFolder(home))
    assert outside(home) == OUTSIDE
    assert read_back(home / "alpha") == {"a": "x"}


def test_the_sweep_removes_no_file_through_a_link(home: Path) -> None:
    name = ".synccode-tmp-0123abcd-7"
    lay_out(home, {f"outside/{name}": "1", "alpha/p": Link("../outside"), "alpha/q": Folder()})
    with TreeWriter(home / "alpha", ours=lambda _: (), rescue=RescueFolder(home)) as writer:
        assert writer.sweep() == 0
    assert (home / "outside" / name).exists()
