"""A laptop and a VM on one store, through the real commands."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from epic_lab import lab as labs
from epic_lab.config import Environment
from synccore.testing.trees import noise

Machine = Any
Pair = Any

LINK = "alpha: data is a link to '/mnt/data', outside of alpha"


class Lab:
    """A laptop and a VM with homes of their own and one store between them."""

    def __init__(self, laptop: Machine, vm: Machine, store: Path) -> None:
        self.laptop = laptop
        self.vm = vm
        self.store = store
        self.alpha = laptop.home / "code" / "alpha"


@pytest.fixture
def lab(laptop: Machine, tmp_path: Path) -> Lab:
    store, home = tmp_path / "store", tmp_path / "vm"
    home.mkdir()
    vm = type(laptop)(home)
    assert vm.run("configure-vm", "--base-url", store.as_uri(), "--username", "ana").code == 0
    lab = Lab(laptop, vm, store)
    (lab.alpha / "a.py").write_text("print('one')\n")
    (lab.alpha / "pkg").mkdir()
    (lab.alpha / "pkg" / "m.py").write_text("x = 1\n")
    (laptop.home / "code" / "beta" / "b.py").write_text("y = 1\n")
    subprocess.run(["git", "init", "-q", "-b", "main", str(lab.alpha)], env=laptop.environment(), check=True)
    return lab


def without_numbers(line: str) -> str:
    """Return the end of a report's summary line without what differs from run to run."""
    return line.rsplit(" · ", 1)[0]


