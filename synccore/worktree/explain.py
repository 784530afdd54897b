"""Why a path takes part or not, for people who ask about one.

Invariant: an explanation agrees with `select`: it says *taken* of exactly the paths that stand in the selection and on
the disk.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from synccore.errors import InvalidInputError
from synccore.ignore import SYNCCODEIGNORE, Rule, always_left_out, compile_exclusion
from synccore.treepath import TreePath
from synccore.worktree.folder import is_link, is_real_directory, looks_like_a_work_tree, plain_folder_rules
from synccore.worktree.git import GitRules
from synccore.worktree.listing import Ignoring, NoGitProgramError, NotARepositoryError, Tracked, displayed
from synccore.worktree.selection import Lister, absolute, refuse_without_git, select, synccodeignore, work_tree_around


class Reason(str, Enum):
    """Which rule decided. Append only: the codes are public."""

    TRACKED = "tracked"
    UNTRACKED = "untracked"
    IN_FOLDER = "in-folder"
    TAKEN_BACK = "taken-back"
    DIRECTORY = "directory"
    IGNORED_BY_GIT = "ignored-by-git"
    SYNCCODEIGNORE = "synccodeignore"
    CONFIGURATION = "configuration"
    DEFAULT_EXCLUSION = "default-exclusion"
    ALWAYS_LEFT_OUT = "always-left-out"
    SPECIAL_FILE = "special-file"
    BEHIND_LINK = "behind-link"
    NOT_UTF8 = "not-utf8"
    BAD_NAME = "bad-name"
    MISSING = "missing"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What became of one path, and why.

    Attributes:
        path: the path relative to the root, for people.
        taken: whether it takes part; of a directory, whether anything in it does.
        reason: the stable code of the rule that decided.
        detail: the same as a sentence that begins with the path.
        rule: the rule as it is written, if one is.
        file: the file that the rule stands in, if it stands in one.
        line: its line there.
        repository: the nested repository that the path lies in, relative to the root; ``None`` in the root's own.
        files: of a directory, how many files of it take part; otherwise ``None``.
    """

    path: str
    taken: bool
    reason: Reason
    detail: str
    rule: str | None = None
    file: str | None = None
    line: int | None = None
    repository: str | None = None
    files: int | None = None


class _Rules(Protocol):
    def tracked_as(self, path: str) -> Tracked: ...

    def ignoring(self, path: str) -> Ignoring | None: ...

    def close(self) -> None: ...


def explain(root: Path, path: str | Path, *, exclusion: str | None = None, lister: Lister = Lister.AUTO) -> Explanation:
    """Say whether *path* takes part in the tree at *root*, and which rule decided.

    Args:
        root: as for `select`.
        path: relative to *root*, or absolute.
        exclusion: as for `select`.
        lister: as for `select`.

    Raises:
        WorktreeError, InvalidInputError: as `select`.
    """
    root = absolute(root)
    relative = _relative_to(root, path)
    if relative is None:
        return _left(str(path), Reason.OUTSIDE, f"{displayed(str(path))} is not below {root}")
    asked = _Asked(root, relative, exclusion, lister)
    return asked.by_name() or asked.by_disk() or asked.by_rules()


def _relative_to(root: Path, path: str | Path) -> str | None:
    """Return *path* relative to *root* with ``/`` (empty for the root itself), or ``None`` if it is elsewhere."""
    whole = os.path.normpath(os.path.join(root, path))
    for top in (root, root.resolve()):
        try:
            found = Path(whole).relative_to(top).as_posix()
        except ValueError:
            continue
        return "" if found == "." else found
    return None


def _left(path: str, reason: Reason, detail: str) -> Explanation:
    return Explanation(path=displayed(path), taken=False, reason=reason, detail=detail)


