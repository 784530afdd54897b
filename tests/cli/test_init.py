"""`epic-lab init`: what it asks, what it takes, and what becomes of the file."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from terminals import on_terminal

from epic_lab.cli.lab.init import QUESTIONS
from epic_lab.config import KNOWN_KEYS, Environment
from epic_lab.lab import Lab

Machine = Any

on_unix = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are of Unix")

INIT = (sys.executable, "-m", "epic_lab.cli.lab", "init")
ENOUGH = ("--base-url", "gs://lab-bucket/code", "--username", "ana", "--code-base", "~/src", "--repos", "alpha,beta")
FILE = """\
SYNCCODE_GCS_BASE_URL=gs://lab-bucket/code
SYNCCODE_USERNAME=ana
SYNCCODE_LOCAL_CODE_BASE=~/src
SYNCCODE_REPOS=alpha,beta
"""


@pytest.fixture
def fresh(machine: Machine) -> Machine:
    """Return a laptop with the repositories alpha and beta in ~/src, and no configuration."""
    for repo in ("alpha", "beta"):
        (machine.home / "src" / repo / ".git").mkdir(parents=True)
    return machine


def settings(machine: Machine) -> dict[str, str]:
    config = Lab(Environment(home=machine.home)).config()
    return {key: setting.value for key, setting in config.settings.items()}


def test_each_key_has_an_option() -> None:
    assert {question.key for question in QUESTIONS} == set(KNOWN_KEYS)


def test_options_are_enough(fresh: Machine) -> None:
    done = fresh.lab("init", *ENOUGH)
    assert done.code == 0
    keys = "SYNCCODE_GCS_BASE_URL, SYNCCODE_USERNAME, SYNCCODE_LOCAL_CODE_BASE, SYNCCODE_REPOS"
    assert done.out == f"HOME/.epic/lab created: {keys}\n"
    assert done.err == "note: `epic-lab doctor` checks whether all of it works\n"
    assert fresh.config_path.read_text() == FILE
    if os.name != "nt":
        assert fresh.config_path.stat().st_mode & 0o777 == 0o600


def test_twice_is_once(fresh: Machine) -> None:
    fresh.lab("init", *ENOUGH)
    before = fresh.config_path.stat().st_mtime_ns
    for arguments in (ENOUGH, ()):
        done = fresh.lab("init", *arguments)
        assert (done.code, done.out, done.err) == (0, "HOME/.epic/lab says so already\n", "")
    assert fresh.config_path.stat().st_mtime_ns == before


def test_a_second_run_changes_what_it_is_given_and_keeps_the_rest_as_it_stands(fresh: Machine) -> None:
    fresh.config_path.parent.mkdir()
    fresh.config_path.write_bytes(
        b"# ours\r\nexport SYNCCODE_REPOS='alpha' # one\r\nMY_TOKEN=hunter2\r\nSYNCCODE_USERNAME=ana\r\n"
        b"SYNCCODE_GCS_BASE_URL=gs://lab-bucket/code\r\nSYNCCODE_LOCAL_CODE_BASE=~/src\r\nSYNCCODE_EXCLUSION=x\r\n"
    )
    arguments = ("--repos", "alpha,beta", "--zone", "europe-west1-b", "--exclusion", "-")
    shown = fresh.lab("init", *arguments, "--dry-run")
    assert [line for line in shown.out.splitlines() if line[0] != "@"] == [
        "--- HOME/.epic/lab\tnow",
        "+++ HOME/.epic/lab\tthen",
        "-export SYNCCODE_REPOS='alpha' # one",
        "+export SYNCCODE_REPOS=alpha,beta # one",
        "-SYNCCODE_EXCLUSION=x",
        "+SYNCCODE_EXCLUSION=''",
        "+GCP_ZONE=europe-west1-b",
    ]
    assert b"beta" not in fresh.config_path.read_bytes()
    done = fresh.lab("init", *arguments)
    assert done.out == "HOME/.epic/lab changed: SYNCCODE_REPOS, SYNCCODE_EXCLUSION, GCP_ZONE\n"
    assert fresh.config_path.read_bytes() == (
        b"# ours\r\nexport SYNCCODE_REPOS=alpha,beta # one\r\nMY_TOKEN=hunter2\r\nSYNCCODE_USERNAME=ana\r\n"
        b"SYNCCODE_GCS_BASE_URL=gs://lab-bucket/code\r\nSYNCCODE_LOCAL_CODE_BASE=~/src\r\nSYNCCODE_EXCLUSION=''\r\n"
        b"GCP_ZONE=europe-west1-b\r\n"
    )
    assert "hunter2" not in shown.out + shown.err + done.out + done.err


def test_a_dry_run_on_a_fresh_machine_makes_nothing(fresh: Machine) -> None:
    done = fresh.lab("init", *ENOUGH, "--dry-run")
    assert done.code == 0
    assert [line[1:] for line in done.out.splitlines()[3:]] == FILE.splitlines()
    assert not fresh.config_path.parent.exists()


def test_without_a_terminal_missing_options_are_named_and_nothing_waits(fresh: Machine) -> None:
    done = fresh.lab("init", "--username", "ana", "--repos", "alpha")
    assert done.code == 2
    assert done.err.splitlines()[0] == (
        "error: there is no terminal to ask at, so these options are needed: --base-url, --code-base"
    )
    assert not fresh.config_path.exists()


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("--base-url", "lab", "expected a URL that begins with gs:// or file:///"),
        ("--username", "a/b", "expected 1 to 64 letters"),
        ("--code-base", "~/none", "expected an existing folder (HOME/none is none)"),
        ("--repos", "alpha,gama", "there is no folder gama in HOME/src; the repositories there are alpha, beta"),
        ("--zone", "mars", "expected zones separated by commas"),
        ("--repos", "", "these options are needed: --repos"),
    ],
)
def test_an_option_that_cannot_be_meant_is_told_why(fresh: Machine, option: str, value: str, fault: str) -> None:
    done = fresh.lab("init", *ENOUGH, option, value)
    assert done.code == 2
    assert fault in done.err
    assert not fresh.config_path.exists()


def test_a_value_of_the_file_that_cannot_be_meant_is_told_too(fresh: Machine) -> None:
    fresh.configure(*FILE.splitlines(), "GCP_ZONE=mars")
    done = fresh.lab("init", "--project", "our-lab-123456")
    assert done.code == 2
    assert done.err.startswith("error: --zone 'mars' (as HOME/.epic/lab has it) is not usable: expected zones")


def test_a_line_that_is_no_assignment_is_kept_and_warned_of(fresh: Machine) -> None:
    fresh.configure("hello", *FILE.splitlines())
    done = fresh.lab("init", "--username", "bob")
    assert done.code == 0
    assert done.err.startswith("warning: HOME/.epic/lab, line 1: expected KEY=value, found 'hello'\n")
    assert fresh.config_path.read_text().startswith("hello\n")


def test_another_file_may_be_meant(fresh: Machine) -> None:
    fresh.variables["EPIC_LAB_CONFIG"] = str(fresh.home / "elsewhere")
    assert fresh.lab("init", *ENOUGH).code == 0
    assert (fresh.home / "elsewhere").read_text() == FILE
    assert not fresh.config_path.exists()


def test_the_document_says_what_was_written(fresh: Machine) -> None:
    done = fresh.lab("init", *ENOUGH, "--json")
    assert done.document == {
        "command": "init",
        "file": "HOME/.epic/lab",
        "created": True,
        "changed": [line.split("=")[0] for line in FILE.splitlines()],
        "values": dict(line.split("=", 1) for line in FILE.splitlines()),
        "dry_run": False,
    }
    assert done.err == "note: `epic-lab doctor` checks whether all of it works\n"


# -- questions ---------------------------------------------------------------------------------------------------------


@on_unix
def test_on_a_terminal_each_key_is_asked_for_with_what_is_likely(fresh: Machine) -> None:
    gcloud = fresh.home / ".config" / "gcloud" / "configurations"
    gcloud.mkdir(parents=True)
    (gcloud / "config_default").write_text(
        "[core]\naccount = ana@lab.example\nproject = our-lab-123456\n[compute]\nzone = europe-west1-b\n"
    )
    typed = "gs://lab-bucket/code\n" + "\n" * 8
    code, shown = on_terminal(fresh, *INIT, typed=typed)
    assert code == 0, shown
    for offered in (
        "USERNAME [ana]",
        "CODE_BASE [~/src]",
        "REPOS [alpha,beta]",
        "ID [our-lab-123456]",
        "[europe-west1-b]",
    ):
        assert offered in shown
    assert settings(fresh) == {
        **dict(line.split("=", 1) for line in FILE.splitlines()),
        "GCP_PROJECT_ID": "our-lab-123456",
        "GCP_ZONE": "europe-west1-b",
    }


@on_unix
def test_an_answer_that_cannot_be_meant_is_told_why_and_asked_again(fresh: Machine) -> None:
    code, shown = on_terminal(fresh, *INIT, *ENOUGH[2:], typed="lab-bucket\ngs://lab-bucket/code\n" + "\n" * 8)
    assert code == 0, shown
    assert "Error: expected a URL that begins with gs:// or file:///" in shown
    assert shown.count("SYNCCODE_GCS_BASE_URL:") == 2
    assert settings(fresh)["SYNCCODE_GCS_BASE_URL"] == "gs://lab-bucket/code"


@on_unix
def test_a_second_run_offers_what_the_file_says_and_takes_enter_for_yes(fresh: Machine) -> None:
    fresh.configure(*FILE.splitlines(), r"SYNCCODE_EXCLUSION=.*\.csv$")
    code, shown = on_terminal(fresh, *INIT, typed="\n" * 9)
    assert code == 0, shown
    assert r"SYNCCODE_EXCLUSION [.*\.csv$]:" in shown
    assert shown.endswith("HOME/.epic/lab says so already\r\n")
    code, shown = on_terminal(fresh, *INIT, typed="\n\n\n\n-\n\n\n\n\n")
    assert code == 0, shown
    assert settings(fresh)["SYNCCODE_EXCLUSION"] == ""


@on_unix
def test_an_option_that_cannot_be_meant_is_told_before_anything_is_asked(fresh: Machine) -> None:
    code, shown = on_terminal(fresh, *INIT, "--zone", "mars")
    assert code == 2
    assert "--zone 'mars' is not usable" in shown
    assert "SYNCCODE_GCS_BASE_URL" not in shown


@on_unix
def test_an_interrupted_run_has_changed_nothing(fresh: Machine) -> None:
    code, shown = on_terminal(fresh, *INIT, typed="gs://lab-bucket/code\n\x04")
    assert code == 130, shown
    assert not fresh.config_path.exists()
