"""The commands as people run them: in a process of their own, with a clean home and a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

Machine = Any

COMMANDS = ["upload", "download", "status", "log", "explain", "rescued", "delete", "path", "configure-vm"]
NEEDING_CONFIGURATION = [["upload"], ["download"], ["status"], ["log"], ["explain", "x"], ["delete", "x"], ["path"]]

NO_CONFIGURATION = """\
error: there is no configuration file HOME/.epic/lab
hint: On a laptop run `epic-lab init`, or write these lines into it, with your own values:
  SYNCCODE_GCS_BASE_URL=gs://YOUR-BUCKET/synccode
  SYNCCODE_USERNAME=YOUR-NAME
  SYNCCODE_LOCAL_CODE_BASE=~/code
  SYNCCODE_REPOS=alpha,beta
On a VM run
  epic-synccode configure-vm --base-url URL --username NAME
"""


def test_the_version_is_one_line(machine: Machine) -> None:
    assert machine.run("--version").out == "epic-synccode 0.1.0\n"


@pytest.mark.parametrize("name", [*COMMANDS, "rescued diff", "rescued restore", "rescued drop"])
def test_help_teaches_with_a_paragraph_examples_and_where_exit_codes_are(machine: Machine, name: str) -> None:
    done = machine.run(*name.split(), "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: epic-synccode {name} ")
    assert "  Examples:\n    " in done.out
    assert f"epic-synccode {name}" in done.out.split("Examples:")[1]
    assert done.out.endswith("Exit codes: see `epic-synccode --help`.\n")
    assert "--json" in done.out


def test_the_groups_help_lists_commands_aliases_and_exit_codes(machine: Machine) -> None:
    done = machine.run("--help")
    assert done.code == 0
    assert all(f"\n  {name}" in done.out for name in COMMANDS)
    assert "upload, up " in done.out
    assert "download, dn " in done.out
    assert "    130  interrupted\n" in done.out


def test_no_command_shows_the_help_as_a_usage_error(machine: Machine) -> None:
    done = machine.run()
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("Usage: epic-synccode ")


@pytest.mark.parametrize(
    ("arguments", "message", "help_command"),
    [
        (["uplaod"], "no such command 'uplaod'; did you mean upload?", "epic-synccode"),
        (["xyzzy"], "no such command 'xyzzy'", "epic-synccode"),
        (
            ["log", "-n", "0"],
            "Invalid value for '-n' / '--limit': 0 is not in the range 1<=x<=1000000.",
            "epic-synccode log",
        ),
        (
            ["log", "-n", str(10**20)],
            f"Invalid value for '-n' / '--limit': {10**20} is not in the range 1<=x<=1000000.",
            "epic-synccode log",
        ),
        (["delete"], "Missing argument 'REPO'.", "epic-synccode delete"),
        (["rescued", "restroe"], "no such command 'restroe'; did you mean restore?", "epic-synccode rescued"),
        (["rescued", "restore"], "Missing argument 'ID|PATH...'.", "epic-synccode rescued restore"),
        (["rescued", "drop"], "give IDs or PATHs, or --all for everything", "epic-synccode rescued drop"),
        (["rescued", "drop", "x", "--all"], "give IDs or PATHs, or --all for everything", "epic-synccode rescued drop"),
        (
            ["rescued", "drop", "--all", "--older-than", "1y"],
            "Invalid value for '--older-than': '1y' is no age: expected a number and h, d or w, such as 30d",
            "epic-synccode rescued drop",
        ),
        (["upload", ""], "expected the name of a repository, found ''", "epic-synccode upload"),
        (["up", "--forse"], "No such option '--forse'. Did you mean '--force'?", "epic-synccode upload"),
    ],
)
def test_a_usage_error_names_the_fault_and_the_help(
    machine: Machine, arguments: list[str], message: str, help_command: str
) -> None:
    done = machine.run(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err == f"error: {message}\nhint: `{help_command} --help` says what is expected.\n"


def test_a_usage_error_is_a_document_too(machine: Machine) -> None:
    done = machine.run("upload", "--forse", "--json")
    assert done.code == 2
    assert done.err == ""
    assert done.document["error"]["kind"] == "usage"
    assert done.document["error"]["exit_code"] == 2


@pytest.mark.parametrize("arguments", NEEDING_CONFIGURATION, ids=lambda arguments: arguments[0])
def test_without_a_configuration_each_command_says_what_to_write(machine: Machine, arguments: list[str]) -> None:
    done = machine.run(*arguments)
    assert (done.code, done.out, done.err) == (1, "", NO_CONFIGURATION)
    assert list(machine.home.iterdir()) == []


def test_a_failure_with_json_is_one_document_on_standard_output(machine: Machine) -> None:
    done = machine.run("upload", "--json")
    assert (done.code, done.err) == (1, "")
    error = done.document["error"]
    assert error.pop("hint").startswith("On a laptop run")
    assert error == {
        "kind": "no-configuration",
        "message": "there is no configuration file HOME/.epic/lab",
        "facts": {"file": "HOME/.epic/lab"},
        "exit_code": 1,
    }


def test_another_file_is_named_by_the_environment(machine: Machine) -> None:
    machine.variables["EPIC_LAB_CONFIG"] = "~/elsewhere.conf"
    assert "no configuration file HOME/elsewhere.conf" in machine.run("upload").err


def test_a_missing_key_is_one_line_and_the_line_to_write(laptop: Machine) -> None:
    laptop.configure("SYNCCODE_LOCAL_CODE_BASE=~/code", "SYNCCODE_REPOS=alpha", "SYNCCODE_USERNAME=ana")
    done = laptop.run("upload")
    assert done.code == 1
    assert done.err == (
        "error: HOME/.epic/lab: expected SYNCCODE_GCS_BASE_URL (where code is stored), but the key is missing\n"
        "hint: Add this line to HOME/.epic/lab:\n"
        "  SYNCCODE_GCS_BASE_URL=gs://YOUR-BUCKET/synccode\n"
    )


def test_a_misspelt_key_is_warned_of_beside_whatever_is_done(laptop: Machine) -> None:
    laptop.configure(*laptop.config_path.read_text().splitlines(), "SYNCCODE_EXCLUSIONS=x", "MINE=1")
    first = laptop.run("upload", "gamma").err.splitlines()[0]
    assert first == (
        "warning: HOME/.epic/lab, line 5: SYNCCODE_EXCLUSIONS is unknown; did you mean SYNCCODE_EXCLUSION?"
    )
    assert "MINE" not in laptop.run("upload", "gamma").err


def test_an_unknown_repo_is_answered_with_what_is_configured_and_the_nearest(laptop: Machine) -> None:
    done = laptop.run("upload", "alpha,btea")
    assert done.code == 4
    assert done.err == (
        "error: repository 'btea' is not configured; SYNCCODE_REPOS in HOME/.epic/lab names: alpha, beta\n"
        "hint: Did you mean beta? To synchronise another repository add its name to SYNCCODE_REPOS.\n"
    )


def test_a_name_in_another_case_is_the_nearest(laptop: Machine) -> None:
    assert "hint: Did you mean alpha? " in laptop.run("upload", "ALPHA").err


def test_a_name_may_end_with_the_slash_that_a_shell_completes(laptop: Machine) -> None:
    (laptop.home / "code" / "alpha" / "a.py").touch()
    assert laptop.run("upload", "alpha/").out.startswith("alpha  ")


def test_a_configured_repo_without_a_folder_is_answered_with_the_nearest_folder(laptop: Machine) -> None:
    laptop.configure(*laptop.config_path.read_text().splitlines()[:3], "SYNCCODE_REPOS=alpha,btea")
    for command in ("upload", "status"):
        done = laptop.run(command)
        assert done.code == 4
        assert done.err == (
            "error: repository btea: expected its folder at HOME/code/btea, but there is none; nothing was uploaded\n"
            "hint: Did you mean beta? Correct SYNCCODE_REPOS in HOME/.epic/lab, or bring the folder back. "
            "`epic-synccode delete btea` stops synchronising it.\n"
        )
    assert not (laptop.home / ".epic" / "state").exists()


def test_a_vm_that_is_asked_to_upload_says_what_it_is(laptop: Machine) -> None:
    laptop.configure("SYNCCODE_GCS_BASE_URL=file:///nowhere/store", "SYNCCODE_USERNAME=ana")
    for command in (["upload"], ["delete", "alpha"], ["explain", "alpha/x.py"]):
        done = laptop.run(*command)
        assert done.code == 1
        assert done.err.startswith(
            f"error: {command[0]} is for laptops, and HOME/.epic/lab does not name any SYNCCODE_REPOS"
        )
        assert "On a VM the code arrives with `epic-synccode download`" in done.err


def test_a_download_never_goes_into_a_laptops_own_code(laptop: Machine) -> None:
    (laptop.home / "synccode" / "alpha").mkdir(parents=True)
    laptop.configure(
        "SYNCCODE_GCS_BASE_URL=file:///nowhere/store",
        "SYNCCODE_USERNAME=ana",
        "SYNCCODE_LOCAL_CODE_BASE=~/synccode",
        "SYNCCODE_REPOS=alpha",
    )
    done = laptop.run("download")
    assert done.code == 1
    assert done.err.startswith(
        "error: a download into HOME/synccode would overwrite this laptop's own alpha at HOME/synccode/alpha\n"
    )


@pytest.mark.parametrize("within", ["alpha", "alpha/deep/store"])
def test_a_store_in_a_repository_is_refused_before_it_is_made(laptop: Machine, within: str) -> None:
    _, *lines = laptop.config_path.read_text().splitlines()
    laptop.configure(f"SYNCCODE_GCS_BASE_URL={(laptop.home / 'code' / within).as_uri()}", *lines)
    done = laptop.run("upload", "beta")
    assert done.code == 1
    assert done.err == (
        f"error: the store HOME/code/{within} lies in the repository alpha at HOME/code/alpha: "
        "an upload would carry the store itself\n"
        "hint: Set SYNCCODE_GCS_BASE_URL in HOME/.epic/lab to a folder outside the repositories.\n"
    )
    assert not list((laptop.home / "code" / "alpha").iterdir())


def test_a_deletion_must_be_confirmed(laptop: Machine) -> None:
    done = laptop.run("delete", "alpha")
    assert done.code == 1
    assert done.err == (
        "error: the deletion of alpha must be confirmed, and there is no terminal to ask on; nothing was changed\n"
        "hint: `epic-synccode delete alpha --yes` does not ask.\n"
    )
    assert laptop.run("delete", "alpha", "--json").document["error"]["kind"] == "not-confirmed"


def test_a_path_outside_every_repo_is_answered_with_where_they_are(laptop: Machine) -> None:
    done = laptop.run("explain", "elsewhere/x.py")
    assert done.code == 4
    assert done.err == (
        "error: elsewhere/x.py lies in none of the configured repositories\n"
        "hint: They are:\n  HOME/code/alpha\n  HOME/code/beta\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no process may stand in a folder that is removed")
def test_a_path_seen_from_a_folder_that_is_gone_is_answered_with_that(laptop: Machine) -> None:
    out = laptop.python(
        "import contextlib, os, sys\n"
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "sys.argv = ['epic-synccode', 'explain', 'x.py', '--json']\n"
        "from epic_lab.cli.synccode import main\n"
        "with contextlib.suppress(SystemExit): main()\n"
    )
    error = json.loads(out)["error"]
    assert (error["kind"], error["exit_code"]) == ("outside-repos", 4)
    assert error["message"] == "x.py cannot be found from the current folder, which exists no longer"


def test_the_path_of_a_laptop_is_its_repos(laptop: Machine) -> None:
    (laptop.home / "code" / "beta" / ".synccode_sub_paths").write_text("src\n")
    (laptop.home / "code" / "beta" / "src").mkdir()
    done = laptop.run("path")
    assert (done.code, done.err) == (0, "")
    assert done.out == os.pathsep.join(["HOME/code/alpha", "HOME/code/beta/src"]) + "\n"
    assert laptop.run("path", "--json").document == {
        "command": "path",
        "paths": ["HOME/code/alpha", "HOME/code/beta/src"],
        "problems": [],
    }


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full is Linux's")  # noqa: PTH110
def test_a_report_for_which_there_is_no_room_is_no_bug(laptop: Machine) -> None:
    command = [sys.executable, "-m", "epic_lab.cli.synccode", "path"]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            command, env=laptop.environment(), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert done.stderr == (
        "error: the report could not be written to standard output: No space left on device\n"
        "hint: What the command was to do is done; only its report is lost. Make room where the output goes.\n"
    )


def test_the_path_of_a_vm_is_what_was_downloaded(machine: Machine) -> None:
    (machine.home / "synccode" / "alpha").mkdir(parents=True)
    (machine.home / "synccode" / ".synccode").mkdir()
    assert machine.run("path").out == "HOME/synccode/alpha\n"
    machine.run("configure-vm", "--base-url", "gs://lab-bucket", "--username", "ana")
    assert machine.run("path").out == "HOME/synccode/alpha\n"


def test_a_wrong_sub_path_is_warned_of_and_the_rest_is_printed(laptop: Machine) -> None:
    (laptop.home / "code" / "alpha" / ".synccode_sub_paths").write_text(".\n../beta\n")
    done = laptop.run("path")
    assert (done.code, done.out) == (0, os.pathsep.join(["HOME/code/alpha", "HOME/code/beta"]) + "\n")
    assert done.err == "warning: HOME/code/alpha/.synccode_sub_paths, line 2: '../beta' leaves the repository\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only there is a name just bytes")
def test_a_path_leaves_as_the_bytes_that_it_is(machine: Machine) -> None:
    (machine.home / "synccode" / "caf\udce9").mkdir(parents=True)
    program = "import subprocess, sys; c = [sys.executable, '-m', 'epic_lab.cli.synccode', 'path']"
    printed = machine.python(f"{program}; print(subprocess.check_output(c)[-6:])")
    assert printed == "b'/caf\\xe9\\n'\n"


def test_configure_vm_writes_the_file_and_says_what_it_did(machine: Machine) -> None:
    arguments = ("configure-vm", "--base-url", "gs://lab-bucket/synccode", "--username", "ana")
    done = machine.run(*arguments)
    assert (done.code, done.err) == (0, "")
    assert done.out == "HOME/.epic/lab created: SYNCCODE_GCS_BASE_URL, SYNCCODE_USERNAME\n"
    assert machine.run(*arguments).out == "HOME/.epic/lab says so already\n"
    assert machine.run(*arguments[:-1], "bob", "--json").document == {
        "command": "configure-vm",
        "file": "HOME/.epic/lab",
        "created": False,
        "changed": ["SYNCCODE_USERNAME"],
    }


@pytest.mark.parametrize(
    ("url", "name", "message"),
    [
        (
            "s3://x",
            "ana",
            (
                "Invalid value for '--base-url': 's3://x' is not usable: expected a URL that begins with gs:// or file:///, "
                "such as gs://YOUR-BUCKET/synccode"
            ),
        ),
        (
            "gs://lab-bucket",
            "a/b",
            (
                "Invalid value for '--username': user name 'a/b' is not usable: expected 1 to 64 letters, digits, '.', '_' or "
                "'-', beginning with a letter, digit or '_' and not ending in '.'"
            ),
        ),
    ],
)
def test_configure_vm_refuses_what_no_store_can_be(machine: Machine, url: str, name: str, message: str) -> None:
    done = machine.run("configure-vm", "--base-url", url, "--username", name)
    assert done.code == 2
    assert done.err.splitlines()[0] == f"error: {message}"
    assert not machine.config_path.exists()


def test_configure_vm_leaves_a_laptop_alone(laptop: Machine) -> None:
    before = laptop.config_path.read_bytes()
    done = laptop.run("configure-vm", "--base-url", "gs://lab-bucket", "--username", "bob")
    assert done.code == 1
    assert "line 4: SYNCCODE_REPOS makes this machine a laptop, not a VM" in done.err
    assert laptop.config_path.read_bytes() == before


def test_no_colour_reaches_what_is_no_terminal(machine: Machine) -> None:
    done = machine.run("upload")
    assert "\x1b" not in done.err + done.out
