"""Whatever a crash leaves, the next run heals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synccore.testing.disk_tree import Folder, Link, lay_out, read_back
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter


def test_killed_at_any_step_no_file_is_half_and_the_next_run_completes_the_work(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_at_each_step.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    change, first = map(int, done.stdout.split())
    assert change > 60
    assert first > 20


# Names in a tree, and whether the sweep takes them for what a crashed writer left.
NAMES = {
    ".synccode-tmp-0123abcd-0": True,
    ".synccode-tmp-ffffffff-12345": True,
    ".synccode-tmp-0123abcd": False,
    ".synccode-tmp-0123abcd-": False,
    ".synccode-tmp-0123ABCD-1": False,
    ".synccode-tmp-0123abcd-1.py": False,
    ".synccode-tmp-notes": False,
    "x.synccode-tmp-0123abcd-0": False,
    "a": False,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("folder", ["", "p/q/"])
@pytest.mark.parametrize("node", ["text", Link("/etc"), Link("nowhere")], ids=str)
def test_the_sweep_takes_exactly_what_a_writer_left(name: str, folder: str, node: str | Link, tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    lay_out(root, {"kept": "1", f"{folder}{name}": node, "p/q/kept": "2"})
    with TreeWriter(root, ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        assert writer.sweep() == NAMES[name]
    assert (f"{folder}{name}" in read_back(root)) is not NAMES[name]
    assert read_back(root).items() >= {"kept": "1", "p/q/kept": "2"}.items()


def test_the_sweep_leaves_directories_and_git_alone(tmp_path: Path) -> None:
    root = tmp_path / "alpha"
    name = ".synccode-tmp-0123abcd-0"
    lay_out(root, {f"{name}/a": "1", f"p/{name}": Folder(), f".git/{name}": "2"})
    before = read_back(root)
    with TreeWriter(root, ours=lambda _: (), rescue=RescueFolder(tmp_path)) as writer:
        assert writer.sweep() == 0
    assert read_back(root) == before
