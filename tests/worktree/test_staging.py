"""A new tree appears whole, and never in the place of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.errors import ConflictError, ErrorKind, WorktreeError
from synccore.testing.disk_tree import Folder, Link, Node, build, lay_out, read_back
from synccore.worktree.staging import new_staging, put_in_place, sweep_staging


@pytest.mark.parametrize("there", [{}, {"alpha": Folder()}], ids=["nothing", "an empty directory"])
def test_a_finished_tree_takes_its_place(there: dict[str, Node], tmp_path: Path) -> None:
    lay_out(tmp_path, there)
    root = tmp_path / "alpha"
    staging = new_staging(root)
    build(staging, {"p/a": "1"})
    assert read_back(root) == {}
    put_in_place(staging, root)
    assert read_back(tmp_path) == {"alpha/p/a": "1", ".synccode": Folder()}


@pytest.mark.parametrize("there", [{"alpha/a": "x"}, {"alpha": "x"}, {"alpha": Link("elsewhere")}], ids=str)
def test_what_appeared_meanwhile_is_not_replaced(there: dict[str, Node], tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    staging = new_staging(root)
    build(staging, {"a": "1"})
    lay_out(tmp_path, there)
    with pytest.raises(ConflictError, match="has come into being") as caught:
        put_in_place(staging, root)
    assert caught.value.kind is ErrorKind.TREE_TAKEN
    assert read_back(staging) == {"a": "1"}
    assert {path: node for path, node in read_back(tmp_path).items() if path.startswith("alpha")} == there


def test_a_tree_that_is_not_there_cannot_be_put_in_place(tmp_path: Path) -> None:
    with pytest.raises(WorktreeError, match="put the new tree in place"):
        put_in_place(new_staging(tmp_path / "alpha"), tmp_path / "alpha")


def test_the_sweep_takes_what_crashed_runs_left_of_this_tree_alone(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(new_staging(root), {"p/a": "1"})
    lay_out(new_staging(root), {"outside": Link("../../kept")})
    kept: dict[str, Node] = {
        "kept/a": "1",
        ".synccode/staging-alpha-two-0123abcd/a": "1",
        ".synccode/staging-alphabet-0123abcd/a": "1",
        ".synccode/state": "1",
    }
    lay_out(tmp_path, kept)
    assert sweep_staging(root) == 2
    assert read_back(tmp_path) == kept
    assert sweep_staging(root) == 0