def test_a_command_begins_to_connect_where_the_last_one_has_led(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        for machine, word in ((lab.laptop, "upload"), (lab.vm, "dn")):
            address = labs.Lab(Environment(home=machine.home)).address_cache
            address.parent.mkdir(exist_ok=True)
            address.write_text(f"somewhere {listener.getsockname()[1]} 127.0.0.1 plain\n")
            assert machine.run(word).code == 0
            listener.accept()[0].close()


def test_a_tree_that_is_looked_at_before_it_is_asked_for_is_uploaded_as_it_is(lab: Lab) -> None:
    for number in range(600):
        (lab.alpha / "pkg" / f"module_with_a_longer_name_{number}.py").write_text(f"{number}\n")
    assert lab.laptop.run("upload").code == 0
    assert labs.Lab(Environment(home=lab.laptop.home)).looked_at_cache.read_text().startswith(str(lab.alpha))
    assert "unchanged  (602 files)" in lab.laptop.run("upload").out
    (lab.alpha / "a.py").write_text("print('two')\n")
    assert "1 file changed" in lab.laptop.run("upload").out
    (lab.alpha / "new.py").write_text("new\n")
    (lab.alpha / "pkg" / "m.py").unlink()
    assert "(601 unchanged)" in lab.laptop.run("upload").out
    shutil.move(lab.alpha, lab.laptop.home / "gone")
    assert lab.laptop.run("upload").code == 4
    assert lab.vm.run("download").code == 0
    assert (lab.vm.home / "synccode" / "alpha" / "new.py").read_text() == "new\n"


@pytest.mark.parametrize("files", [2, 600])
def test_the_head_is_asked_for_only_where_nothing_has_changed(lab: Lab, files: int) -> None:
    for number in range(files):
        (lab.alpha / "pkg" / f"module_with_a_longer_name_{number}.py").write_text(f"{number}\n")

    def calls() -> dict[str, int]:
        found: dict[str, int] = lab.laptop.run("upload", "alpha", "--json").document["calls"]
        return found

    assert "conditional_get" not in calls()
    assert calls() == {"conditional_get": 1}
    (lab.alpha / "pkg" / "m.py").write_text("x = 'two'\n")
    assert calls() == {"conditional_put": 1}
    (lab.alpha / "new.py").write_text("new\n")
    assert calls() == {"conditional_put": 1}
    (lab.alpha / "pkg" / "m.py").unlink()
    assert calls() == {"conditional_put": 1}
    assert calls() == {"conditional_get": 1}


def test_an_upload_arrives_and_runs(lab: Lab) -> None:
    up = lab.laptop.run("upload")
    assert (up.code, up.err) == (0, "")
    assert [line.split()[0] for line in up.out.splitlines()[:2]] == ["alpha", "beta"]
    assert "first upload: 2 files" in up.out
    down = lab.vm.run("download")
    assert (down.code, down.err) == (0, "")
    assert "first download: 2 files" in down.out
    assert (lab.vm.home / "synccode" / "alpha" / "pkg" / "m.py").read_text() == "x = 1\n"
    lab.vm.variables["PYTHONPATH"] = str(lab.vm.home / "synccode" / "alpha")
    assert lab.vm.python("import a") == "one\n"


def test_an_everyday_edit_is_one_put_up_and_one_get_down(lab: Lab) -> None:
    lab.laptop.run("upload")
    lab.vm.run("download")
    (lab.alpha / "pkg" / "m.py").write_text("x = 2\n")
    up = lab.laptop.run("up", "--json").document
    assert up["calls"] == {"conditional_put": 1}
    assert up["stored_bytes"] > 0
    alpha, beta = up["repos"]
    assert (alpha["outcome"], alpha["modified"], beta["outcome"]) == ("published", 1, "unchanged")
    down = lab.vm.run("dn", "--json").document
    assert down["calls"] == {"conditional_get": 1}
    assert [repo["written"] for repo in down["repos"]] == [["pkg/m.py"], []]
    assert down["repos"][0]["snapshot"] == alpha["snapshot"]


def test_nothing_changed_is_one_conditional_get_on_either_side(lab: Lab) -> None:
    lab.laptop.run("upload")
    lab.vm.run("download")
    for machine, command in ((lab.laptop, "upload"), (lab.vm, "download")):
        document = machine.run(command, "--json").document
        assert document["calls"] == {"conditional_get": 1}
        assert {repo["outcome"] for repo in document["repos"]} == {"unchanged"}


def test_an_edit_on_the_vm_is_saved_and_named(lab: Lab) -> None:
    lab.laptop.run("upload")
    lab.vm.run("download")
    (lab.vm.home / "synccode" / "alpha" / "a.py").write_text("print('mine')\n")
    (lab.alpha / "a.py").write_text("print('two')\n")
    lab.laptop.run("upload")
    down = lab.vm.run("download")
    assert down.code == 0
    begin = "warning: alpha/a.py was edited here; the edit is now HOME/"
    assert down.err.startswith(begin)
    saved = lab.vm.home / down.err.strip().removeprefix(begin)
    assert saved.read_text() == "print('mine')\n"
    assert (lab.vm.home / "synccode" / "alpha" / "a.py").read_text() == "print('two')\n"


def test_one_repo_can_be_uploaded_alone(lab: Lab) -> None:
    document = lab.laptop.run("upload", "beta,beta", "--json").document
    assert [repo["repo"] for repo in document["repos"]] == ["beta"]


def test_a_deleted_repo_stays_where_it_is_and_is_said_to_be_old(lab: Lab) -> None:
    lab.laptop.run("upload")
    lab.vm.run("download")
    gone = lab.laptop.run("delete", "beta", "--yes")
    assert gone.code == 0
    assert gone.out.splitlines()[0].endswith("no longer synchronised; VMs keep their copy")
    assert gone.err == ("note: beta still stands in SYNCCODE_REPOS in HOME/.epic/lab: the next upload brings it back\n")
    down = lab.vm.run("download")
    assert "no longer synchronised; this copy stays as it is" in down.out
    assert (lab.vm.home / "synccode" / "beta" / "b.py").exists()
    again = lab.laptop.run("delete", "beta", "--yes")
    assert again.code == 4
    assert again.err.startswith("error: repository beta is not synchronised; these are: alpha\n")


def test_the_log_has_every_upload_newest_first(lab: Lab) -> None:
    lab.laptop.run("upload")
    (lab.alpha / "a.py").write_text("print('two')\n")
    lab.laptop.run("upload")
    uploads = lab.laptop.run("log", "--json").document["uploads"]
    assert [[repo["repo"] for repo in upload["repos"]] for upload in uploads] == [["alpha"], ["alpha", "beta"]]
    assert uploads[0]["repos"][0]["previous"] == uploads[1]["repos"][0]["snapshot"]
    assert len(lab.vm.run("log", "-n", "1").out.splitlines()) == 1


def test_status_says_on_either_side_what_is_to_do(lab: Lab) -> None:
    lab.laptop.run("upload")
    assert [repo["stored"] == repo["local"] for repo in lab.laptop.run("status", "--json").document["repos"]] == [
        True
    ] * 2
    assert [repo["local"] for repo in lab.vm.run("status", "--json").document["repos"]] == [None, None]
    lab.vm.run("download")
    lines = lab.vm.run("status").out.splitlines()
    assert len(lines) == 3
    assert all("up to date, uploaded 20" in line for line in lines[:2])


def test_a_second_laptop_is_stopped_before_it_undoes_the_first(lab: Lab, tmp_path: Path) -> None:
    lab.laptop.run("upload")
    other = type(lab.laptop)(tmp_path / "other")
    (other.home / "code" / "alpha").mkdir(parents=True)
    (other.home / "code" / "alpha" / "a.py").write_text("print('other')\n")
    other.configure(*lab.laptop.config_path.read_text().splitlines()[:3], "SYNCCODE_REPOS=alpha")
    stopped = other.run("upload")
    assert stopped.code == 3
    assert "which this machine has never seen" in stopped.err
    assert "hint: Another machine uploaded since this one last did; `epic-synccode log` shows what." in stopped.err
    assert other.run("upload", "--force").code == 0


def test_a_link_that_leaves_the_tree_is_carried_and_said(lab: Lab) -> None:
    (lab.alpha / "data").symlink_to("/mnt/data")
    up = lab.laptop.run("upload")
    assert (up.code, up.err) == (0, f"note: {LINK}\n")


def test_an_emptied_repo_stops_the_upload(lab: Lab) -> None:
    lab.laptop.run("upload")
    (lab.laptop.home / "code" / "beta" / "b.py").unlink()
    stopped = lab.laptop.run("upload")
    assert stopped.code == 3
    assert stopped.err.startswith("error: repository beta: HOME/code/beta has 0 files now")
    assert "epic-synccode upload --force" in stopped.err
    assert lab.laptop.run("upload", "--force").code == 0


def test_a_store_that_does_not_exist_is_named(lab: Lab) -> None:
    down = lab.vm.run("download")
    assert down.code == 4
    assert down.err.startswith(
        f"error: there is no directory {lab.store}, where the store {lab.store.as_uri()} should be"
    )


def test_a_store_without_an_upload_says_whose_is_missing(lab: Lab) -> None:
    lab.store.mkdir()
    down = lab.vm.run("download")
    assert down.code == 4
    assert down.err.startswith(f"error: user ana has uploaded nothing to {lab.store.as_uri()} yet\n")


def test_a_damaged_head_is_told_apart(lab: Lab) -> None:
    lab.laptop.run("upload")
    head = lab.store / "ana" / "head"
    head.write_bytes(head.read_bytes()[:-1])
    down = lab.vm.run("download")
    assert down.code == 6
    assert "Traceback" not in down.err


@pytest.mark.parametrize("damaged", ["head", "bundles/*"])
def test_after_damage_the_hint_says_what_helps(lab: Lab, damaged: str) -> None:
    (lab.alpha / "noise").write_bytes(noise(300_000))
    lab.laptop.run("upload")
    (found,) = (lab.store / "ana").glob(damaged)
    content = found.read_bytes()
    found.chmod(0o600)
    found.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    down = lab.vm.run("download")
    assert down.code == 6
    assert "`epic-synccode upload --repair`" in down.err
    if damaged == "head":
        assert "must be moved out of the store first" in down.err
        found.unlink()
    assert lab.laptop.run("upload", "--repair").code == 0
    assert lab.vm.run("download").code == 0
    assert (lab.vm.home / "synccode" / "alpha" / "noise").stat().st_size == 300_000


def test_the_laptops_state_is_private(lab: Lab) -> None:
    lab.laptop.run("upload")
    state = lab.laptop.home / ".epic" / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in state.iterdir()] == ["stores"]


