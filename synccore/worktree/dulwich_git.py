"""Git's answers without git: the same list and the same facts, read by dulwich and by a walk of our own.

Invariant: for every work tree `DulwichListing` gives what `GitListing` gives, or refuses aloud. What git alone understands
(a split index, an unknown extension) is a `WorktreeError` that says so.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from synccore.errors import ErrorKind, WorktreeError
from synccore.gitfacts import MAX_DIRTY_PATHS, GitFacts
from synccore.ignore import RuleList, read_rules
from synccore.problem import Problem
from synccore.worktree.folder import is_directory, is_real_directory, looks_like_a_work_tree, read_directory
from synccore.worktree.listing import Listing, NotARepositoryError, displayed
from synccore.worktree.origin import without_credentials

if TYPE_CHECKING:
    from dulwich.config import StackedConfig
    from dulwich.index import ConflictedIndexEntry, IndexEntry
    from dulwich.objects import ObjectID
    from dulwich.repo import Repo

_GITLINK = 0o160000
_ASSUME_UNCHANGED = 0x8000
_SKIP_WORKTREE = 0x4000
_ANY_EXECUTE = 0o111


@dataclass(frozen=True, slots=True)
class IgnoreSource:
    """A file with ignore rules, and the directory that they are relative to.

    Attributes:
        name: the file, for people.
        rules: what it says.
        below: how many bytes of a path, from the top of the work tree, come before what the rules see.
    """

    name: str
    rules: RuleList
    below: int


@dataclass(frozen=True, slots=True)
class Ignoring:
    """The rule that makes git ignore a path.

    Attributes:
        source: the file that the rule stands in, for people.
        line: its line there.
        text: the line as written.
    """

    source: str
    line: int
    text: str


@dataclass(slots=True)
class _Found:
    """What a walk of a work tree below some directory finds, relative to the top."""

    untracked: list[str]
    ignored: list[str]
    nested: list[str]
    nested_ignored: list[str]


class WorkTree:
    """A git work tree, opened for reading.

    Args:
        root: a directory in it.
        nested: whether it must be the top itself.

    Raises:
        NotARepositoryError: there is no repository at or above *root*.
        WorktreeError: only git itself can read this repository.
    """

    def __init__(self, root: Path, *, nested: bool) -> None:
        top = root if nested else next(filter(looks_like_a_work_tree, (root, *root.parents)), None)
        if top is None:
            raise NotARepositoryError(f"no repository at {root}")
        self.root = root
        self.top = top
        self.prefix = "" if top == root else root.relative_to(top).as_posix() + "/"
        self.repo = _open(root, top)
        self._config = self.repo.get_config_stack()
        self.ignores_case = _flag(self._config, b"ignorecase", default=False)
        self.trusts_disk = sys.platform != "win32" and _flag(self._config, b"filemode", default=True)
        self.tracked: dict[str, int] = {}
        self.executable: set[str] = set()
        self.unseen: set[str] = set()
        self._skipped: dict[str, ObjectID] = {}
        self._read_index()
        self._directories = {self._key(directory) for path in self.tracked for directory in _above(path)}
        self._known = {self._key(path) for path in self.tracked}
        self._gitlinks = {self._key(path) for path, mode in self.tracked.items() if mode == _GITLINK}

    def _key(self, path: str) -> str:
        return path.lower() if self.ignores_case else path

    def _read_index(self) -> None:
        """Read what is tracked, each path once, with directories of a sparse list spelled out."""
        from dulwich.index import ConflictedIndexEntry
        from dulwich.object_store import iter_tree_contents

        if next(Path(self.repo.controldir()).glob("sharedindex.*"), None) is not None:
            _refuse(self.root, "its list of files is split (core.splitIndex)")
        for name, entry in self._index_items():
            path = _text(name)
            if isinstance(entry, ConflictedIndexEntry):
                for side in (entry.ancestor, entry.this, entry.other):
                    if side is not None:
                        self._track(path, side.mode)
            elif stat.S_ISDIR(entry.mode):
                for below in iter_tree_contents(self.repo.object_store, entry.sha):
                    inner = path.rstrip("/") + "/" + _text(below.path)
                    self._track(inner, below.mode)
                    self._skipped[inner] = below.sha
            else:
                self._track(path, entry.mode)
                if entry.extended_flags & _SKIP_WORKTREE:
                    self._skipped[path] = entry.sha
                if entry.flags & _ASSUME_UNCHANGED:
                    self.unseen.add(path)
        self.unseen.update(self._skipped)

    def _index_items(self) -> list[tuple[bytes, IndexEntry | ConflictedIndexEntry]]:
        from dulwich.index import Index

        try:
            return list(Index(self.repo.index_path()).items())
        except Exception as error:  # noqa: BLE001 - dulwich has no common class for what it cannot read
            _refuse(self.root, f"its list of files is not readable: {error}")

    def _track(self, path: str, mode: int) -> None:
        self.tracked[path] = mode
        if mode != _GITLINK and mode & _ANY_EXECUTE:
            self.executable.add(path)

    def walk(self, *, ignored: bool, problems: list[Problem]) -> _Found:
        """Walk the disk below the root for what is not tracked.

        Args:
            ignored: whether ignored paths are wanted too; if not, ignored directories are not even looked at.
            problems: where unreadable directories are added.
        """
        found = _Found([], [], [], [])
        sources, is_ignored = self._sources_above()
        waiting = [(self.prefix, sources, is_ignored)]
        while waiting:
            prefix, sources, is_ignored = waiting.pop()
            if not is_ignored:
                sources = self._with_ignore_file(prefix, sources)
            for entry in read_directory(self.top, prefix, problems):
                path = prefix + entry.name
                is_dir = is_directory(entry)
                if self._key(entry.name) == ".git" or (not is_dir and not self._is_new(path, entry)):
                    continue
                hidden = is_ignored or _decide(sources, path, is_dir=is_dir) is not None
                if not is_dir:
                    (found.ignored if hidden else found.untracked).append(path)
                elif self._is_nested(path):
                    if self._key(path) not in self._gitlinks:
                        (found.nested_ignored if hidden else found.nested).append(path)
                elif ignored or not hidden or self._key(path) in self._directories:
                    waiting.append((path + "/", sources, hidden))
        return found

    def _is_new(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Tell whether *path*, no directory, is something that git would call untracked."""
        return self._key(path) not in self._known and _is_file_or_link(entry)

    def _is_nested(self, path: str) -> bool:
        """Tell whether the directory *path* is a repository of its own to this one: not if this one tracks files in it."""
        key = self._key(path)
        return key not in self._directories and (key in self._gitlinks or looks_like_a_work_tree(self.top / path))

    def ignoring(self, path: str) -> Ignoring | None:
        """Return the rule that makes git ignore *path* (relative to the root), or ``None``; tracked paths are not looked at."""
        parts = (self.prefix + path).split("/")
        sources = self._standing_sources()
        for depth in range(len(parts)):
            above = "/".join(parts[:depth])
            sources = self._with_ignore_file(above + "/" if above else "", sources)
            whole = "/".join(parts[: depth + 1])
            decision = _decide(sources, whole, is_dir=depth + 1 < len(parts) or is_real_directory(self.top / whole))
            if decision is not None:
                return decision
        return None

    def _sources_above(self) -> tuple[tuple[IgnoreSource, ...], bool]:
        """Return the rules that stand above the root, and whether they ignore it."""
        sources = self._standing_sources()
        above = ""
        for part in self.prefix.split("/")[:-1]:
            sources = self._with_ignore_file(above, sources)
            if _decide(sources, above + part, is_dir=True) is not None:
                return sources, True
            above += part + "/"
        return sources, False

    def root_is_ignored(self) -> bool:
        """Tell whether the repository around the root ignores it."""
        return self._sources_above()[1]

    def _standing_sources(self) -> tuple[IgnoreSource, ...]:
        """Return the rules that hold for the whole work tree, the weakest first."""
        from dulwich.ignore import default_user_ignore_filter_path

        mine = os.path.expanduser(default_user_ignore_filter_path(self._config))
        candidates = [Path(self.repo.commondir()) / "info" / "exclude"]
        if mine:
            candidates.insert(0, self.top / mine)
        return tuple(
            IgnoreSource(str(path), RuleList(read_rules(data), ignore_case=self.ignores_case), 0)
            for path in candidates
            if (data := _read_if_file(path)) is not None
        )

    def _with_ignore_file(self, prefix: str, sources: tuple[IgnoreSource, ...]) -> tuple[IgnoreSource, ...]:
        """Return *sources* and the rules of ``.gitignore`` in *prefix*, if it has one.

        As in git a linked ``.gitignore`` is none, and one that a sparse checkout leaves away counts as if it were there.
        """
        name = prefix + ".gitignore"
        data = _read_if_file(self.top / name, follow=False)
        if data is None and name in self._skipped and not (self.top / name).exists():
            data = self.repo.object_store[self._skipped[name]].as_raw_string()
        if not data:
            return sources
        rules = RuleList(read_rules(data), ignore_case=self.ignores_case)
        return (*sources, IgnoreSource(name, rules, len(_bytes(prefix))))


