"""Git's answers without git: the same list and the same facts, read by dulwich and by a walk of our own.

Invariant: for every work tree `DulwichListing` gives what `GitListing` gives, or refuses aloud. What git alone understands
(a split index, an unknown extension) is a `WorktreeError` that says so.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from synccore.errors import ErrorKind, WorktreeError
from synccore.gitfacts import MAX_DIRTY_PATHS, GitFacts
from synccore.ignore import RuleList, read_rules
from synccore.problem import Problem
from synccore.worktree.folder import is_directory, is_real_directory, looks_like_a_work_tree, read_directory
from synccore.worktree.gitindex import GitIndexEntry, GitIndexError, read_git_index
from synccore.worktree.listing import Ignoring, Listing, NotARepositoryError, Tracked, displayed
from synccore.worktree.origin import without_credentials

if TYPE_CHECKING:
    from dulwich.config import StackedConfig
    from dulwich.objects import Blob, ObjectID
    from dulwich.repo import Repo

_GITLINK = 0o160000
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
        self.entries: list[GitIndexEntry] = []
        self._skipped: dict[str, ObjectID] = {}
        self._read_index()
        self._directories = {self._key(directory) for path in self.tracked for directory in _above(path)}
        self._known = {self._key(path) for path in self.tracked}
        self._gitlinks = {self._key(path) for path, mode in self.tracked.items() if mode == _GITLINK}

    def close(self) -> None:
        """Let go of the repository's files."""
        self.repo.close()

    def _key(self, path: str) -> str:
        return path.lower() if self.ignores_case else path

    def _read_index(self) -> None:
        """Read what is tracked, each path once, with directories of a sparse list spelled out."""
        from dulwich.object_store import iter_tree_contents

        id_bytes = 32 if _value(self._config, (b"extensions",), b"objectformat") == b"sha256" else 20
        try:
            self.entries = read_git_index(Path(self.repo.index_path()), id_bytes=id_bytes)
        except GitIndexError as error:
            _refuse(self.root, str(error))
        for entry in self.entries:
            if stat.S_ISDIR(entry.mode):
                for below in iter_tree_contents(self.repo.object_store, _object_id(entry)):
                    inner = entry.path + _text(below.path)
                    self._track(inner, below.mode)
                    self._skipped[inner] = below.sha
            else:
                self._track(entry.path, entry.mode)
                if entry.skip_worktree:
                    self._skipped[entry.path] = _object_id(entry)

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

    def tracked_as(self, path: str) -> Tracked:
        """Return what *path* (relative to the root) is to the list of tracked files."""
        whole = self.prefix + path
        mode = self.tracked.get(whole)
        if mode is not None:
            return Tracked.REPOSITORY if mode == _GITLINK else Tracked.FILE
        return Tracked.DIRECTORY if self._key(whole) in self._directories else Tracked.NOT

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
            IgnoreSource(str(path), self._rules(data), 0)
            for path in candidates
            if (data := _read_if_file(path)) is not None
        )

    def _rules(self, data: bytes) -> RuleList:
        return RuleList(read_rules(data, ignore_case=self.ignores_case), ignore_case=self.ignores_case)

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
        return (*sources, IgnoreSource(name, self._rules(data), len(_bytes(prefix))))


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
        with closing(self._tree) as tree:
            return self._list(tree)

    def _list(self, tree: WorkTree) -> Listing:
        cut = len(tree.prefix)
        problems: list[Problem] = []
        found = tree.walk(ignored=self._left_out, problems=problems)
        tracked = {path: mode for path, mode in tree.tracked.items() if path.startswith(tree.prefix)}
        gitlinks = [path for path, mode in tracked.items() if mode == _GITLINK and is_real_directory(tree.top / path)]
        if not tracked and not found.untracked and not found.nested and tree.prefix and tree.root_is_ignored():
            raise NotARepositoryError("the repository around it ignores it")
        listing = Listing(path[cut:] for path in [*tracked.keys() - set(gitlinks), *found.untracked])
        listing.nested = [path[cut:] for path in [*gitlinks, *found.nested]]
        listing.problems = [Problem(problem.kind, problem.path[cut:] or ".", problem.detail) for problem in problems]
        if self._left_out:
            listing.left_out = [path[cut:] for path in found.ignored]
            listing.nested_left_out = [path[cut:] for path in found.nested_ignored]
        if not tree.trusts_disk:
            listing.executable = frozenset(path[cut:] for path in tree.executable & tracked.keys())
        return listing

    def drop(self) -> None:
        """Let go of the repository's files."""
        self._tree.close()