def test_two_stores_have_memories_of_their_own(lab: Lab, tmp_path: Path) -> None:
    lab.laptop.run("upload")
    elsewhere = (tmp_path / "elsewhere").as_uri()
    lab.laptop.configure(f"SYNCCODE_GCS_BASE_URL={elsewhere}", *lab.laptop.config_path.read_text().splitlines()[1:])
    up = lab.laptop.run("upload")
    assert up.code == 0
    assert up.out.count("first upload") == 2


def test_each_path_is_explained_by_the_rule_that_decides(lab: Lab) -> None:
    (lab.alpha / ".synccodeignore").write_text("# large\n*.csv\n")
    (lab.alpha / "big.csv").touch()
    paths = ("a.py", "big.csv", "../alpha/pkg", ".git/config", "none", "../beta/b.py")
    done = lab.laptop.run("explain", *paths, cwd=lab.alpha)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "uploaded  alpha  a.py is not tracked and not ignored by git",
        "left out  alpha  big.csv is left out by .synccodeignore, line 2: *.csv",
        "uploaded  alpha  pkg is a directory of which 1 file takes part",
        "left out  alpha  .git/config is left out always: .git, __pycache__ and *.pyc never take part",
        "left out  alpha  none does not exist",
        "uploaded  beta   b.py lies in a folder without git, and no rule leaves it out",
    ]


def test_an_explanation_agrees_with_what_is_uploaded(lab: Lab) -> None:
    (lab.alpha / ".gitignore").write_text("*.log\n")
    (lab.alpha / "run.log").touch()
    explained = lab.laptop.run("explain", "run.log", "a.py", ".gitignore", "--json", cwd=lab.alpha).document["paths"]
    lab.laptop.run("upload")
    lab.vm.run("download")
    arrived = {path: (lab.vm.home / "synccode" / "alpha" / path).exists() for path in ("run.log", "a.py", ".gitignore")}
    assert {one["path"]: one["taken"] for one in explained} == arrived
    assert explained[0] == {
        "repo": "alpha",
        "path": "run.log",
        "taken": False,
        "reason": "ignored-by-git",
        "detail": explained[0]["detail"],
        "rule": "*.log",
        "file": ".gitignore",
        "line": 1,
        "repository": None,
        "files": None,
    }


def test_the_same_regular_expression_leaves_out_in_upload_and_explanation(lab: Lab) -> None:
    lab.laptop.configure(*lab.laptop.config_path.read_text().splitlines(), r"SYNCCODE_EXCLUSION=pkg/.*\.py$")
    assert (
        lab.laptop.run("explain", "pkg/m.py", "--json", cwd=lab.alpha).document["paths"][0]["reason"] == "configuration"
    )
    lab.laptop.run("upload")
    lab.vm.run("download")
    assert not (lab.vm.home / "synccode" / "alpha" / "pkg" / "m.py").exists()