class DulwichListing:
    """Git's list of one work tree, made without git; the arguments are those of `GitListing`."""

    __slots__ = ("_left_out", "_tree")

    def __init__(self, root: Path, *, left_out: bool, nested: bool) -> None:
        self._tree = WorkTree(root, nested=nested)
        self._left_out = left_out

    def finish(self) -> Listing:
        """Walk the tree and return its list.

        Raises:
            NotARepositoryError: the repository around the root ignores it.
        """
        tree = self._tree
        cut = len(tree.prefix)
        problems: list[Problem] = []
        found = tree.walk(ignored=self._left_out, problems=problems)
        tracked = {path: mode for path, mode in tree.tracked.items() if path.startswith(tree.prefix)}
        gitlinks = [path for path, mode in tracked.items() if mode == _GITLINK and is_real_directory(tree.top / path)]
        if not tracked and not found.untracked and not found.nested and tree.prefix and tree.root_is_ignored():
            raise NotARepositoryError("the repository around it ignores it")
        listing = Listing(
            taken=[path[cut:] for path in [*tracked.keys() - set(gitlinks), *found.untracked]],
            nested=[path[cut:] for path in [*gitlinks, *found.nested]],
            problems=[Problem(problem.kind, problem.path[cut:] or ".", problem.detail) for problem in problems],
        )
        if self._left_out:
            listing.left_out = [path[cut:] for path in found.ignored]
            listing.nested_left_out = [path[cut:] for path in found.nested_ignored]
        if not tree.trusts_disk:
            listing.executable = frozenset(path[cut:] for path in tree.executable & tracked.keys())
        return listing


