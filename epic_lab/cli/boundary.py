"""The edge of the program: every failure becomes a message, a hint and an exit code here, and nowhere else.

Invariant: nobody sees a traceback. What is expected is worded; what is not is a bug, whose traceback goes into a file.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from epic_lab.bugs import save_traceback
from epic_lab.cli.terminal import say, styled
from epic_lab.config import Environment
from epic_lab.errors import LabError, LabErrorKind, hint_for
from epic_lab.lab import Lab
from epic_lab.printable import printable, printable_lines
from synccore.errors import ErrorKind, SyncError

if TYPE_CHECKING:
    import click

MAX_PROBLEM_LINES = 20


class ExitCode(IntEnum):
    """What a command says to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CONFLICT = 3
    NOT_FOUND = 4
    STORAGE = 5
    INTEGRITY = 6
    BUG = 70
    INTERRUPTED = 130


EXIT_CODE_MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "an expected failure, such as a configuration to mend",
    ExitCode.USAGE: "the command line was not understood",
    ExitCode.CONFLICT: "somebody else changed it first, or it looks like a mistake; nothing was lost",
    ExitCode.NOT_FOUND: "what was asked for is not there",
    ExitCode.STORAGE: "the storage or the cloud could not be reached, or refused",
    ExitCode.INTEGRITY: "stored bytes are damaged; nothing was written from them",
    ExitCode.BUG: "a bug; the message names the file with the details",
    ExitCode.INTERRUPTED: "interrupted",
}


def exit_code_lines() -> str:
    """Return what each exit code means, as a command's help has it."""
    return "\n".join(f"  {int(code):>3}  {meaning}" for code, meaning in EXIT_CODE_MEANINGS.items())


# Kinds that are not here are expected failures.
EXIT_CODES: dict[ErrorKind | LabErrorKind, ExitCode] = {
    ErrorKind.NOT_FOUND: ExitCode.NOT_FOUND,
    ErrorKind.NO_HEAD: ExitCode.NOT_FOUND,
    ErrorKind.NO_BUCKET: ExitCode.NOT_FOUND,
    ErrorKind.NOT_SAVED: ExitCode.NOT_FOUND,
    ErrorKind.KEY_TAKEN: ExitCode.CONFLICT,
    ErrorKind.VERSION_MOVED: ExitCode.CONFLICT,
    ErrorKind.UNSEEN_SNAPSHOT: ExitCode.CONFLICT,
    ErrorKind.DELETION_GUARD: ExitCode.CONFLICT,
    ErrorKind.TREE_TAKEN: ExitCode.CONFLICT,
    ErrorKind.DAMAGED_OBJECT: ExitCode.INTEGRITY,
    ErrorKind.DAMAGED_STATE: ExitCode.INTEGRITY,
    ErrorKind.REFUSED: ExitCode.STORAGE,
    ErrorKind.NO_CREDENTIALS: ExitCode.STORAGE,
    ErrorKind.BACKEND: ExitCode.STORAGE,
    ErrorKind.UNAVAILABLE: ExitCode.STORAGE,
    ErrorKind.UNREACHABLE: ExitCode.STORAGE,
    ErrorKind.DEADLINE: ExitCode.STORAGE,
    LabErrorKind.UNKNOWN_REPO: ExitCode.NOT_FOUND,
    LabErrorKind.MISSING_REPO: ExitCode.NOT_FOUND,
    LabErrorKind.OUTSIDE_REPOS: ExitCode.NOT_FOUND,
    LabErrorKind.BAD_MACHINE_NAME: ExitCode.USAGE,
    LabErrorKind.BAD_LAUNCH: ExitCode.USAGE,
    LabErrorKind.NO_MACHINE: ExitCode.NOT_FOUND,
    LabErrorKind.NO_SUCH_RESOURCE: ExitCode.NOT_FOUND,
    LabErrorKind.NAME_TAKEN: ExitCode.CONFLICT,
    LabErrorKind.WRONG_STATE: ExitCode.CONFLICT,
    LabErrorKind.QUOTA_EXCEEDED: ExitCode.STORAGE,
    LabErrorKind.OUT_OF_STOCK: ExitCode.STORAGE,
    LabErrorKind.NO_PERMISSION: ExitCode.STORAGE,
    LabErrorKind.API_DISABLED: ExitCode.STORAGE,
    LabErrorKind.RATE_LIMITED: ExitCode.STORAGE,
    LabErrorKind.CLOUD_REFUSED: ExitCode.STORAGE,
    LabErrorKind.CLOUD_UNAVAILABLE: ExitCode.STORAGE,
    LabErrorKind.CLOUD_UNREACHABLE: ExitCode.STORAGE,
    LabErrorKind.NO_TUNNEL: ExitCode.STORAGE,
}


class LeftGoing(KeyboardInterrupt):
    """^C, where something is to be said about what it leaves behind.

    Attributes:
        hint: what to do about it.
    """

    def __init__(
        self,
        message: str = "interrupted",
        *,
        hint: str = "Run the command again: it goes on where this one stopped.",
    ) -> None:
        super().__init__(message)
        self.hint = hint


class Failure(NamedTuple):
    """A failure as it is shown.

    Attributes:
        kind: the stable code: an `ErrorKind`, a `LabErrorKind`, or ``usage``, ``bug``, ``interrupted``.
        message: what happened, in one line.
        hint: what to do, or ``None``.
        facts: the same as named values.
        exit_code: what the shell is told.
    """

    kind: str
    message: str
    hint: str | None
    facts: Mapping[str, object]
    exit_code: ExitCode

    def document(self) -> dict[str, object]:
        """Return the failure as a JSON document says it."""
        return {
            "error": {
                "kind": self.kind,
                "message": self.message,
                "hint": self.hint,
                "facts": {name: _plain(fact) for name, fact in self.facts.items()},
                "exit_code": int(self.exit_code),
            }
        }


