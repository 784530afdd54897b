"""The edge of the program: each failure has its exit code, and nobody sees a traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from epic_lab.cli.boundary import EXIT_CODE_MEANINGS, ExitCode, failure_of, wants_json
from epic_lab.errors import LabError, LabErrorKind
from synccore.errors import ConflictError, ErrorKind, NotFoundError, SyncError
from synccore.problem import Problem, ProblemKind

Machine = Any


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SyncError(ErrorKind.UNSTABLE_FILE, "m"), 1),
        (SyncError(ErrorKind.NEWER_FORMAT, "m"), 1),
        (ConflictError(ErrorKind.UNSEEN_SNAPSHOT, "m"), 3),
        (ConflictError(ErrorKind.DELETION_GUARD, "m"), 3),
        (NotFoundError(ErrorKind.NO_HEAD, "m"), 4),
        (SyncError(ErrorKind.UNAVAILABLE, "m"), 5),
        (SyncError(ErrorKind.NO_CREDENTIALS, "m"), 5),
        (SyncError(ErrorKind.DAMAGED_OBJECT, "m"), 6),
        (LabError(LabErrorKind.MISSING_KEY, "m", hint="h"), 1),
        (LabError(LabErrorKind.UNKNOWN_REPO, "m", hint="h"), 4),
        (click.UsageError("m"), 2),
        (click.BadParameter("m"), 2),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_each_failure_has_its_exit_code(error: BaseException, code: int) -> None:
    assert failure_of(error).exit_code == code


def test_every_exit_code_has_a_meaning() -> None:
    assert list(EXIT_CODE_MEANINGS) == list(ExitCode)


def test_a_failures_document_says_its_facts_in_what_json_has() -> None:
    problem = Problem(ProblemKind.NOT_UTF8, "bad\\xff", "is not UTF-8")
    error = SyncError(ErrorKind.PROBLEMS, "m", problems=(problem,), path=Path("a"), raw=b"\x01", n=1, by={1: None})
    assert failure_of(error).document() == {
        "error": {
            "kind": "problems",
            "message": "m",
            "hint": failure_of(error).hint,
            "facts": {
                "problems": [{"kind": "not-utf8", "path": "bad\\xff", "detail": "is not UTF-8"}],
                "path": "a",
                "raw": "01",
                "n": 1,
                "by": {"1": None},
            },
            "exit_code": 1,
        }
    }


def test_json_is_wanted_by_an_option_and_not_by_an_argument() -> None:
    assert wants_json(["upload", "--json"])
    assert not wants_json(["upload", "--", "--json"])


# A command line with a command for each way to fail, run through the real boundary.
FAILING = """
import sys
import click
from epic_lab.cli import boundary
from synccore.errors import ErrorKind, SyncError
from synccore.problem import Problem, ProblemKind

@click.group()
def group(): pass

@group.command()
@click.option("--json", is_flag=True)
def bug(json): raise RuntimeError("two\\nlines")

@group.command()
def many():
    problems = [Problem(ProblemKind.SPECIAL_FILE, f"p{n}", "is a socket") for n in range(1022)]
    raise SyncError(ErrorKind.PROBLEMS, "1,022 paths could not take part", problems=problems)

@group.command()
def wait():
    print("ready", flush=True)
    sys.stdin.read()

@group.command()
def talk():
    for _ in range(100000): click.echo("a line of some length")

@group.command()
def strange(): click.echo("name-\\udcff")