def read_facts(root: Path) -> GitFacts:
    """Read the commit, branch and origin of *root*'s repository, and what differs from the commit below *root*.

    Raises:
        NotARepositoryError: there is no repository, or it ignores *root*.
        WorktreeError: only git itself can read it.
    """
    from dulwich.refs import Ref

    tree = WorkTree(root, nested=False)
    if tree.root_is_ignored() and not any(path.startswith(tree.prefix) for path in tree.tracked):
        raise NotARepositoryError("the repository around it ignores it")
    repo = tree.repo
    try:
        commit: bytes | None = repo.head()
    except KeyError:
        commit = None
    target = repo.refs.read_ref(Ref(b"HEAD")) or b""
    branch = target.removeprefix(b"ref: refs/heads/") if target.startswith(b"ref: refs/heads/") else None
    try:
        origin: bytes | None = repo.get_config_stack().get((b"remote", b"origin"), b"url")
    except KeyError:
        origin = None
    cut = len(tree.prefix)
    dirty = sorted({path[cut:] for path in _dirty(tree, commit) if path.startswith(tree.prefix)})
    return GitFacts(
        commit=commit.decode() if commit else None,
        branch=displayed(_text(branch)) if branch else None,
        origin=without_credentials(displayed(_text(origin))) if origin else None,
        dirty=tuple(displayed(path) for path in dirty[:MAX_DIRTY_PATHS]),
        dirty_count=len(dirty),
    )


