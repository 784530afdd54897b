"""The reference names everything that exists, and nothing that does not."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
import pytest
from reference_pages import ROOT, page, rows, section

from epic_lab import config
from epic_lab.cli.boundary import EXIT_CODE_MEANINGS, EXIT_CODES, ExitCode
from epic_lab.cli.notebook import notebook
from epic_lab.cli.options import LazyCommand, LazyGroup
from epic_lab.cli.synccode.group import group
from epic_lab.config import Environment
from epic_lab.errors import LabErrorKind
from epic_lab.version import VERSION
from synccore.backends.passing import PassingBackend
from synccore.errors import ErrorKind
from synccore.rescued import Comparison, Standing
from synccore.worktree.contents import ContentKind
from synccore.worktree.explain import Reason
from synccore.worktree.rescue import Reason as Rescue

PAGES: dict[str, click.Group] = {"cli.md": group, "notebook.md": notebook}


def lazy_of(command: click.Command) -> dict[str, LazyCommand]:
    return command.lazy if isinstance(command, LazyGroup) else {}


def command_of(on: str, name: str) -> click.Command:
    command: click.Command | None = PAGES[on]
    for part in name.split():
        assert isinstance(command, LazyGroup)
        command = command.get_command(click.Context(command), part)
    assert command is not None
    return command


def commands_of(on: str, name: str) -> list[str]:
    """Return a command and those that it has of its own."""
    return [name, *(f"{name} {child}" for child in lazy_of(command_of(on, name)))]


FIRST = [(on, name) for on, each in PAGES.items() for name in lazy_of(each)]
EVERY = [(on, name) for on, first in FIRST for name in commands_of(on, first)]


def options_of(command: click.Command) -> Iterator[click.Option]:
    return (parameter for parameter in command.params if isinstance(parameter, click.Option))


@pytest.mark.parametrize("on", PAGES)
def test_each_command_has_a_section_and_each_section_a_command(on: str) -> None:
    assert re.findall(r"^## (.*)$", page(on), re.MULTILINE) == [name for where, name in EVERY if where == on]


@pytest.mark.parametrize("on", PAGES)
def test_the_list_of_commands_has_their_aliases_and_summaries(on: str) -> None:
    listed = [
        (re.findall(r"\[`(.*)`\]", name)[0], "".join(alias).strip("`"), does)
        for name, *alias, does in rows(page(on).split("## ")[0])
    ]
    assert listed == [(name, lazy.alias or "", lazy.summary) for name, lazy in lazy_of(PAGES[on]).items()]


@pytest.mark.parametrize(("on", "name"), FIRST)
def test_a_summary_is_what_the_command_says_of_itself(on: str, name: str) -> None:
    assert (command_of(on, name).help or "").splitlines()[0] == lazy_of(PAGES[on])[name].summary
    for child, lazy in lazy_of(command_of(on, name)).items():
        assert (command_of(on, f"{name} {child}").help or "").splitlines()[0] == lazy.summary


@pytest.mark.parametrize(("on", "name"), EVERY)
def test_each_option_stands_in_the_commands_table_and_no_other_does(on: str, name: str) -> None:
    documented = [re.findall(r"`(-[^`]*)`", row[0]) for row in rows(section(page(on), name))]
    assert documented == [option.opts for option in options_of(command_of(on, name))]


@pytest.mark.parametrize(("on", "name"), EVERY)
def test_the_synopsis_has_the_arguments_and_options(on: str, name: str) -> None:
    synopsis = section(page(on), name).strip().splitlines()[0]
    for parameter in command_of(on, name).params:
        shown = (
            parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(click.Context(group))
        )
        assert shown in synopsis
    assert set(re.findall(r"--[a-z-]+|(?<=\[)-[a-z]\b", synopsis)) == {
        option.opts[0] for option in options_of(command_of(on, name))
    }


@pytest.mark.parametrize(("on", "name"), EVERY)
def test_a_section_names_no_option_that_does_not_exist(on: str, name: str) -> None:
    prose = re.sub(r"```.*?```", "", section(page(on), name), flags=re.DOTALL)
    assert set(re.findall(r"--[a-z][a-z-]*", prose)) <= {
        opt for option in options_of(command_of(on, name)) for opt in (*option.opts, *option.secondary_opts)
    }


@pytest.mark.parametrize(("on", "name"), FIRST)
def test_an_alias_stands_in_the_commands_section(on: str, name: str) -> None:
    alias = lazy_of(PAGES[on])[name].alias
    assert alias is None or f"{PAGES[on].name} {alias} " in section(page(on), name)


@pytest.mark.parametrize("on", PAGES)
def test_the_groups_options_stand_in_the_introduction(on: str) -> None:
    introduction = page(on).split("## ")[0]
    context = click.Context(PAGES[on], **PAGES[on].context_settings)
    names = {opt for option in PAGES[on].get_params(context) for opt in option.opts}
    assert names == {"--version", "--help", "-h"}
    assert all(f"{name}`" in introduction for name in names)


def test_the_kinds_of_calls_are_those_that_are_counted() -> None:
    documented = re.findall(r"`(\w+)`", page("cli.md").split("**Kinds of calls:**")[1].split(".")[0])
    naming = [
        line for line in inspect.getsource(PassingBackend).splitlines() if "pass_on(" in line or "name = " in line
    ]
    counted = set(re.findall(r'"([a-z_]+)"', "".join(naming))) - {"now_seconds"}
    assert set(documented) == counted


def test_each_key_of_the_configuration_is_documented_with_its_example() -> None:
    documented = {row[0].strip("`"): row[2].strip("`") for row in rows(section(page("configuration.md"), "The keys"))}
    assert documented.keys() == {key.name for key in config.KNOWN_KEYS}
    for key in config.KNOWN_KEYS:
        assert documented[key.name] == key.example.replace("YOUR-BUCKET", "lab-bucket").replace("YOUR-NAME", "ana")


def test_each_variable_that_is_read_is_documented() -> None:
    functions = (Environment.read, config._credentials_file, config._gcloud_folder)
    source = "".join(map(inspect.getsource, functions))
    cells = [row[0] for row in rows(section(page("configuration.md"), "The environment"))]
    assert set(re.findall(r"`(\w+)`", "".join(cells))) == set(re.findall(r'"([A-Z_]+)"', source))


def test_each_exit_code_has_its_meaning_documented() -> None:
    documented = {int(code): meaning for code, meaning in rows(section(page("errors.md"), "Exit codes"))}
    assert documented == {int(code): meaning for code, meaning in EXIT_CODE_MEANINGS.items()}


def test_each_kind_of_error_is_documented_with_its_exit_code() -> None:
    documented = {kind.strip("`"): int(code) for kind, code, _ in rows(section(page("errors.md"), "Kinds"))}
    kinds = [*LabErrorKind, *ErrorKind]
    expected = {kind.value: int(EXIT_CODES.get(kind, ExitCode.FAILED)) for kind in kinds}
    assert documented == {**expected, "usage": 2, "bug": 70, "interrupted": 130}


def test_each_code_of_a_saved_edit_is_documented() -> None:
    reasons, rest = section(page("cli.md"), "rescued").split("`reason` is ")[1].split("`here` is ")
    places, kinds = rest.split("`kind`\nis ")
    for codes, text in ((Rescue, reasons), (Standing, places), (ContentKind, kinds)):
        assert {code.value for code in codes} <= set(re.findall(r"`([a-z-]+)`", text)), codes
    comparisons = section(page("cli.md"), "rescued diff").split("`comparison` is ")[1].split("`inside`")[0]
    assert re.findall(r"`([a-z-]+)`", comparisons) == [comparison.value for comparison in Comparison]


def test_each_reason_of_an_explanation_is_documented() -> None:
    prose = section(page("cli.md"), "explain").split("stable code:")[1].split(". ")[0]
    assert re.findall(r"`([a-z0-9-]+)`", prose) == [reason.value for reason in Reason]


def test_links_between_pages_lead_somewhere() -> None:
    for name in (*PAGES, "configuration.md", "errors.md"):
        for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page(name)):
            found = page(target) if target else page(name)
            headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", found, re.MULTILINE)}
            assert not anchor or anchor in headings


def test_links_of_every_page_lead_to_a_file_and_a_heading() -> None:
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
            found = path.parent / target if target else path
            assert found.exists(), f"{path} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{path} links to {target}#{anchor}"


CASES = ("sync-semantics.md", "concurrency.md")


def cases_of(name: str) -> dict[int, str]:
    """Return the numbered cases of a page, whole."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    parts = re.split(r"^(?:(\d+)\. |## )", text, flags=re.MULTILINE)
    return {int(number): case for number, case in zip(parts[1::2], parts[2::2], strict=True) if number}


@pytest.mark.parametrize("name", CASES)
def test_each_case_has_its_number(name: str) -> None:
    assert list(cases_of(name)) == list(range(1, len(cases_of(name)) + 1))


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in CASES for number in cases_of(name)])
def test_each_case_names_tests_that_exist(name: str, number: int) -> None:
    named = re.findall(r"([a-z0-9/_]+\.py)::(\w+)", cases_of(name)[number])
    assert named, "no test shows this case"
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {test}\(|^{test} = |^class {test}\b", source, re.MULTILINE), f"{file} has no {test}"


def test_each_moment_that_is_left_is_noted_in_the_code() -> None:
    text = (ROOT / "docs" / "concurrency.md").read_text(encoding="utf-8")
    moments = re.findall(r"^\* ", text.split("## The moments that are left")[1], re.MULTILINE)
    # What a laptop remembers holds nobody's work, so that what may be lost there is no such moment.
    files = [path for path in (ROOT / "synccore" / "worktree").glob("*.py") if path.name != "laptop.py"]
    texts = [path.read_text(encoding="utf-8") for path in files]
    # One note says of another that it is about the same.
    noted = sum(text.count("RACE: ") - text.count("RACE: as in ") for text in texts)
    assert len(moments) == noted


def test_the_version_is_the_projects() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.*)"$', project, re.MULTILINE)[1] == VERSION  # type: ignore[index]


@pytest.mark.parametrize("each", PAGES.values(), ids=lambda each: str(each.name))
def test_commands_that_readers_are_told_to_type_exist(each: LazyGroup) -> None:
    names = {*each.lazy, *each.aliases}
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for command in re.findall(rf"{each.name} ([a-z][a-z_-]*)(?=[`\s])", text):
            assert command in names, f"{path} names {each.name} {command}"
