"""The reference of `epic-lab` names everything that exists, and nothing that does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from reference_pages import ROOT, page, rows, section

from epic_lab.cli.lab import COMMANDS, group
from epic_lab.cli.lab.doctor import document as doctor_document
from epic_lab.cli.lab.doctor import shown
from epic_lab.cli.lab.init import QUESTIONS
from epic_lab.cli.lab.init import document as init_document
from epic_lab.config import Environment
from epic_lab.config_file import Rewriting, Written
from epic_lab.doctor.checks import CHECKS
from epic_lab.doctor.finding import Checked, Finding, Mark, wrong
from epic_lab.shell_completion import PROGRAMS, SHELLS, place_of

PAGE = "epic-lab.md"
HOSTED = {"synccode", "notebook"}
OWN = [name for name in COMMANDS if name not in HOSTED]


def command_of(name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


def options_of(name: str) -> Iterator[click.Option]:
    return (it for it in command_of(name).params if isinstance(it, click.Option))


def options_table(name: str) -> list[list[str]]:
    return [row for row in rows(section(page(PAGE), name)) if row[0].startswith("`--")]


def test_each_own_command_has_a_section_and_each_section_a_command() -> None:
    assert re.findall(r"^## (.*)$", page(PAGE), re.MULTILINE) == OWN


def test_the_list_of_commands_has_their_summaries() -> None:
    listed = [(re.findall(r"\[`(.*)`\]", name)[0], does) for name, does in rows(page(PAGE).split("## ")[0])]
    assert listed == [(name, lazy.summary) for name, lazy in COMMANDS.items()]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_summary_is_what_the_command_says_of_itself(name: str) -> None:
    assert (command_of(name).help or "").splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", OWN)
def test_each_option_stands_in_the_commands_table_and_no_other_does(name: str) -> None:
    documented = [re.findall(r"`(--[^`]*)`", row[0]) for row in options_table(name)]
    assert documented == [option.opts for option in options_of(name)]


@pytest.mark.parametrize("name", OWN)
def test_the_synopsis_has_the_arguments_and_options(name: str) -> None:
    synopsis = section(page(PAGE), name).strip().split("\n\n")[0]
    for parameter in command_of(name).params:
        if isinstance(parameter, click.Option):
            metavar = "" if parameter.is_flag else f" {parameter.metavar}"
            assert f"[{parameter.opts[0]}{metavar}]" in synopsis
        else:
            assert parameter.make_metavar(click.Context(group)) in synopsis
    assert set(re.findall(r"--[a-z-]+", synopsis)) == {option.opts[0] for option in options_of(name)}


@pytest.mark.parametrize("name", OWN)
def test_a_section_names_no_option_that_does_not_exist(name: str) -> None:
    prose = re.sub(r"```.*?```", "", section(page(PAGE), name), flags=re.DOTALL)
    prose = re.sub(r"^    .*$", "", prose, flags=re.MULTILINE)  # where other programs' options may be
    known = {opt for option in options_of(name) for opt in option.opts}
    assert set(re.findall(r"--[a-z][a-z-]*", prose)) <= known


def test_each_option_of_init_says_which_key_it_sets() -> None:
    table = {row[0].strip("`"): re.findall(r"`(\w+)`", row[1])[0] for row in options_table("init") if "sets" in row[1]}
    assert table == {question.option: question.key.name for question in QUESTIONS}


def test_each_check_is_documented_with_what_it_needs() -> None:
    asks, needs = section(page(PAGE), "doctor").split("| Check | Asks | Needs |")[1], ", "
    documented = rows("| Check | Asks | Needs |" + asks)
    assert documented == [
        [f"`{check.name}`", check.asks, needs.join(f"`{name}`" for name in check.needs)] for check in CHECKS
    ]


def test_each_mark_is_documented_as_it_is_shown() -> None:
    table = section(page(PAGE), "doctor").split("| Mark |")[1].split("| Check |")[0]
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows("| Mark |" + table)}
    assert documented == {mark.value: shown(mark) for mark in Mark}


def test_each_shell_is_documented_with_its_files() -> None:
    documented = {row[0]: row[1] for row in rows(section(page(PAGE), "completion").split("| Shell |")[1])}
    assert set(documented) == set(SHELLS)
    environment = Environment(home=Path("~"))
    for shell in SHELLS:
        assert f"`{place_of(environment, shell, PROGRAMS[0]).as_posix()}`" in documented[shell]
    assert all(f"`{program}`" in section(page(PAGE), "completion") for program in PROGRAMS)


def example(name: str) -> object:
    return json.loads(page(PAGE).split(f"```json {name}\n")[1].split("```")[0])


def test_the_document_of_init_is_as_documented() -> None:
    values = {
        "SYNCCODE_GCS_BASE_URL": "gs://lab-bucket/synccode",
        "SYNCCODE_USERNAME": "ana",
        "SYNCCODE_LOCAL_CODE_BASE": "~/code",
        "SYNCCODE_REPOS": "alpha,beta,gamma",
    }
    written = Written(path=Path("/home/ana/.epic/lab"), created=False, changed=("SYNCCODE_REPOS",))
    rewriting = Rewriting(before="", after="", written=written)
    assert init_document(rewriting, values, dry_run=True) == example("init")


def test_the_document_of_the_doctor_is_as_documented() -> None:
    checks = {check.name: check for check in CHECKS}
    remedy = "gcloud services enable iap.googleapis.com --project my-lab-123456"
    disabled = wrong(
        "not enabled in my-lab-123456: iap.googleapis.com",
        remedy=remedy,
        services={"iap.googleapis.com": "DISABLED"},
    )
    untried = Finding(mark=Mark.NOT_TRIED, detail="not tried: it needs project", facts={"needs": ["project"]})
    ended = [
        Checked(check=checks["apis"], finding=disabled, elapsed_seconds=0.2135),
        Checked(check=checks["project-permissions"], finding=untried),
    ]
    assert doctor_document(ended) == example("doctor")


def test_commands_that_readers_are_told_to_type_exist() -> None:
    # The format's page has other strings that begin so: what is hashed before a content.
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "format.md"]
    for path in (ROOT / "README.md", *pages):
        text = path.read_text(encoding="utf-8")
        for command in re.findall(r"(?:^ {4,}|`|\$ )epic-lab ([a-z][a-z-]*)", text, re.MULTILINE):
            assert command in COMMANDS, f"{path} names epic-lab {command}"
