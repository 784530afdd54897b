"""Git as a program: which files it would take.

Invariant: git is only asked, never told: no call of this module writes to a repository or takes its locks, and the
caller's ``GIT_*`` variables cannot turn a question to another repository.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, NoReturn

import xxhash

from synccore.errors import ErrorKind, WorktreeError
from synccore.problem import Problem
from synccore.worktree.folder import is_real_directory, looks_like_a_work_tree
from synccore.worktree.listing import (
    Ignoring,
    Listing,
    NoGitProgramError,
    NotARepositoryError,
    Tracked,
    displayed,
    unreadable_directory,
)

_WINDOWS = sys.platform == "win32"

# Variables with which a user says how git reads its configuration or looks for repositories. All other GIT_* variables
# name repositories, index files and work trees, or make git talk, and are kept from it.
_KEPT_VARIABLES = re.compile(
    r"GIT_(?:CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)"
    r"|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|EXEC_PATH)"
)

_NOT_A_REPOSITORY = "fatal: not a git repository"
_DUBIOUS = re.compile(r"fatal: (?:detected dubious ownership|unsafe repository)")
_REMEDY = re.compile(r"git config --global --add safe\.directory .+")
_UNREADABLE = re.compile(r"^warning: could not open directory '(.*?)/?': (.*)$", re.MULTILINE)
_DECODING = ("utf-8", "surrogateescape")
_GITLINK_MODE = "160000"
_EXECUTABLE_MODE = "100755"


class Question:
    """One running git process, started at once so that several can work side by side, and we beside them.

    Args:
        root: where git is started.
        arguments: what it is asked.
        nested: whether it must not look for a repository above *root*.
        given: what it reads from its standard input.

    Raises:
        NoGitProgramError: git is not installed.
    """

    __slots__ = ("_ended", "_given", "_out", "_process", "_root")

    def __init__(self, root: Path, *arguments: str, nested: bool = False, given: str | None = None) -> None:
        self._root = root
        self._given = None if given is None else given.encode("utf-8", "surrogateescape")
        self._ended: tuple[int, bytes, str] | None = None
        # A pipe is full after 64 KiB, and a list of 30,000 files is 3 MiB: git would wait until we read.
        self._out = _file_for_output()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program with arguments of our own
                ["git", *arguments],  # noqa: S607 - the user's own git, wherever it is installed
                cwd=root,
                env=_environment(ceiling=root.parent if nested else None),
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=self._out or subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            self._forget_output()
            if not root.is_dir():
                raise WorktreeError(ErrorKind.NOT_FOUND, f"there is no directory {root}", path=str(root)) from None
            raise NoGitProgramError from error
        except OSError as error:
            self._forget_output()
            raise WorktreeError(
                ErrorKind.WORKTREE, f"cannot run git in {root}: {error.strerror}", path=str(root)
            ) from error

    def answer(self) -> tuple[str, str]:
        """Wait, and return what git wrote to its output and to its errors.

        Raises:
            NotARepositoryError: there is no repository at or above the root.
            WorktreeError: git refused.
        """
        out, errors = self.answer_as_bytes()
        return _text(out), errors

    def answer_as_bytes(self) -> tuple[bytes, str]:
        """Wait, and return what git wrote, its output as it wrote it; errors as for `answer`."""
        code, out, errors = self._end()
        if code:
            _refuse(self._root, code, errors)
        return out, errors

    def outcome(self) -> tuple[int, str, str]:
        """Wait, and return the exit code, the output and the errors."""
        code, out, errors = self._end()
        return code, _text(out), errors

    def _end(self) -> tuple[int, bytes, str]:
        if self._ended is None:
            out, errors = self._process.communicate(self._given)
            if self._out is not None:
                self._out.seek(0)
                out = self._out.read()
                self._out.close()
            self._ended = self._process.returncode, out, _text(errors)
        return self._ended

    def drop(self) -> None:
        """End the process if it still runs, and forget its answer."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()
        self._forget_output()

    def _forget_output(self) -> None:
        if self._out is not None:
            self._out.close()


