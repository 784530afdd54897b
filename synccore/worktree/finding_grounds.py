"""Finding out what git's list of a tree has followed from (`synccore.worktree.grounds`), once git has made it.

Invariant: what is named here, and the directories above what was chosen, are all that git looks at for its list; where that cannot be said
there are no grounds.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from synccore.errors import SyncError
from synccore.worktree.git import GitListing, Question, is_surely_the_top
from synccore.worktree.grounds import Grounds, circumstances
from synccore.worktree.listing import NoGitProgramError, NotARepositoryError

# What git reads in each repository, or would if it were there.
_OF_REPOSITORY = (".git/index", ".git/info/exclude", ".git/config", ".git/config.worktree", ".synccodeignore")

# A tree with more of these than that has an answer from git at each look.
_MOST_UNTRACKED = 1024
_MOST_DIRECTORIES = 4096

# Where a directory's times are known to change with what is in it.
_SOUND = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "reiserfs", "tmpfs", "xfs", "zfs"}
)

# A directory has a link to itself, the name above it, and, on file systems that count so, the `..` of each directory in it.
_OWN_LINKS = 2


class _NoGroundsError(Exception):
    """There is something that cannot be watched."""


def find_grounds(root: Path, exclusion: str | None, directories: Sequence[str], listing: GitListing) -> Grounds | None:
    """Return the grounds of git's list of *root*; ``None`` where there may be others.

    Args:
        root: the top of the tree.
        exclusion: as for the selection.
        directories: those above what was chosen that are there, in order, the root among them.
        listing: git's list, which stands alone.
    """
    try:
        if listing.asks_for_left_out or not is_surely_the_top(root) or not _is_sound(root):
            return None
        untracked = listing.untracked()
        if len(untracked) > _MOST_UNTRACKED:
            return None
        names = _Finding(root).names(directories, untracked)
        "\0".join(chain(names, untracked)).encode()
    except (_NoGroundsError, NoGitProgramError, NotARepositoryError, SyncError, OSError, UnicodeEncodeError):
        return None
    return Grounds(names, circumstances(exclusion), listing.count(), tuple(sorted(untracked)))


class _Finding:
    """What git reads, and where it looks, of the work tree whose top is *root*.

    Raises:
        NoGitProgramError: git is not installed.
        WorktreeError: it cannot be run.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._base = os.path.join(root, "")
        self._device = root.stat().st_dev
        # With what it includes.
        self._configuration = Question(root, "config", "--list", "--show-origin", "--includes", "-z")

    def names(self, directories: Sequence[str], untracked: Iterable[str]) -> tuple[str, ...]:
        """Return all of it but *directories*; git does not track what is *untracked*."""
        try:
            beside = list(self._directories_beside(directories))
            self._find_no_repository({*beside, *_above(untracked)})
            rules = list(self._rule_files(chain(directories, beside)))
            read = list(self._configuration_files())
        finally:
            self._configuration.drop()
        return tuple(dict.fromkeys(filter(None, chain(read, beside, rules, self._behind_links(chain(read, rules))))))

    def _configuration_files(self) -> Iterator[str]:
        """Yield every file that git reads of a repository, or for its user and this machine, or would read if it were there."""
        yield from _OF_REPOSITORY
        yield from (os.environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"), os.environ.get("GIT_CONFIG_GLOBAL", ""))
        for_user = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        excludes = f"{for_user}/git/ignore"
        yield from (f"{for_user}/git/config", os.path.expanduser("~/.gitconfig"))
        fields = self._configuration.answer()[0].split("\0")[:-1]
        for origin, entry in zip(fields[::2], fields[1::2], strict=True):
            kind, _, file = origin.partition(":")
            key, _, value = entry.partition("\n")
            if kind == "file":
                yield file
            if key == "core.excludesfile":
                excludes = _expanded(value, "")
            elif key == "include.path" or (key.startswith("includeif.") and key.endswith(".path")):
                yield _expanded(value, os.path.dirname(file) if kind == "file" else "")
                # By `onbranch` it is included on some branches only.
                yield ".git/HEAD"
        if excludes:
            yield excludes

    def _directories_beside(self, known: Sequence[str]) -> Iterator[str]:
        """Yield the directories, other than those *known*, that git looks into: what it ignores it does not."""
        there = set(known)
        below = Counter(name.rpartition("/")[0] or "." for name in known if name != ".")
        counts_links = self._counts_links()
        found = [
            name
            for directory in known
            if self._links(directory) != _OWN_LINKS + below[directory] + (directory == ".") or not counts_links
            for name in self._directories_in(directory)
            if name not in there
        ]
        total = 0
        while found:
            total += len(found)
            if total > _MOST_DIRECTORIES:
                raise _NoGroundsError
            looked_into = self._not_ignored(found)
            yield from looked_into
            for directory in looked_into:
                self._links(directory)
            found = [name for directory in looked_into for name in self._directories_in(directory)]

    def _counts_links(self) -> bool:
        """Tell whether the root, which has at least ``.git`` in it, has a link for each directory in it: then there need not be looked into all others."""
        inside = sum(1 for _ in self._directories_in(".")) + 1
        return self._links(".") == _OWN_LINKS + inside

    def _links(self, directory: str) -> int:
        found = os.lstat(self._base + directory)
        if found.st_dev != self._device:
            raise _NoGroundsError
        return found.st_nlink

    def _directories_in(self, directory: str) -> Iterator[str]:
        prefix = "" if directory == "." else f"{directory}/"
        with os.scandir(self._base + directory) as entries:
            for entry in entries:
                is_repository = not prefix and entry.name.casefold() == ".git"
                if entry.is_dir(follow_symlinks=False) and not is_repository:
                    yield prefix + entry.name

    def _not_ignored(self, directories: list[str]) -> list[str]:
        """Return those of *directories* that git does not ignore."""
        given = "".join(f"./{name}/\0" for name in directories)
        question = Question(self._root, "check-ignore", "-v", "-z", "--stdin", given=given)
        code, out, _ = question.outcome()
        if code not in {0, 1}:
            raise _NoGroundsError
        fields = out.split("\0")[:-1]
        # A rule with a `!` has the last word as well, and says the opposite.
        ignored = {path for rule, path in zip(fields[2::4], fields[3::4], strict=True) if not rule.startswith("!")}
        return [name for name in directories if f"./{name}/" not in ignored]

    def _rule_files(self, directories: Iterable[str]) -> Iterator[str]:
        """Yield the ``.gitignore`` of each of *directories* that has one; that one comes or goes the directory says."""
        for directory in directories:
            name = ".gitignore" if directory == "." else f"{directory}/.gitignore"
            if os.path.lexists(self._base + name):
                yield name

    def _find_no_repository(self, directories: Iterable[str]) -> None:
        """Stop if one of *directories* is the top of a repository, or may become one elsewhere.

        In a directory with files that it tracks git takes no notice of that; of 5,094 such ones it takes 20 ms to ask the disk.
        """
        for directory in directories:
            if directory != "." and os.path.lexists(f"{self._base}{directory}/.git"):
                raise _NoGroundsError

    def _behind_links(self, names: Iterable[str]) -> Iterator[str]:
        """Yield what those of *names* that are links lead to."""
        for name in names:
            path = os.path.join(self._base, name)
            try:
                if stat.S_ISLNK(os.lstat(path).st_mode):
                    yield os.path.realpath(path)
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
                    raise


def _above(paths: Iterable[str]) -> set[str]:
    """Return the directories above *paths* but for the root."""
    above: set[str] = set()
    for path in paths:
        directory = path.rpartition("/")[0]
        while directory and directory not in above:
            above.add(directory)
            directory = directory.rpartition("/")[0]
    return above


def _expanded(path: str, beside: str) -> str:
    """Return *path* as git understands it in a file in the directory *beside*."""
    if not path:
        return ""
    expanded = os.path.expanduser(path)
    if expanded.startswith(("~", "%")) or not (beside or os.path.isabs(expanded)):
        raise _NoGroundsError
    return os.path.join(beside, expanded)


def _is_sound(root: Path) -> bool:
    """Tell whether the file system at *root* is known to change a directory's times with the names in it."""
    with suppress(OSError):
        if sys.platform == "darwin":
            # What the system itself is on does; what is mounted beside it may be of another system.
            return root.stat().st_dev == Path.home().stat().st_dev
        if sys.platform == "linux":
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
                return _kind_of_mount(os.path.realpath(root), mounts) in _SOUND
    return False


def _kind_of_mount(path: str, mounts: Iterable[str]) -> str:
    """Return the kind of file system that *path* is on, by the lines of ``/proc/self/mountinfo``, of which later ones hide earlier ones."""
    longest, kind = -1, ""
    for line in mounts:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = point if point.endswith("/") else f"{point}/"
        if f"{path}/".startswith(inside) and len(inside) >= longest:
            longest, kind = len(inside), after.split(" ")[0]
    return kind
