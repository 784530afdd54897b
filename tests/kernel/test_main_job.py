"""Upload a tree, start a kernel, run exactly that code."""

import subprocess
import sys
from pathlib import Path

from epic_lab.testing.kernels import Machine
from synccore.delete import delete
from synccore.look import Source
from synccore.push import push


def test_each_kernel_runs_the_code_as_it_was_last_uploaded(any_machine: Machine) -> None:
    machine = any_machine
    machine.upload_all(
        {
            "alpha": {"alpha/__init__.py": "", "alpha/core.py": "X = 'one'\n", "alpha/gone.py": ""},
            "beta": {".synccode_sub_paths": "src\n", "src/beta.py": "Y = 'one'\n"},
        }
    )
    with machine.notebook() as notebook:
        ran = notebook.run("import beta, alpha.core, alpha.gone; alpha.core.X, beta.Y")
        assert ran.result == "('one', 'one')"
        [line] = ran.said
        assert ran.stdout == line + "\n"
        assert line.startswith("synccode: alpha@")
        assert ", beta@" in line
        assert " · 5 files downloaded · " in line
        assert ran.stderr == ""
        assert notebook.run("1").stdout == ""

    # Of the same size, and within the same second: the compiled modules of the first kernel must not be believed.
    machine.upload_all(
        {
            "alpha": {"alpha/__init__.py": "", "alpha/core.py": "X = 'two'\n"},
            "beta": {".synccode_sub_paths": "src\n", "src/beta.py": "Y = 'two'\n"},
        }
    )
    with machine.notebook() as notebook:
        ran = notebook.run("import beta, alpha.core; alpha.core.X, beta.Y")
        assert ran.result == "('two', 'two')"
        assert " · 3 files changed · " in ran.said[0]
        assert "ModuleNotFoundError" in str(notebook.run("import alpha.gone").error)


def test_a_loaded_extension_does_what_the_profile_does_and_only_once(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    machine.write_startup("")
    with machine.notebook() as notebook:
        ran = notebook.run("%load_ext epic_lab\nimport alpha; alpha.X")
        assert ran.result == "1"
        assert len(ran.stdout.splitlines()) == 1
        machine.upload("alpha", {"alpha.py": "X = 2\n"})
        ran = notebook.run("%reload_ext epic_lab\nfrom epic_lab.ipython_startup import *")
        assert ran.stdout == ""
        assert notebook.run("import importlib, epic_lab.ipython_startup as s; importlib.reload(s)").stdout == ""
        assert "1 file changed" in notebook.run("synccode_check_for_updates()").stdout


def test_edits_made_on_the_machine_are_saved_and_the_line_says_where(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    machine.pull()
    (machine.code_home / "alpha" / "alpha.py").write_text("X = 'mine'\n")
    machine.upload("alpha", {"alpha.py": "X = 2\n"})
    with machine.notebook() as notebook:
        [line] = notebook.run("1").said
    assert " · 1 edit of yours saved in ~/synccode/.rescued/" in line
    [saved] = (machine.code_home / ".rescued").glob("*/alpha/alpha.py")
    assert saved.read_text() == "X = 'mine'\n"
    assert f"~/synccode/.rescued/{saved.parts[-3]} · " in line


def test_a_deleted_repository_stays_and_is_said_to_be_no_longer_updated(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    machine.pull()
    with machine.store() as store:
        delete("alpha", store=store)
    with machine.notebook() as notebook:
        ran = notebook.run("import alpha; alpha.X")
    assert ran.result == "1"
    assert "(no longer updated)" in ran.said[0]


def test_the_line_names_branch_and_edits(machine: Machine) -> None:
    root = machine.laptop / "alpha"
    root.mkdir()
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "begin"]):
        subprocess.run([*git, *arguments], check=True)
    (root / "alpha.py").write_text("X = 1\n")
    (root / "beta.py").write_text("X = 1\n")
    with machine.store() as store:
        push([Source(repo="alpha", root=root)], store=store)
    with machine.notebook() as notebook:
        assert " (main+2 edits) · 2 files downloaded · " in notebook.run("1").said[0]


def test_a_laptop_runs_its_own_code_and_downloads_nothing(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 'uploaded'\n"})
    code = machine.home / "code"
    (code / "alpha").mkdir(parents=True)
    (code / "alpha" / "alpha.py").write_text("X = 'local'\n")
    machine.write_config(
        f"SYNCCODE_GCS_BASE_URL={machine.base_url}\nSYNCCODE_USERNAME=ada\n"
        "SYNCCODE_LOCAL_CODE_BASE=~/code\nSYNCCODE_REPOS=alpha\n"
    )
    with machine.notebook() as notebook:
        ran = notebook.run("import alpha; alpha.X")
        asked = notebook.run("%synccode status")
    assert ran.result == "'local'"
    assert ran.stdout == asked.stdout == "synccode: this machine uploads: alpha from ~/code, as saved there\n"
    assert not machine.code_home.exists()


def test_outside_ipython_only_the_path_is_set(machine: Machine, tmp_path: Path) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    machine.pull()
    machine.upload("alpha", {"alpha.py": "X = 2\n"})
    program = "from epic_lab.ipython_startup import *; import alpha, sys; print(alpha.X, 'IPython' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=machine.environment({}),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.stdout, done.stderr) == ("1 False\n", "")


def test_terminal_ipython_says_the_line_as_it_starts(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", "import alpha; print(alpha.X)"],
        env=machine.environment({"TERM": "dumb"}),
        capture_output=True,
        text=True,
        check=False,
        cwd=machine.home,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith("synccode: alpha@")
    assert second == "1"


def test_kernels_that_start_together_both_see_the_finished_work(cloud: Machine) -> None:
    for version in ("1", "2"):
        cloud.upload("alpha", {f"alpha{n}.py": f"X = {version}\n" for n in range(50)})
        with cloud.notebook() as one, cloud.notebook() as two:
            for notebook in (one, two):
                ran = notebook.run("import alpha0, alpha49; alpha0.X, alpha49.X")
                assert ran.result == f"({version}, {version})"
                assert len(ran.said) == 1


def test_a_kernel_that_starts_with_a_large_tree_keeps_nobody_who_helped(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n", **{f"data/{n % 30}/{n}.csv": f"{n}\n" for n in range(4500)}})
    with machine.notebook() as notebook:
        ran = notebook.run("import alpha, os; alpha.X")
        assert ran.result == "1"
        assert ran.stderr == ""
        [line] = ran.said
        assert " · 4501 files downloaded · " in line.replace(",", "")
        assert "ChildProcessError" in str(notebook.run("os.waitpid(-1, os.WNOHANG)").error)