class _Asked:
    """A question about one path below a root; each method answers or passes it on."""

    def __init__(self, root: Path, path: str, exclusion: str | None, lister: Lister) -> None:
        self._root = root
        self._path = path
        self._shown = displayed(path) or "."
        self._exclusion = exclusion
        self._lister = lister

    def _left(self, reason: Reason, what: str) -> Explanation:
        return _left(self._shown, reason, f"{self._shown} {what}")

    def by_name(self) -> Explanation | None:
        """Answer if the name alone decides."""
        if not self._path:
            return None
        if always_left_out(self._path):
            return replace(
                self._left(Reason.ALWAYS_LEFT_OUT, "is left out always: .git, __pycache__ and *.pyc never take part"),
                rule=next((part for part in self._path.split("/") if part in {".git", "__pycache__"}), "*.pyc"),
            )
        if displayed(self._path) != self._path:
            return self._left(Reason.NOT_UTF8, "has a name that is not UTF-8, which other systems cannot carry")
        try:
            TreePath(self._path)
        except InvalidInputError as error:
            fault = error.message.removeprefix(f"path {self._path!r} ")
            return self._left(Reason.BAD_NAME, f"has a name that not every system can carry: it {fault}")
        return None

    def by_disk(self) -> Explanation | None:
        """Answer if what stands on the disk decides."""
        parts = self._path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            try:
                if is_link((self._root / above).lstat()):
                    return self._left(
                        Reason.BEHIND_LINK, f"lies behind the link {above}, which is carried but not followed"
                    )
            except OSError:
                break
        try:
            mode = (self._root / self._path).lstat().st_mode
        except OSError:
            return self._left(Reason.MISSING, "does not exist")
        if stat.S_ISDIR(mode):
            return self._directory()
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            return self._left(Reason.SPECIAL_FILE, "is a socket, a pipe or a device, which has no content to carry")
        return None

    def _directory(self) -> Explanation:
        selection = select(self._root, exclusion=self._exclusion, lister=self._lister)
        below = f"{self._path}/" if self._path else ""
        count = sum(path.startswith(below) for path in selection.paths)
        what = "1 file" if count == 1 else f"{count} files"
        found = Explanation(
            path=self._shown,
            taken=count > 0,
            reason=Reason.DIRECTORY,
            detail=f"{self._shown} is a directory of which {what} take part".replace("1 file take", "1 file takes"),
            files=count,
        )
        if count or not self._path:
            return found
        why = self._by_user() or self._by_place()
        if why.taken:
            return found
        return replace(why, files=0)

    def by_rules(self) -> Explanation:
        """Answer with the rule that decides about a file or link."""
        mine = self._by_user()
        return mine if mine is not None else self._by_place()

    def _by_user(self) -> Explanation | None:
        """Answer if a rule of the user's own decides, against git or in its place."""
        rules = synccodeignore(self._root)
        is_dir = is_real_directory(self._root / self._path)
        rule = None
        if rules is not None:
            rule = rules.decide_directory(self._path) if is_dir else rules.decide(self._path)
        if rule is not None:
            return self._by_synccodeignore(rule)
        if self._exclusion and compile_exclusion(self._exclusion).match(self._path):
            found = self._left(
                Reason.CONFIGURATION, f"is left out by the configuration's exclusion {self._exclusion!r}"
            )
            return replace(found, rule=self._exclusion)
        return None

    def _by_synccodeignore(self, rule: Rule) -> Explanation:
        where = f"{SYNCCODEIGNORE}, line {rule.line}: {rule.text}"
        if not rule.negated:
            found = self._left(Reason.SYNCCODEIGNORE, f"is left out by {where}")
        else:
            found = self._by_place()
            if not found.taken:
                found = replace(
                    found, taken=True, reason=Reason.TAKEN_BACK, detail=f"{self._shown} is taken back by {where}"
                )
            elif found.rule is not None:
                return found
        return replace(found, rule=rule.text, file=SYNCCODEIGNORE, line=rule.line)

    def _by_place(self) -> Explanation:
        """Answer with the rules of the repository or folder that the path lies in."""
        prefix = ""
        with ExitStack() as opened:
            while True:
                rules = self._rules_of(prefix)
                if rules is not None:
                    opened.callback(rules.close)
                inner = self._path[len(prefix) :]
                nested = self._nested_above(prefix, inner, rules)
                if nested is None:
                    return self._by_last_place(inner, rules, prefix)
                if rules is None or rules.tracked_as(nested) is not Tracked.REPOSITORY:
                    left_out = self._left_out_by(nested, rules, prefix)
                    if left_out is not None:
                        return left_out
                prefix += nested + "/"

    def _nested_above(self, prefix: str, inner: str, rules: _Rules | None) -> str | None:
        """Return the first directory above *inner* that is a repository of its own to the place at *prefix*."""
        parts = inner.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if rules is None:
                if looks_like_a_work_tree(self._root / prefix / above):
                    return above
                continue
            tracked = rules.tracked_as(above)
            if tracked is Tracked.REPOSITORY:
                return above
            if tracked is Tracked.NOT and looks_like_a_work_tree(self._root / prefix / above):
                return above
        return None

    def _by_last_place(self, inner: str, rules: _Rules | None, prefix: str) -> Explanation:
        where = f" in the nested repository {prefix[:-1]}" if prefix else ""
        taken = Explanation(
            path=self._shown, taken=True, reason=Reason.IN_FOLDER, detail="", repository=prefix[:-1] or None
        )
        if rules is not None and rules.tracked_as(inner) is Tracked.FILE:
            return replace(taken, reason=Reason.TRACKED, detail=f"{self._shown} is tracked by git{where}")
        left_out = self._left_out_by(inner, rules, prefix)
        if left_out is not None:
            return left_out
        if rules is None:
            return replace(taken, detail=f"{self._shown} lies in a folder without git, and no rule leaves it out")
        return replace(
            taken, reason=Reason.UNTRACKED, detail=f"{self._shown} is not tracked and not ignored by git{where}"
        )

    def _left_out_by(self, inner: str, rules: _Rules | None, prefix: str) -> Explanation | None:
        """Return the explanation if the place at *prefix* leaves *inner* out."""
        repository = prefix[:-1] or None
        if rules is None:
            defaults = plain_folder_rules()
            is_dir = is_real_directory(self._root / prefix / inner)
            rule = defaults.decide_directory(inner) if is_dir else defaults.decide(inner)
            if rule is None:
                return None
            found = self._left(Reason.DEFAULT_EXCLUSION, f"is left out by default in folders without git: {rule.text}")
            return replace(found, rule=rule.text, repository=repository)
        ignoring = rules.ignoring(inner)
        if ignoring is None:
            return None
        found = self._left(
            Reason.IGNORED_BY_GIT, f"is ignored by git: {ignoring.source}, line {ignoring.line}: {ignoring.text}"
        )
        return replace(found, rule=ignoring.text, file=ignoring.source, line=ignoring.line, repository=repository)

    def _rules_of(self, prefix: str) -> _Rules | None:
        """Return git's view of the place at *prefix*, or ``None`` if it is a plain folder."""
        directory = self._root / prefix
        nested = bool(prefix)
        if not looks_like_a_work_tree(directory) if nested else work_tree_around(self._root) is None:
            return None
        try:
            if self._lister is not Lister.DULWICH:
                try:
                    return GitRules(directory, nested=nested)
                except NoGitProgramError:
                    if self._lister is Lister.GIT:
                        refuse_without_git(self._root)
            from synccore.worktree.dulwich_git import open_rules

            return open_rules(directory, nested=nested)
        except NotARepositoryError:
            return None