def _dirty(tree: WorkTree, commit: bytes | None) -> Iterator[str]:
    """Yield the paths, from the top, that differ from *commit* in git's list or on the disk."""
    from dulwich.index import ConflictedIndexEntry, Index, get_unstaged_changes

    repo = tree.repo
    committed = _committed(repo, commit)
    index = Index(repo.index_path())
    for name, entry in index.items():
        if isinstance(entry, ConflictedIndexEntry) or (
            not stat.S_ISDIR(entry.mode) and committed.get(name) != (entry.mode, entry.sha)
        ):
            yield _text(name)
    yield from {_text(name) for name in committed}.difference(tree.tracked)
    normalizer = repo.get_blob_normalizer()
    for name in get_unstaged_changes(index, str(tree.top), normalizer.checkin_normalize):
        path = _text(name)
        if path not in tree.unseen and path in tree.tracked:
            yield path
    found = tree.walk(ignored=False, problems=[])
    yield from found.untracked
    yield from found.nested


def _committed(repo: Repo, commit: bytes | None) -> dict[bytes, tuple[int, bytes]]:
    """Return the mode and object of every path of *commit*."""
    from dulwich.object_store import iter_tree_contents
    from dulwich.objects import Commit

    found = repo[commit] if commit is not None else None
    if not isinstance(found, Commit):
        return {}
    return {entry.path: (entry.mode, entry.sha) for entry in iter_tree_contents(repo.object_store, found.tree)}


def _open(root: Path, top: Path) -> Repo:
    from dulwich.repo import Repo

    try:
        return Repo(str(top))
    except Exception as error:  # noqa: BLE001 - dulwich has no common class for what it cannot read
        _refuse(root, str(error))


def _refuse(root: Path, reason: str) -> NoReturn:
    raise WorktreeError(
        ErrorKind.WORKTREE,
        f"cannot read the repository of {root} without git: {reason}; install git to go on",
        path=str(root),
        reason=reason,
    )


def _flag(config: StackedConfig, name: bytes, *, default: bool) -> bool:
    try:
        return bool(config.get_boolean((b"core",), name, default))
    except ValueError:
        return default


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _above(path: str) -> Iterator[str]:
    """Yield every directory that *path* lies in, the deepest first."""
    above = path.rpartition("/")[0]
    while above:
        yield above
        above = above.rpartition("/")[0]


def _decide(sources: tuple[IgnoreSource, ...], path: str, *, is_dir: bool) -> Ignoring | None:
    """Return the rule that ignores *path* itself: of the strongest source with a match, its last one, unless negated."""
    whole = _bytes(path)
    for source in reversed(sources):
        number = source.rules.last_match(whole[source.below :], is_dir=is_dir)
        if number >= 0:
            rule = source.rules.rules[number]
            return None if rule.negated else Ignoring(source.name, rule.line, rule.text)
    return None


def _is_file_or_link(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() or entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def _read_if_file(path: Path, *, follow: bool = True) -> bytes | None:
    """Read *path*; ``None`` where it is no file that can be read."""
    try:
        mode = (path.stat() if follow else path.lstat()).st_mode
        return path.read_bytes() if stat.S_ISREG(mode) else None
    except (OSError, ValueError):
        return None
