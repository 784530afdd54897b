"""Plain folders: everything below, less what nobody wants on another machine.

Invariant: directories are read in place and no link is followed.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from synccore.ignore import PLAIN_FOLDER_EXCLUSION, PathRules, RuleList, always_left_out, read_rules
from synccore.problem import Problem
from synccore.worktree.listing import Listing, unreadable_directory

PLAIN_FOLDER_RULES = tuple(read_rules("\n".join(PLAIN_FOLDER_EXCLUSION).encode()))


class FolderListing:
    """The list of a plain folder.

    Args:
        root: the folder.
        left_out: whether what the default exclusion leaves out is wanted too; if not, it is not even looked at.
        pruned: tells of a directory (relative, with ``/``) that nothing below it will be wanted.
    """

    __slots__ = ("_left_out", "_pruned", "_root")

    def __init__(self, root: Path, *, left_out: bool, pruned: Callable[[str], bool]) -> None:
        self._root = root
        self._left_out = left_out
        self._pruned = pruned

    def finish(self) -> Listing:
        """Walk the folder and return its list. Sockets, pipes and devices are in it: whoever reads them reports them."""
        listing = Listing(executable=frozenset() if sys.platform == "win32" else None)
        files: list[str] = []
        rules = plain_folder_rules()
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            entries = read_directory(self._root, prefix, listing.problems)
            if (
                prefix
                and any(entry.name == ".git" for entry in entries)
                and looks_like_a_work_tree(self._root / prefix)
            ):
                place = prefix[:-1]
                (listing.nested_left_out if rules.decide_directory(place) else listing.nested).append(place)
                continue
            for entry in entries:
                path = prefix + entry.name
                if entry.name == ".git":
                    continue
                if is_directory(entry):
                    if self._is_wanted(path, rules):
                        waiting.append(path + "/")
                else:
                    files.append(path)
        decisions = rules.decide_all(files)
        listing.taken = [path for path, rule in zip(files, decisions, strict=True) if rule is None]
        if self._left_out:
            listing.left_out = [path for path, rule in zip(files, decisions, strict=True) if rule is not None]
        return listing

    def drop(self) -> None:
        """Do nothing: nothing runs before `finish`."""

    def _is_wanted(self, path: str, rules: PathRules) -> bool:
        if always_left_out(path) or self._pruned(path):
            return False
        return self._left_out or rules.decide_directory(path) is None


def plain_folder_rules() -> PathRules:
    """Return the default exclusion of folders without git, as rules."""
    return PathRules(RuleList(PLAIN_FOLDER_RULES))


def read_directory(root: Path, prefix: str, problems: list[Problem]) -> list[os.DirEntry[str]]:
    """Read the directory *prefix* (empty, or with its final slash) below *root*; what goes wrong is added to *problems*."""
    try:
        with os.scandir(os.path.join(root, prefix) if prefix else root) as entries:
            return list(entries)
    except OSError as error:
        problems.append(unreadable_directory(prefix.removesuffix("/") or ".", error.strerror or str(error)))
        return []


def is_directory(entry: os.DirEntry[str]) -> bool:
    """Tell whether *entry* is a directory itself; a link or a Windows junction to one is not."""
    try:
        if not entry.is_dir(follow_symlinks=False):
            return False
        if sys.platform != "win32":
            return True
        return not is_link(entry.stat(follow_symlinks=False))
    except OSError:
        return False


def is_real_directory(path: Path) -> bool:
    """Tell whether *path* is a directory itself, and no link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_link(found: os.stat_result) -> bool:
    """Tell whether *found*, from an `lstat`, is a link: also a Windows junction, which leads elsewhere just the same."""
    if sys.platform == "win32" and found.st_reparse_tag == stat.IO_REPARSE_TAG_MOUNT_POINT:
        return True
    return stat.S_ISLNK(found.st_mode)


def looks_like_a_work_tree(directory: Path) -> bool:
    """Tell whether *directory* has a ``.git`` of its own that is a repository, or names one."""
    return git_directory(directory) is not None


def git_directory(directory: Path) -> Path | None:
    """Return the repository that ``.git`` in *directory* is or names; ``None`` where there is none that could be used."""
    inside = directory / ".git"
    if os.path.isfile(inside):
        try:
            text = os.fsdecode(inside.read_bytes())
        except OSError:
            return None
        if not text.startswith("gitdir: "):
            return None
        inside = directory / text.removeprefix("gitdir: ").rstrip("\r\n")
    return inside if is_git_directory(inside) else None


def is_git_directory(path: Path) -> bool:
    """Tell whether *path* has what git itself looks for in a repository."""
    common = path
    with suppress(OSError):
        common = path / os.fsdecode((path / "commondir").read_bytes()).strip()
    # These say no where they may not look; the methods of Path raise.
    has_head = os.path.isfile(path / "HEAD") or os.path.islink(path / "HEAD")
    return has_head and os.path.isdir(common / "objects") and os.path.isdir(common / "refs")