def _file_for_output() -> IO[bytes] | None:
    """Return a file without a name; ``None`` where none can be had."""
    try:
        if sys.platform == "linux":
            return os.fdopen(os.memfd_create("git"), "w+b")
        import tempfile  # which takes 10 ms to import

        return tempfile.TemporaryFile()
    except OSError:
        return None


def _text(data: bytes) -> str:
    return data.decode(*_DECODING)


def _environment(*, ceiling: Path | None) -> dict[str, str]:
    """Return the environment of a git process.

    The engine reads no environment but for git's sake, here and in `grounds`. Here it must be read to be cleaned: a shell inside a git hook or alias
    has GIT_DIR and GIT_INDEX_FILE set, and a child that inherits them answers for another repository.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _KEPT_VARIABLES.fullmatch(name)
    }
    kept.pop("LANGUAGE", None)
    kept |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    if ceiling is not None:
        kept["GIT_CEILING_DIRECTORIES"] = str(ceiling)
    return kept


def _refuse(root: Path, code: int, errors: str) -> NoReturn:
    if errors.startswith(("xcrun:", "xcode-select:")):
        # macOS without the developer tools has a git that only says so.
        raise NoGitProgramError
    if _DUBIOUS.match(errors):
        found = _REMEDY.search(errors)
        remedy = found[0].strip() if found else f"git config --global --add safe.directory {root}"
        raise WorktreeError(
            ErrorKind.WORKTREE,
            f"git does not read {root}, because it belongs to another user; if you trust it, run: {remedy}",
            path=str(root),
            remedy=remedy,
        )
    if "fatal: this operation must be run in a work tree" in errors:
        refuse_bare(root)
    if errors.startswith(_NOT_A_REPOSITORY):
        raise NotARepositoryError(first_line(errors).removeprefix("fatal: "))
    raise WorktreeError(
        ErrorKind.WORKTREE,
        f"git cannot list {root}: {first_line(errors) or f'it ended with code {code}'}",
        path=str(root),
    )


def refuse_bare(root: Path) -> NoReturn:
    """Say that *root* has no files of a working tree."""
    raise WorktreeError(
        ErrorKind.WORKTREE,
        f"{root} is a bare repository or the inside of a .git directory: expected a working tree, whose files can be taken",
        path=str(root),
    )


def first_line(text: str) -> str:
    """Return the first line of *text* that says something, `fatal:` ones first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return displayed(next((line for line in lines if line.startswith("fatal:")), lines[0] if lines else ""))


