"""What the commands that take a machine through its life have in common.

Invariant: each says what state the machine was in, and a machine that is already where it should be is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from epic_lab import notebook
from epic_lab.cli.boundary import LeftGoing
from epic_lab.cli.notebook import wording
from epic_lab.cli.notebook.stages import stages_on
from epic_lab.cli.output import Output
from epic_lab.lab import Lab
from epic_lab.machines.states import Verb
from epic_lab.notebook import Changed, Notebooks

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def name_argument(function: FunctionT) -> FunctionT:
    """Give a command the argument ``NAME``."""
    return click.argument("name", metavar="NAME")(function)


def opened(*, as_json: bool) -> tuple[Notebooks, Output]:
    """Return the lab's machines and where to print, having warned of keys that are almost known ones."""
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    return notebook.open_notebooks(lab, config), output


def change(verb: Verb, given: str, *, as_json: bool) -> Changed:
    """Do *verb* to the machine that *given* means, and report it."""
    notebooks, output = opened(as_json=as_json)
    with left_going(given, f"It may be under way: `epic-notebook status {given}`."), stages_on(output) as tell:
        changed = notebooks.change(verb, notebooks.find(given), tell=tell)
    output.result(wording.changed_lines(notebooks, changed), wording.changed_document(verb.value, notebooks, changed))
    return changed


@contextmanager
def left_going(given: str, hint: str) -> Iterator[None]:
    """Say at ^C that the cloud goes on with the machine *given*."""
    try:
        yield
    except KeyboardInterrupt:
        raise LeftGoing(f"stopped waiting for {given}; whatever the cloud was asked to do goes on", hint=hint) from None