def run_group(group: click.Group, prog_name: str) -> int:
    """Run *group* on the process's arguments; otherwise as `run`."""
    return run(lambda: group.main(prog_name=prog_name, standalone_mode=False))


def run(command: Callable[[], object]) -> int:
    """Run *command* and return its exit code, having shown whatever went wrong.

    A reader that closes the pipe early, as `head` does, has seen enough: that is no failure.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a strange file name must not stop the report about it
    try:
        outcome = command()
        if sys.stdout is not None:  # as it is where the shell said >&-
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # In this mode click exits by itself only for a closed pipe and after it has answered a shell's completion.
        _abandon_stdout()
        return ExitCode.DONE
    except BaseException as error:  # noqa: BLE001 - this is the one place that catches everything
        return _fail(error)
    return outcome if isinstance(outcome, int) else ExitCode.DONE


def _fail(error: BaseException) -> ExitCode:
    """Show *error* and return its exit code."""
    failure = failure_of(error)
    try:
        if isinstance(error, KeyboardInterrupt):
            say("", err=True)  # the terminal stands behind its ^C; click does the same before it raises its own
        _show(failure)
        if sys.stdout is not None:
            sys.stdout.flush()  # what it still holds, on a full disk, would have the interpreter end in its own words
    except OSError:
        _abandon_stdout()
    if failure.exit_code is ExitCode.INTERRUPTED:
        _leave_threads()
    return failure.exit_code


def failure_of(error: BaseException) -> Failure:
    """Say what *error* is to the user; the traceback of an unexpected one is saved on the way."""
    if isinstance(error, LabError | SyncError):
        return Failure(
            kind=error.kind.value,
            message=error.message,
            hint=hint_for(error),
            facts=error.facts,
            exit_code=EXIT_CODES.get(error.kind, ExitCode.FAILED),
        )
    if "click" in sys.modules:  # otherwise it is none of click's
        import click

        if isinstance(error, click.ClickException):
            context = error.ctx if isinstance(error, click.UsageError) else None
            help_command = f"{context.command_path if context else 'epic-synccode'} --help"
            return _failure("usage", error.format_message(), f"`{help_command}` says what is expected.", ExitCode.USAGE)
        if isinstance(error, click.Abort):  # what click puts in the place of ^C
            error = error.__cause__ or KeyboardInterrupt()
    if isinstance(error, KeyboardInterrupt | EOFError):
        going_on = error if isinstance(error, LeftGoing) else LeftGoing()
        return _failure("interrupted", str(going_on), going_on.hint, ExitCode.INTERRUPTED)
    return _bug(error)


def _failure(kind: str, message: str, hint: str, exit_code: ExitCode, **facts: object) -> Failure:
    return Failure(kind=kind, message=message, hint=hint, facts=facts, exit_code=exit_code)


def _bug(error: BaseException) -> Failure:
    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    saved = _save_traceback(error)
    if saved is None:
        hint = "The details could not be saved: the home directory is not writable. Please report this line."
    else:
        hint = f"Please report it with the details, which are in {saved}"
    return _failure("bug", f"this is a bug in epic-lab: {summary}", hint, ExitCode.BUG, traceback_file=saved)


def _save_traceback(error: BaseException) -> Path | None:
    try:
        state_dir = Lab.here().ensure_state_dir()
    except LabError:
        return None
    return save_traceback(error, state_dir, at_work="arguments")


def wants_json(arguments: list[str]) -> bool:
    """Tell whether *arguments* ask for JSON, though they may be wrong otherwise."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _show(failure: Failure) -> None:
    """Show *failure*: as a JSON document on standard output where that was asked for, otherwise on standard error."""
    if wants_json(sys.argv[1:]):
        import json

        say(json.dumps(failure.document(), indent=2))
        return
    color = False if Environment.read().no_color else None
    say(styled("error: ", "red", bold=True) + printable(failure.message), err=True, color=color)
    for line in _problem_lines(failure.facts.get("problems")):
        say(printable(line), err=True, color=color)
    if failure.hint:
        first, *more = printable_lines(failure.hint).splitlines()
        say("\n".join([styled("hint: ", "cyan") + first, *more]), err=True, color=color)


def _problem_lines(problems: object) -> list[str]:
    """Give each problem that an error carries a line of its own, up to a screenful."""
    if not isinstance(problems, list | tuple):
        return []
    lines = [f"  {problem.path} {problem.detail}" for problem in problems[:MAX_PROBLEM_LINES]]
    more = len(problems) - len(lines)
    return [*lines, f"  ... and {more:,} more"] if more else lines


def _plain(fact: object) -> object:
    """Turn *fact* into what JSON can say."""
    if fact is None or isinstance(fact, bool | int | float | str):
        return fact
    if isinstance(fact, bytes):
        return fact.hex()
    if isinstance(fact, Mapping):
        return {str(name): _plain(value) for name, value in fact.items()}
    names = getattr(fact, "_fields", None) or getattr(fact, "__dataclass_fields__", None)
    if names is not None:
        return {name: _plain(getattr(fact, name)) for name in names}
    if isinstance(fact, list | tuple | set | frozenset):
        return [_plain(value) for value in fact]
    return str(fact)


def _leave_threads() -> None:
    """End the process at once if a thread is still at work, such as one that waits for storage that does not answer.

    The interpreter would wait for it, and whoever has interrupted a program wants it to end. All else is tidied up by now.
    """
    if threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.flush()
        os._exit(ExitCode.INTERRUPTED)


def _abandon_stdout() -> None:
    """Point standard output at nothing, so that the interpreter's last flush is quiet too."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