class GitListing:
    """Git's list of one work tree, being made by processes that run side by side.

    Cost, measured on two cores with git 2.39 (milliseconds, 5,000 / 30,000 files, unchanged):

    * ``ls-files --cached --others``          6.8 / 37
    * the same with ``-v -s`` (used here)     7.4 / 38
    * ``ls-files -s`` and ``--others`` apart  8.1 / 34, side by side; but a file that is added to git's list between the two
      would be in neither answer, and so vanish from a snapshot
    * ``status --porcelain=v2``              11.5 / 62, and it does not name unchanged files

    Args:
        root: a directory in a work tree; the paths are relative to it.
        left_out: whether what git ignores is wanted too.
        nested: whether the repository must be that of *root* itself and none above it.
    """

    __slots__ = ("_ignored", "_list", "_root", "_told_apart", "_trusts_disk")

    def __init__(self, root: Path, *, left_out: bool, nested: bool) -> None:
        self._root = root
        self._told_apart: tuple[list[str], bytes] | None = None
        self._list = Question(
            root, "ls-files", "-z", "-v", "-s", "--cached", "--others", "--exclude-standard", nested=nested
        )
        self._trusts_disk = (
            None if _WINDOWS else Question(root, "config", "--type=bool", "--get", "core.fileMode", nested=nested)
        )
        self._ignored = (
            Question(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", nested=nested)
            if left_out
            else None
        )

    def finish(self) -> Listing:
        """Wait for git and return its list.

        Raises:
            NotARepositoryError, NoGitProgramError: another lister must do it.
            WorktreeError: git refused.
        """
        out, errors = self._list.answer_as_bytes()
        if not out:
            refuse_if_ignored(self._root)
        others, tracked = self._parts()
        listing = _read_list(others, _text(tracked), self._root, trusts_disk=self._disk_is_trusted())
        if self._ignored is not None:
            left_out, more_errors = self._ignored.answer()
            errors += more_errors
            for path in left_out.split("\0")[:-1]:
                (listing.nested_left_out if path.endswith("/") else listing.left_out).append(path.rstrip("/"))
        listing.problems.extend(_unreadable_directories(errors))
        return listing

    def digest(self) -> bytes:
        """Wait for git and return a digest of its answers, in 1 ms; where that is the same, so is the list, if it `stands_alone`.

        Raises:
            NotARepositoryError, NoGitProgramError, WorktreeError: as for `finish`.
        """
        whole = xxhash.xxh3_128(b"\1" if self._disk_is_trusted() else b"\0")
        for out, errors in self._answers():
            whole.update(f"{len(out)} {errors}\0".encode("utf-8", "surrogateescape"))
            whole.update(out)
        return whole.digest()

    def stands_alone(self) -> bool:
        """Tell whether the list follows from git's answers and nothing else.

        Nothing was found, or could not be read, or is a repository of its own: then the disk and other repositories are asked.
        """
        answers = self._answers()
        return bool(answers[0][0]) and not any(
            errors or b"/\0" in out or f" {_GITLINK_MODE} ".encode() in out for out, errors in answers
        )

    @property
    def asks_for_left_out(self) -> bool:
        """Whether what git ignores is part of the list."""
        return self._ignored is not None

    def count(self) -> int:
        """Wait for git, and return how many paths it lists, those of a conflict several times; errors as for `finish`."""
        return self._list.answer_as_bytes()[0].count(b"\0")

    def untracked(self) -> set[str]:
        """Wait for git, and return what it neither tracks nor ignores, a repository as one path; errors as for `finish`."""
        others, _ = self._parts()
        return {path.rstrip("/") for path in others}

    def tracked(self) -> bytes:
        """Wait for git, and return a digest of all that it tracks with its contents; empty if it may not say of some of it that it differs."""
        _, tracked = self._parts()
        plain = tracked.count(b"\0H ") + tracked.startswith(b"H ")
        return xxhash.xxh3_128_digest(tracked) if plain == tracked.count(b"\0") else b""

    def _parts(self) -> tuple[list[str], bytes]:
        """Wait for git, and return what it does not track, and its lines of what it does."""
        if self._told_apart is None:
            out, _ = self._list.answer_as_bytes()
            # They come first, though git does not promise it: 11,694 and 30,000 others are told apart in 1 ms, and line by line in 12.
            end = out.index(b"\0", out.rfind(b"\0? ") + 1) + 1 if out.startswith(b"? ") else 0
            others, tracked = _text(out[2 : end - 1]).split("\0? ") if end else [], out[end:]
            if b"\0? " in tracked or len(others) != out.count(b"\0", 0, end):
                lines = _text(out).split("\0")
                others = [line[2:] for line in lines if line.startswith("? ")]
                tracked = "\0".join([line for line in lines if not line.startswith("? ")]).encode(*_DECODING)
            self._told_apart = others, tracked
        return self._told_apart

    def _answers(self) -> list[tuple[bytes, str]]:
        return [asked.answer_as_bytes() for asked in (self._list, self._ignored) if asked is not None]

    def _disk_is_trusted(self) -> bool:
        return self._trusts_disk is not None and self._trusts_disk.outcome()[1].strip() != "false"

    def drop(self) -> None:
        """End what still runs."""
        for question in (self._list, self._trusts_disk, self._ignored):
            if question is not None:
                question.drop()


def _read_list(others: list[str], lines: str, root: Path, *, trusts_disk: bool) -> Listing:
    """Read the answer of ``ls-files -v -s --cached --others``, told apart.

    A tracked path stands as ``H 100644 <object> 0<tab>path``, with an object id of one length throughout; *others* have a final slash if
    they are repositories of their own.
    """
    tracked = lines.split("\0")
    tracked.pop()
    start = tracked[0].index("\t") + 1 if tracked else 0
    listing = Listing([line[start:] for line in tracked])
    if f" {_GITLINK_MODE} " in lines:
        gitlinks = {line[start:] for line in tracked if line[2:8] == _GITLINK_MODE}
        listing.nested = sorted(path for path in gitlinks if is_real_directory(root / path))
        nested = set(listing.nested)
        listing.taken = [path for path in listing.taken if path not in nested]
    if not trusts_disk:
        listing.executable = frozenset(line[start:] for line in tracked if line[2:8] == _EXECUTABLE_MODE)
    listing.nested += [path.rstrip("/") for path in others if path[-1] == "/"]
    listing.taken += [path for path in others if path[-1] != "/"] if listing.nested else others
    return listing


def _unreadable_directories(errors: str) -> list[Problem]:
    return [unreadable_directory(path, reason) for path, reason in dict.fromkeys(_UNREADABLE.findall(errors))]


def refuse_if_ignored(root: Path) -> None:
    """Refuse a *root* with nothing tracked that the repository around it ignores: that has no say over what is in it."""
    if looks_like_a_work_tree(root):
        return
    # Asked from above: asked for ".", git holds patterns such as "*" against an empty name. And without what is tracked:
    # git would take the name for a pattern to look that up.
    place = root.resolve()
    ignored = Question(place.parent, "check-ignore", "--no-index", "-q", "--", f"./{place.name}").outcome()[0] == 0
    if ignored and not Question(root, "ls-files", "-z", "--cached").answer()[0]:
        raise NotARepositoryError("the repository around it ignores it")


class GitRules:
    """What git thinks of single paths of the work tree that *root* is or lies in.

    Raises:
        NoGitProgramError, NotARepositoryError, WorktreeError: as for a list.
    """

    def __init__(self, root: Path, *, nested: bool) -> None:
        self._root = root
        self._nested = nested
        Question(root, "rev-parse", "--is-inside-work-tree", nested=nested).answer()
        if not nested:
            refuse_if_ignored(root)

    def close(self) -> None:
        """Do nothing: no process outlives its question."""

    def tracked_as(self, path: str) -> Tracked:
        """Return what *path* (relative to the root) is to the list of tracked files."""
        question = Question(self._root, "--literal-pathspecs", "ls-files", "-z", "-s", "--", path, nested=self._nested)
        lines = question.answer()[0].split("\0")[:-1]
        if not lines:
            return Tracked.NOT
        if lines[0].partition("\t")[2] != path:
            return Tracked.DIRECTORY
        return Tracked.REPOSITORY if lines[0].startswith(_GITLINK_MODE) else Tracked.FILE

    def ignoring(self, path: str) -> Ignoring | None:
        """Return the rule that makes git ignore *path*, or ``None``; that it may be tracked is not looked at."""
        arguments = ("check-ignore", "-v", "-z", "--no-index", "--stdin")
        question = Question(self._root, *arguments, nested=self._nested, given=f"./{path}\0")
        code, out, errors = question.outcome()
        if code == 1:
            return None
        if code:
            _refuse(self._root, code, errors)
        source, line, text, *_ = out.split("\0")
        return None if text.startswith("!") else Ignoring(displayed(source), int(line), displayed(text))


def is_surely_the_top(root: Path) -> bool:
    """Tell whether git would say that *root* is the top of its work tree, without a process, which takes 3 to 9 ms."""
    try:
        # Only `core.worktree` makes a work tree of another directory than that in which the repository is.
        return (root / ".git").is_dir() and b"worktree" not in (root / ".git/config").read_bytes().lower()
    except OSError:
        return False