def open_rules(root: Path, *, nested: bool) -> WorkTree:
    """Open *root* to ask about single paths.

    Raises:
        NotARepositoryError: there is no repository, or it ignores *root*.
        WorktreeError: only git itself can read it.
    """
    tree = WorkTree(root, nested=nested)
    if tree.root_is_ignored() and not any(path.startswith(tree.prefix) for path in tree.tracked):
        tree.close()
        raise NotARepositoryError("the repository around it ignores it")
    return tree


def read_facts(root: Path) -> GitFacts:
    """Read the commit, branch and origin of *root*'s repository, and what differs from the commit below *root*.

    Raises:
        NotARepositoryError: there is no repository, or it ignores *root*.
        WorktreeError: only git itself can read it.
    """
    with closing(open_rules(root, nested=False)) as tree:
        return _facts(tree)


def _facts(tree: WorkTree) -> GitFacts:
    from dulwich.refs import Ref

    repo = tree.repo
    try:
        commit: bytes | None = repo.head()
    except KeyError:
        commit = None
    target = repo.refs.read_ref(Ref(b"HEAD")) or b""
    branch = target.removeprefix(b"ref: refs/heads/") if target.startswith(b"ref: refs/heads/") else None
    origin = _value(repo.get_config_stack(), (b"remote", b"origin"), b"url")
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
    committed = _committed(tree.repo, commit)
    normalize = tree.repo.get_blob_normalizer().checkin_normalize
    listed_ns = _modified_ns(Path(tree.repo.index_path()))
    for entry in tree.entries:
        if stat.S_ISDIR(entry.mode):
            continue
        is_staged = entry.stage or entry.intent_to_add or committed.get(entry.path) != (entry.mode, _object_id(entry))
        is_looked_at = not entry.assume_unchanged and not entry.skip_worktree
        if is_staged or (is_looked_at and _is_edited(tree, entry, listed_ns, normalize)):
            yield entry.path
    yield from committed.keys() - tree.tracked.keys()
    found = tree.walk(ignored=False, problems=[])
    yield from found.untracked
    yield from found.nested


def _is_edited(tree: WorkTree, entry: GitIndexEntry, listed_ns: int, normalize: Callable[[Blob, bytes], Blob]) -> bool:
    """Tell whether the disk has something else at *entry* than git's list says, as git itself tells.

    Another size than was listed is an edit, even where a conversion of line ends would undo it. No listed size is none.
    A file as new as the list may have changed in the same instant that it was listed, so its content is looked at.
    """
    from dulwich.objects import Blob

    path = tree.top / entry.path
    try:
        found = path.lstat()
        if entry.mode == _GITLINK:
            return not stat.S_ISDIR(found.st_mode) or _head(path) not in {None, _object_id(entry)}
        if _has_another_form(tree, entry, found):
            return True
        if entry.modified == divmod(found.st_mtime_ns, 10**9) and found.st_mtime_ns < listed_ns and entry.size_bytes:
            return False
        data = os.fsencode(path.readlink()) if stat.S_ISLNK(found.st_mode) else path.read_bytes()
    except OSError:
        return True
    blob = Blob.from_string(data)
    if not stat.S_ISLNK(found.st_mode):
        blob = normalize(blob, _bytes(entry.path))
    return blob.id != _object_id(entry)


def _has_another_form(tree: WorkTree, entry: GitIndexEntry, found: os.stat_result) -> bool:
    if stat.S_IFMT(found.st_mode) != stat.S_IFMT(entry.mode):
        return True
    if entry.size_bytes and entry.size_bytes != found.st_size % 2**32:
        return True
    return (
        tree.trusts_disk
        and not stat.S_ISLNK(found.st_mode)
        and bool(found.st_mode & stat.S_IXUSR) != bool(entry.mode & stat.S_IXUSR)
    )


def _head(directory: Path) -> bytes | None:
    """Return the commit that the repository in *directory* stands on; ``None`` where there is none."""
    from dulwich.errors import NotGitRepository
    from dulwich.repo import Repo

    try:
        with closing(Repo(str(directory))) as repo:
            return repo.head()
    except (NotGitRepository, KeyError):
        return None


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _committed(repo: Repo, commit: bytes | None) -> dict[str, tuple[int, bytes]]:
    """Return the mode and object of every path of *commit*."""
    from dulwich.object_store import iter_tree_contents
    from dulwich.objects import Commit

    found = repo[commit] if commit is not None else None
    if not isinstance(found, Commit):
        return {}
    return {_text(entry.path): (entry.mode, entry.sha) for entry in iter_tree_contents(repo.object_store, found.tree)}


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


def _value(config: StackedConfig, section: tuple[bytes, ...], name: bytes) -> bytes | None:
    try:
        return config.get(section, name)
    except KeyError:
        return None


def _object_id(entry: GitIndexEntry) -> ObjectID:
    from dulwich.objects import ObjectID

    return ObjectID(entry.object_id.hex().encode())


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
