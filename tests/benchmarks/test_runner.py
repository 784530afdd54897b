"""Rounds of real tools on a tiny tree, through the real bucket and network."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import cost, kernel_start, quick, runner
from benchmarks.results import DOWN, UP, Results
from benchmarks.runner import Limits
from benchmarks.site import Command, Site
from benchmarks.steps import STEPS
from benchmarks.tools import TOOLS
from benchmarks.tools.base import Tool
from benchmarks.trees import OTHER_BRANCH, Tree, files_of, git, make_tree

pytestmark = pytest.mark.vm

FILES = 12


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    root = tmp_path_factory.mktemp("tree") / "tree"
    for number in range(FILES):
        file = root / f"package{number % 2}" / "part" / f"module{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"NUMBER = {number}\n")
    git_repository(root)
    return Tree(name="300", path=root, files=FILES, size_bytes=FILES * 12, source="a test")


def git_repository(root: Path) -> None:
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "one")
    git(root, "checkout", "-q", "-b", OTHER_BRANCH)
    (root / "package0/part/module0.py").unlink()
    (root / "new.py").write_text("NEW = 1\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "two")
    git(root, "checkout", "-q", "main")


def measured(tree: Tree, folder: Path, *tools: Tool, limits: Limits | None = None) -> tuple[Results, list[str]]:
    said: list[str] = []
    limits = replace(limits or Limits(rounds=1), settled_seconds=0)
    return runner.run(tree, 0, tools, limits=limits, folder=folder, cache=folder, say=said.append), said


class Copy(Tool):
    """`cp` of the tree, and whatever is said besides."""

    name = "copy"
    local = True

    def __init__(self, line: str = "true") -> None:
        self.line = line

    def absence(self, cache: Path) -> str | None:
        return None

    def version(self, cache: Path) -> str:
        return "1"

    def set_up(self, site: Site) -> None:
        pass

    def upload(self, site: Site) -> list[Command]:
        return [Command(words=("sh", "-c", self.line), cwd=site.folder, variables=site.variables(site.laptop))]

    def download(self, site: Site) -> list[Command]:
        line = f"rm -rf {site.target} && cp -r {site.source} {site.target} && rm -rf {site.target}/.git"
        return [Command(words=("sh", "-c", line), cwd=site.folder, variables=site.variables(site.machine))]


@pytest.mark.slow
def test_ours_and_git_do_every_step_and_what_they_ask_is_counted(tree: Tree, tmp_path: Path) -> None:
    found, _ = measured(tree, tmp_path, TOOLS["ours"], TOOLS["git"], TOOLS["tar-zstd"])
    assert {name: tool.absent for name, tool in found.tools.items()} == dict.fromkeys(found.tools)
    steps = set(STEPS) - {"big_edit"}
    assert set(found.tools["ours"].measures) == set(found.tools["git"].measures) == steps
    assert set(found.tools["tar-zstd"].measures) == {"first"}
    ours = found.tools["ours"].measures
    assert [ours[step][way].requests for step in ("same", "edit") for way in (UP, DOWN)] == [[1]] * 4
    assert all(it.connections[0] >= 1 and it.bytes_up[0] > 0 for ways in ours.values() for it in ways.values())
    assert sum(it.requests[0] for ways in found.tools["tar-zstd"].measures.values() for it in ways.values()) == 0


def test_a_tool_that_leaves_the_machine_different_has_no_figures(tree: Tree, tmp_path: Path) -> None:
    class Forgetful(Copy):
        def download(self, site: Site) -> list[Command]:
            line = f"mkdir -p {site.target}/package0 && echo 1 > {site.target}/package0/extra.py"
            return [Command(words=("sh", "-c", line), cwd=site.folder, variables=site.variables(site.machine))]

    found, _ = measured(tree, tmp_path, Forgetful())
    assert found.tools["copy"].measures == {}
    assert f"{FILES + 1} files differ" in (found.tools["copy"].absent or "")


def test_a_tool_that_fails_says_why_and_the_others_go_on(tree: Tree, tmp_path: Path) -> None:
    found, _ = measured(tree, tmp_path, Copy("echo no such bucket >&2; exit 3"), TOOLS["tar-zstd"])
    assert "ended with 3:\nno such bucket" in (found.tools["copy"].absent or "")
    assert found.tools["tar-zstd"].measures["first"][UP].times == 1


def test_a_command_beyond_the_patience_is_ended_with_all_its_processes(tree: Tree, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    limits = Limits(rounds=1, patience_seconds=0.5)
    found, _ = measured(tree, tmp_path, Copy(f"sleep 600 & echo $! > {marker}; wait"), limits=limits)
    measure = found.tools["copy"].measures["first"][UP]
    assert (measure.times, measure.ended_after) == (0, 0.5)
    child = Path("/proc") / marker.read_text().strip()
    assert not child.exists() or "Z" in (child / "stat").read_text().split()[2]


def test_where_a_first_time_is_ended_the_other_steps_begin_from_what_it_would_have_left(
    tree: Tree, tmp_path: Path
) -> None:
    class Slow(Copy):
        can_be_seeded = True

        def upload(self, site: Site) -> list[Command]:
            first = not (site.folder / "seen").exists()
            (site.folder / "seen").touch()
            line = "sleep 600" if first else "true"
            return [Command(words=("sh", "-c", line), cwd=site.folder, variables=site.variables(site.laptop))]

    found, _ = measured(tree, tmp_path, Slow(), limits=Limits(rounds=1, patience_seconds=0.5))
    assert found.tools["copy"].measures["first"][UP].ended_after == 0.5
    assert found.tools["copy"].measures["edit"][UP].times == 1


def test_turns_rotate_and_a_tool_that_spent_its_budget_rests(tree: Tree, tmp_path: Path) -> None:
    one, two = Copy(), Copy()
    one.name, two.name = "one", "two"
    one.only_first = two.only_first = True
    _, said = measured(tree, tmp_path, one, two, limits=Limits(rounds=2))
    assert [line.split(": ")[1].split()[0] for line in said] == ["one", "two", "two", "one"]
    _, said = measured(tree, tmp_path, one, two, limits=Limits(rounds=2, budget_seconds=0))
    assert [line.split(": ")[1].split()[0] for line in said] == ["one", "two"]


def test_what_everyday_commands_open_is_told(tree: Tree, tmp_path: Path) -> None:
    assert quick.opened_files(tree, tmp_path, tmp_path) == []


@pytest.mark.slow
def test_a_kernel_with_the_hook_asks_once_and_its_profile_names_where_time_goes(tree: Tree, tmp_path: Path) -> None:
    content = kernel_start.measure(tree, rtts_ms=[0], times=1, large=10, folder=tmp_path, say=lambda _: None)
    assert [case["calls"] for case in content["cases"]] == [{"conditional_get": 1}] * 4
    edited = content["cases"][1]
    assert edited["what"] == kernel_start.EDIT
    assert edited["profile"]["apply"] > 0
    assert edited["profile"]["TLS"] > 0
    assert len(kernel_start.section(content)) > len(content["cases"])


def test_a_persons_month_costs_what_its_requests_do() -> None:
    counts = {
        "day": {"class_a": 1000, "class_b": 0, "bytes_read": 0},
        "prune": {},
        "first_upload": {},
        "first_download": {"bytes_read": 10**9},
        "stored_first": 10**9,
        "stored_a_day": 0,
    }
    paid = cost.monthly(cost.DAYS[0], counts)
    assert paid == {"storage": 0.02, "class A": pytest.approx(21 * 0.005), "class B": 0, "egress": 0.12}


def test_the_trees_packages_may_be_the_installed_ones_and_are_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as where there is no network
    made = [make_tree("30", tmp_path / name) for name in ("one", "two")]
    assert made[0].files == 30
    assert made[0].source == "the packages installed here, replicated"
    contents = [{it.relative_to(tree.path): it.read_bytes() for it in files_of(tree.path)} for tree in made]
    assert contents[0] == contents[1]
    heads = [
        subprocess.run(["git", "rev-parse", "HEAD", OTHER_BRANCH], cwd=it.path, capture_output=True, check=True).stdout
        for it in made
    ]
    assert heads[0] == heads[1]


def test_the_command_line_runs_a_cell_and_writes_the_page(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "benchmarks",
        "--results",
        str(tmp_path / "results"),
        "report",
        "--docs",
        str(tmp_path),
    ]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stderr
    assert "Nothing has been measured yet." in (tmp_path / "benchmarks.md").read_text()