sys.exit(boundary.run_group(group, "failing"))
"""


@pytest.fixture
def failing(machine: Machine) -> list[str]:
    """Return a command line whose commands fail, each in its own way."""
    program = machine.home / "failing.py"
    program.write_text(FAILING, encoding="utf-8")
    return [sys.executable, str(program)]


def say(machine: Machine, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=machine.environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        **options,
    )


def test_a_bug_is_one_line_and_a_file_with_the_traceback(machine: Machine, failing: list[str]) -> None:
    done = say(machine, *failing, "bug")
    assert done.returncode == 70
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first == "error: this is a bug in epic-lab: RuntimeError: two"
    saved = Path(second.removeprefix("hint: Please report it with the details, which are in "))
    assert saved.parent == machine.home / ".epic" / "state" / "tracebacks"
    text = saved.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "failing.py" in text
    if os.name != "nt":
        assert saved.parent.stat().st_mode & 0o777 == 0o700


def test_a_bug_says_where_its_details_are_in_json_too(machine: Machine, failing: list[str]) -> None:
    done = say(machine, *failing, "bug", "--json")
    assert done.returncode == 70
    assert '"kind": "bug"' in done.stdout
    assert "tracebacks" in done.stdout
    assert done.stderr == ""


def test_a_bug_on_a_disk_that_refuses_is_still_one_message(machine: Machine, failing: list[str]) -> None:
    (machine.home / ".epic").touch()
    done = say(machine, *failing, "bug")
    assert done.returncode == 70
    assert "The details could not be saved" in done.stderr
    assert "Traceback" not in done.stderr


def test_problems_are_listed_up_to_a_screenful(machine: Machine, failing: list[str]) -> None:
    done = say(machine, *failing, "many")
    lines = done.stderr.splitlines()
    assert lines[:2] == ["error: 1,022 paths could not take part", "  p0 is a socket"]
    assert lines[21] == "  ... and 1,002 more"
    assert lines[22].startswith("hint: ")
    assert len(lines) == 23


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send to one process there")
def test_an_interrupt_is_said_and_is_130(machine: Machine, failing: list[str]) -> None:
    with subprocess.Popen(
        [*failing, "wait"],
        env=machine.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-2:] == [
        "error: interrupted",
        "hint: Run the command again: it goes on where this one stopped.",
    ]


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is no signal there")
def test_a_reader_that_has_seen_enough_is_no_failure(machine: Machine, failing: list[str]) -> None:
    with subprocess.Popen(
        [*failing, "talk"], env=machine.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a line of some length\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_a_strange_name_does_not_stop_the_report_about_it(machine: Machine, failing: list[str]) -> None:
    done = say(machine, *failing, "strange")
    assert (done.returncode, done.stdout) == (0, "name-\\udcff\n")


@pytest.mark.skipif(os.name == "nt", reason="a shell's way to close a stream is used")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_changes_no_exit_code(machine: Machine, failing: list[str], closed: str) -> None:
    for name, code in (("strange", 0), ("bug", 70), ("many", 1)):
        done = say(machine, "sh", "-c", f"{' '.join(failing)} {name} {closed}")
        assert done.returncode == code
        assert "Traceback" not in done.stdout + done.stderr


def test_an_interrupt_that_meets_the_tidying_of_an_object_shows_no_traceback(machine: Machine) -> None:
    program = (
        "from epic_lab.cli import start\n"
        "start._prepare()\n"
        "class Tidied:\n"
        "    def __init__(self, error):\n"
        "        self.error = error\n"
        "    def __del__(self):\n"
        "        raise self.error\n"
        "Tidied(KeyboardInterrupt())\n"
        "Tidied(ValueError('a real one'))\n"
        "print('went on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=machine.environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "went on\n"
    assert "KeyboardInterrupt" not in done.stderr
    assert "ValueError: a real one" in done.stderr


def configured(machine: Machine, state: str) -> None:
    """Bring *machine*, a laptop, into a state in which a command has something of its own to say."""
    (machine.home / "code" / "alpha" / "a.py").write_text("1\n")
    (machine.home / "code" / "beta" / "b.py").write_text("1\n")
    settings = machine.config_path.read_text().splitlines()
    if state == "nothing configured":
        machine.config_path.unlink()
    elif state == "a key misspelt":
        machine.configure(*settings, "SYNCCODE_REPO=gamma")
    elif state == "a repository missing":
        (machine.home / "code" / "beta" / "b.py").unlink()
        (machine.home / "code" / "beta").rmdir()
    elif state == "a virtual machine":
        machine.configure(*settings[:2])
    elif state == "uploaded":
        assert machine.run("upload").code == 0


STATES = ["nothing configured", "a key misspelt", "a repository missing", "a virtual machine", "uploaded"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("word", ["upload", "up", "download", "dn"])
def test_a_word_alone_says_what_the_parser_makes_of_it(laptop: Machine, word: str, state: str) -> None:
    configured(laptop, state)
    laptop.run(word)  # what is there to do is done
    plain, parsed = laptop.run(word), laptop.run(word, "--")
    took = re.compile(r"\d+ ms")
    assert (plain.code, took.sub("MS", plain.out), plain.err) == (parsed.code, took.sub("MS", parsed.out), parsed.err)
    assert plain.out or plain.err


@pytest.mark.skipif(sys.platform == "win32", reason="a signal to a process alone")
def test_an_interrupted_word_says_what_the_parser_would(laptop: Machine) -> None:
    configured(laptop, "as it was")
    program = (
        "import os, signal, sys\n"
        "import epic_lab.lab\n"
        "epic_lab.lab.Lab.config = lambda self: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.stderr = sys.stdout\n"
        "from epic_lab.cli.synccode import run\n"
        "for words in (['upload'], ['upload', '--']):\n"
        "    sys.argv = ['epic-synccode', *words]\n"
        "    print(run())\n"
    )
    said = laptop.python(program).splitlines()
    assert said[: len(said) // 2] == said[len(said) // 2 :]
    assert said[0] == ""
    assert said[-1] == "130"
