"""`epic-lab init`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import click

from epic_lab import config
from epic_lab.answers import REQUIRED, answer_fault, guesses
from epic_lab.cli import options, wording
from epic_lab.cli.completion import complete_folders, complete_own_repositories
from epic_lab.cli.output import Output
from epic_lab.config import Config, KnownKey
from epic_lab.config_file import Rewriting, carry_out, plan_rewriting
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

NONE = "-"


class Question(NamedTuple):
    """A key, the option that answers it, and what is asked; ``None`` for what is only set by its option."""

    key: KnownKey
    option: str
    metavar: str
    asked: str | None

    @property
    def parameter(self) -> str:
        """The name under which click hands the option over."""
        return self.option.removeprefix("--").replace("-", "_")


QUESTIONS = (
    Question(config.BASE_URL, "--base-url", "URL", "Where is code to be stored? gs://BUCKET/PREFIX, or file:///FOLDER"),
    Question(config.USERNAME, "--username", "NAME", "Whose code is it there?"),
    Question(config.CODE_BASE, "--code-base", "FOLDER", "Which folder holds your repositories?"),
    Question(config.REPOS, "--repos", "REPO[,REPO]...", "Which of them are to be uploaded? Names, separated by commas"),
    Question(config.EXCLUSION, "--exclusion", "REGEX", "Which paths are to be left out? A regular expression"),
    Question(config.PROJECT, "--project", "ID", "In which Google Cloud project are the lab's machines?"),
    Question(config.ZONE, "--zone", "ZONE[,ZONE]...", "In which zone are new machines to be made?"),
    Question(config.SCRIPTS, "--scripts", "URL", "Where do machines fetch their set-up scripts?"),
    Question(config.PROXY_DOMAIN, "--proxy-domain", "DOMAIN", "At which domain are machines reached?"),
    Question(config.COMPUTE_ENDPOINT, "--compute-endpoint", "URL", None),
    Question(config.API_ENDPOINT, "--api-endpoint", "URL", None),
)


_COMPLETIONS = {config.CODE_BASE: complete_folders, config.REPOS: complete_own_repositories}


def _question_options(function: FunctionT) -> FunctionT:
    for question in reversed(QUESTIONS):
        function = click.option(
            question.option,
            metavar=question.metavar,
            shell_complete=_COMPLETIONS.get(question.key),
            help=f"Sets {question.key.name}: {question.key.meaning}.",
        )(function)
    return function


@click.command(
    epilog=options.examples(
        "epic-lab init",
        "epic-lab init --dry-run",
        "epic-lab init --base-url gs://lab-bucket/synccode --username ana --code-base ~/code --repos alpha,beta",
    )
)
@_question_options
@click.option("--dry-run", is_flag=True, help="Show which lines would change, and change nothing.")
@options.json_option
def command(*, dry_run: bool, as_json: bool, **given: str | None) -> None:
    """Write a laptop's configuration, asking for what is not given.

    Sets keys in ~/.epic/lab (or in the file that EPIC_LAB_CONFIG names), which the user alone can read afterwards; comments and
    other keys stay. On a terminal it asks for each key that has no option on the command line, and offers what the file says or
    what seems likely; Enter takes that, and a single - leaves the key without a value. Elsewhere it asks nothing: keys without an
    option stay as they are, and those that a laptop must have need one.

    A VM is configured by `epic-synccode configure-vm`.
    """
    lab = Lab.here()
    output = Output.of(lab, as_json=as_json)
    present = _present(lab)
    answers = _values(present)
    for question in QUESTIONS:
        value = given[question.parameter]
        if value is not None:
            answers[question.key] = "" if value.strip() == NONE else value.strip()
    if sys.stdin is not None and sys.stdin.isatty() and not as_json:
        _judge(
            lab, answers, [it for it in QUESTIONS if given[it.parameter] is not None and _is_ripe(it, answers)], given
        )
        if any(question.asked and given[question.parameter] is None for question in QUESTIONS):
            output.note(f"Enter takes what stands in brackets; {NONE} stands for none")
        _ask(lab, answers, given)
    _require(answers)
    _judge(lab, answers, QUESTIONS, given)
    if present is not None and present.bad_line is not None:
        output.warn(f"{present.path}, line {present.bad_line.line}: {present.bad_line.fault}")
    wanted = {key.name: value for key, value in answers.items() if value or (present and present.value(key))}
    rewriting = plan_rewriting(lab, wanted)
    if not dry_run and rewriting.written.changed:
        carry_out(lab, rewriting)
    output.result(_lines(rewriting, dry_run=dry_run), document(rewriting, wanted, dry_run=dry_run))
    if not dry_run and rewriting.written.changed:
        output.note("`epic-lab doctor` checks whether all of it works")


def _present(lab: Lab) -> Config | None:
    try:
        return lab.config()
    except LabError as error:
        if error.kind is not LabErrorKind.NO_CONFIGURATION:
            raise
        return None


def _values(present: Config | None) -> dict[KnownKey, str]:
    """Return what the file gives each key."""
    if present is None:
        return {}
    values = {question.key: present.value(question.key) for question in QUESTIONS}
    return {key: value for key, value in values.items() if value is not None}


def _ask(lab: Lab, answers: dict[KnownKey, str], given: dict[str, str | None]) -> None:
    """Ask for each key without an option, until the answer can be meant; *answers* are the defaults, and then the answers."""
    for question in QUESTIONS:
        key = question.key
        if question.asked is None or given[question.parameter] is not None:
            continue

        def judged(text: str, key: KnownKey = key) -> str:
            answer = "" if text.strip() == NONE else text.strip()
            fault = answer_fault(lab, key, {**answers, key: answer})
            if fault is not None:
                raise click.UsageError(fault)
            return answer

        default = answers.get(key) or guesses(lab, answers, key) or ("" if key not in REQUIRED else None)
        hint = "" if key in REQUIRED or default else " (Enter for none)"
        answers[key] = click.prompt(
            f"{question.asked}{hint}\n  {key.name}",
            default=default,
            show_default=bool(default),
            value_proc=judged,
            err=True,
        )


def _is_ripe(question: Question, answers: Mapping[KnownKey, str]) -> bool:
    """Tell whether the answer can be judged before anything is asked: repositories are judged in their folder."""
    return question.key is not config.REPOS or config.CODE_BASE in answers


def _require(answers: Mapping[KnownKey, str]) -> None:
    """Make sure that nothing is missing.

    Raises:
        click.UsageError: options are.
    """
    missing = [question.option for question in QUESTIONS if question.key in REQUIRED and not answers.get(question.key)]
    if missing:
        raise click.UsageError(f"there is no terminal to ask at, so these options are needed: {', '.join(missing)}")


def _judge(
    lab: Lab, answers: Mapping[KnownKey, str], questions: Iterable[Question], given: Mapping[str, str | None]
) -> None:
    """Make sure that the answers to *questions* can be meant, whether they were given, asked for, or in the file before.

    Raises:
        click.UsageError: one cannot.
    """
    for question in questions:
        fault = answer_fault(lab, question.key, answers)
        if fault is not None:
            is_given = given[question.parameter] is not None
            origin = "" if is_given else f" (as {lab.config_path} has it)"
            raise click.UsageError(
                f"{question.option} {answers.get(question.key, '')!r}{origin} is not usable: {fault}"
            )


def _lines(rewriting: Rewriting, *, dry_run: bool) -> list[str]:
    if not dry_run or not rewriting.written.changed:
        return wording.written(rewriting.written)
    from difflib import unified_diff

    # No lines around the changed ones: they may be somebody's secrets.
    path = str(rewriting.written.path)
    before, after = (rewriting.before or "").splitlines(), rewriting.after.splitlines()
    return list(unified_diff(before, after, path, path, "now", "then", n=0, lineterm=""))


def document(rewriting: Rewriting, values: dict[str, str], *, dry_run: bool) -> dict[str, object]:
    """Return what became of the file as JSON says it; docs/reference/epic-lab.md describes it."""
    return {
        "command": "init",
        "file": str(rewriting.written.path),
        "created": rewriting.written.created,
        "changed": list(rewriting.written.changed),
        "values": values,
        "dry_run": dry_run,
    }
