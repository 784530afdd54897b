"""What one lister found in one place: the raw material of a selection.

Invariant: paths are text relative to that place, with ``/``; bytes that are no UTF-8 stand as lone surrogates, as in `os`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from synccore.problem import Problem, ProblemKind


class Listing:
    """The paths of one repository or plain folder, without what lies in repositories nested in it.

    Attributes:
        taken: files and links that take part by the place's own rules.
        left_out: those that its rules leave out; gathered only on demand.
        nested: directories that are repositories of their own (or gitlinks), to be listed by their own rules.
        nested_left_out: the same among what is left out.
        executable: the taken paths that git's list of tracked files calls executable, where it is to be believed rather than
            the disk; ``None`` where the disk's mode bits decide.
        problems: directories that could not be read.
    """

    def __init__(self, taken: Iterable[str] = (), *, executable: frozenset[str] | None = None) -> None:
        self.taken = list(taken)
        self.left_out: list[str] = []
        self.nested: list[str] = []
        self.nested_left_out: list[str] = []
        self.executable = executable
        self.problems: list[Problem] = []


class Ignoring(NamedTuple):
    """The rule that makes git ignore a path.

    Attributes:
        source: the file that the rule stands in, for people.
        line: its line there.
        text: the line as written.
    """

    source: str
    line: int
    text: str


class Tracked(Enum):
    """What a path is to git's list of tracked files."""

    NOT = "not tracked"
    FILE = "a file or link"
    DIRECTORY = "a directory with tracked files"
    REPOSITORY = "a gitlink"


class NotARepositoryError(Exception):
    """There is no git repository here after all."""


class NoGitProgramError(Exception):
    """Git is not installed, or what is installed in its name does not work."""


def displayed(path: str) -> str:
    r"""Return *path* for people: bytes that are no UTF-8 as ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unreadable_directory(path: str, reason: str) -> Problem:
    """Return the problem of a directory whose names could not be read, so that what is in it is unknown."""
    return Problem(ProblemKind.UNREADABLE, displayed(path), f"cannot be read as a directory: {reason}")
