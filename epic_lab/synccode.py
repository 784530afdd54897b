"""The use cases of synchronised code: from a configuration to the engine and back with a report.

Invariant: nothing here prints, asks or exits; each use case returns a `Run`, or raises a `LabError` or a `SyncError`. The engine
is imported by the use case that needs it, so that each command pays for itself alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from epic_lab.code_paths import CodePaths, code_paths, code_roots
from epic_lab.config import BASE_URL, CODE_BASE, REPOS, Config, RepoFolder, Store, is_store_name
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from synccore.progress import ProgressListener, ignore_progress

if TYPE_CHECKING:
    from synccore.backends.opening import Access
    from synccore.backends.recording import RecordingBackend
    from synccore.history import LogLine
    from synccore.look import Source
    from synccore.provenance import SnapshotId
    from synccore.prune import PruneReport
    from synccore.pullreport import PullReport
    from synccore.push import PushReport
    from synccore.status import SourceStatus, TreeStatus
    from synccore.store import Store as EngineStore
    from synccore.treecheck import TreeCheck
    from synccore.verify import VerifyReport
    from synccore.worktree.ahead import Ahead
    from synccore.worktree.explain import Explanation

DEADLINE_SECONDS = 30.0

# So many trees are looked at side by side; the others wait for their turn.
_MOST_AHEAD = 8

ReportT = TypeVar("ReportT")
ReportT_co = TypeVar("ReportT_co", covariant=True)


class Run(Generic[ReportT_co]):
    """What a use case did and what it cost.

    Args:
        report: the engine's own report.
        store: where the code is stored and whose it is.
        calls: how often the storage was asked, by kind; kinds that did not occur are not there.
        stored_bytes: how many bytes were put into the store.
        fetched_bytes: how many bytes came out of it.
        elapsed_seconds: from the opening of the store to the report.
    """

    def __init__(
        self,
        *,
        report: ReportT_co,
        store: Store,
        calls: Mapping[str, int],
        stored_bytes: int,
        fetched_bytes: int,
        elapsed_seconds: float,
    ) -> None:
        self.report = report
        self.store = store
        self.calls = calls
        self.stored_bytes = stored_bytes
        self.fetched_bytes = fetched_bytes
        self.elapsed_seconds = elapsed_seconds


class Explained(NamedTuple):
    """What became of one path of a repository."""

    repo: str
    explanation: Explanation


class Verified(NamedTuple):
    """What became of checking a store, and the trees beside it.

    Attributes:
        store: what was found in the store.
        trees: what was found in ``~/synccode``; nothing on a laptop.
    """

    store: VerifyReport
    trees: tuple[TreeCheck, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong; edits in a tree are not."""
        return not self.store.faults and all(tree.fault is None for tree in self.trees)


def access(lab: Lab, *, deadline_seconds: float = DEADLINE_SECONDS, keeps_tokens: bool = True) -> Access:
    """Return how this machine reaches storage, how long a call may keep its caller waiting, and whether a token is kept."""
    from synccore.backends.opening import Access

    environment = lab.environment
    return Access(
        deadline_seconds=deadline_seconds,
        emulator_host=environment.storage_emulator_host,
        credentials_file=environment.credentials_file,
        metadata_host=environment.gce_metadata_host,
        token_cache=lab.token_cache if keeps_tokens else None,
        address_cache=None if environment.has_proxies else lab.address_cache,
        has_proxies=environment.has_proxies,
    )


def select(config: Config, names: Sequence[str]) -> tuple[RepoFolder, ...]:
    """Return the configured repositories called *names*, each once, in the order asked for; all of them for no names.

    Raises:
        LabError: the configuration is wrong, or a name is not configured.
    """
    configured = {folder.repo: folder for folder in config.require_repos()}
    for name in names:
        if name not in configured:
            raise _unknown_repo(name, tuple(configured), config)
    return tuple(configured[name] for name in dict.fromkeys(names)) or tuple(configured.values())


def upload(
    lab: Lab,
    config: Config,
    *,
    names: Sequence[str] = (),
    force: bool = False,
    repair: bool = False,
    progress: ProgressListener = ignore_progress,
) -> Run[PushReport]:
    """Publish the working trees of the repositories called *names*, or of all.

    With *repair* everything of them is stored anew.

    Raises:
        LabError: the configuration is wrong, the store lies in a repository, this machine is no laptop, or a name is not
            configured.
        SyncError: as `synccore.push.push`.
    """
    _require_laptop(config, "upload")
    _require_store_outside(config)
    folders = _folders(config, names)
    with _opened(lab, config) as session, ExitStack() as begun:
        # The store is on its way to being reached: whatever takes its time comes from here on.
        ahead = _looking_ahead(lab, session, folders, config, begun)

        from synccore.push import push

        store = _engine_store(lab, session)
        sources = _sources(folders, config)
        return session.finish(push(sources, store=store, force=force, repair=repair, progress=progress, ahead=ahead))


def download(lab: Lab, config: Config, *, progress: ProgressListener = ignore_progress) -> Run[PullReport]:
    """Bring ``~/synccode`` to what the store has.

    Raises:
        LabError: the configuration is wrong, or the download would go into a laptop's own code.
        SyncError: as `synccore.pull.pull`.
    """
    _require_apart(lab, config)
    with _opened(lab, config) as session:
        from synccore.pull import pull

        report = pull(
            lab.code_home,
            user=session.store.username,
            backend=session.backend,
            store=session.backend.base_url,
            now_ns=time.time_ns,
            progress=progress,
        )
        return session.finish(report)


def delete(lab: Lab, config: Config, repo: str) -> Run[SnapshotId]:
    """Stop synchronising *repo* and report the last snapshot that it had.

    Raises:
        LabError: the configuration is wrong, or this machine is no laptop.
        NotFoundError: the store has no such repository.
        SyncError: as `synccore.delete.delete`.
    """
    _require_laptop(config, "delete")
    with _opened(lab, config) as session:
        from synccore.delete import delete as take_out

        return session.finish(take_out(repo, store=_engine_store(lab, session)))


def laptop_status(lab: Lab, config: Config) -> Run[tuple[SourceStatus, ...]]:
    """Compare a laptop's working trees with the store; neither is changed.

    Raises:
        LabError: the configuration is wrong.
        SyncError: as `synccore.status.source_status`.
    """
    folders = _folders(config, ())
    with _opened(lab, config) as session:
        from synccore.status import source_status

        return session.finish(source_status(_sources(folders, config), store=_engine_store(lab, session)))


def vm_status(lab: Lab, config: Config) -> Run[tuple[TreeStatus, ...]]:
    """Compare ``~/synccode`` with the store; neither is changed.

    Raises:
        LabError: the configuration is wrong.
        SyncError: as `synccore.status.tree_status`.
    """
    with _opened(lab, config) as session:
        from synccore.status import tree_status

        found = tree_status(
            lab.code_home, user=session.store.username, backend=session.backend, store=session.backend.base_url
        )
        return session.finish(found)


def require_deletable(config: Config, repo: str) -> None:
    """Check that this machine may delete *repo*, so that a question is asked only where the answer can be carried out.

    Raises:
        LabError: this machine is no laptop, its configuration is wrong, or *repo* cannot be a repository's name.
    """
    _require_laptop(config, "delete")
    config.require_store()
    if not is_store_name(repo):
        raise _unknown_repo(repo, tuple(folder.repo for folder in config.require_repos()), config)


def log(lab: Lab, config: Config, *, limit: int) -> Run[tuple[LogLine, ...]]:
    """Return the last *limit* uploads, newest first.

    Raises:
        LabError: the configuration is wrong.
        SyncError: as `synccore.history.log`.
    """
    with _opened(lab, config) as session:
        from synccore import history

        return session.finish(history.log(session.store.username, session.backend, limit=limit))


def verify(
    lab: Lab, config: Config, *, quick: bool = False, progress: ProgressListener = ignore_progress
) -> Run[Verified]:
    """Check everything that the store has of this user, and on a VM the trees in ``~/synccode`` too; nothing is changed.

    Raises:
        LabError: the configuration is wrong.
        SyncError: as `synccore.verify.verify`.
    """
    with _opened(lab, config) as session:
        from synccore.treecheck import check_trees
        from synccore.verify import verify as check

        user, backend = session.store.username, session.backend
        found = check(user, backend, quick=quick, progress=progress)
        trees = () if config.is_laptop else check_trees(lab.code_home, user=user, store=backend.base_url)
        return session.finish(Verified(found, trees))


def prune(
    lab: Lab, config: Config, *, dry_run: bool = False, progress: ProgressListener = ignore_progress
) -> Run[PruneReport]:
    """Delete what neither the newest code nor the history that is kept needs.

    Raises:
        LabError: the configuration is wrong.
        SyncError: as `synccore.prune.prune`.
    """
    with _opened(lab, config) as session:
        from synccore.prune import prune as delete_unneeded

        user = session.store.username
        return session.finish(delete_unneeded(user, session.backend, dry_run=dry_run, progress=progress))


def paths(lab: Lab) -> CodePaths:
    """Return what this machine's repositories put on Python's path; a VM needs no configuration for that.

    Raises:
        LabError: a laptop's configuration is wrong, or there is neither a configuration nor any code.
    """
    try:
        config = lab.config()
    except LabError as error:
        if error.kind is not LabErrorKind.NO_CONFIGURATION:
            raise
        found = code_paths(code_roots(None, lab.code_home))
        if not found.paths:
            raise
        return found
    return code_paths(code_roots(config, lab.code_home))


def explain(config: Config, path: Path) -> Explained:
    """Say which rule takes *path* along in an upload, or leaves it out.

    Raises:
        LabError: *path* lies in none of the configured repositories, this machine is no laptop, or the configuration is
            wrong.
        SyncError: as `synccore.worktree.explain.explain`.
    """
    _require_laptop(config, "explain")
    folder, relative = _containing(config, path)
    exclusion = config.exclusion()

    from synccore.worktree.explain import explain

    return Explained(folder.repo, explain(folder.root, relative, exclusion=exclusion))


class _Session(NamedTuple):
    """An open store and the clock that began with it."""

    store: Store
    backend: RecordingBackend
    began: float

    def finish(self, report: ReportT) -> Run[ReportT]:
        return Run(
            report=report,
            store=self.store,
            calls=dict(self.backend.calls),
            stored_bytes=self.backend.bytes_written,
            fetched_bytes=self.backend.bytes_read,
            elapsed_seconds=time.perf_counter() - self.began,
        )


@contextmanager
def _opened(lab: Lab, config: Config) -> Iterator[_Session]:
    """Open the configured store for as long as the context lasts."""
    began = time.perf_counter()
    store = config.require_store()

    from synccore.backends.opening import open_backend

    opened = open_backend(store.base_url, access=access(lab), begin=True)

    from synccore.backends.recording import RecordingBackend

    backend = RecordingBackend(opened)
    try:
        backend.warm()
        yield _Session(store, backend, began)
    finally:
        backend.close()


def _folders(config: Config, names: Sequence[str]) -> Sequence[RepoFolder]:
    """Return the folders that *names* mean, all of which are there."""
    folders = select(config, names)
    for folder in folders:
        if not folder.root.is_dir():
            raise _missing_repo(folder, config)
    return folders


def _sources(folders: Sequence[RepoFolder], config: Config) -> list[Source]:
    exclusion = config.exclusion()

    from synccore.look import Source

    return [Source(repo=folder.repo, root=folder.root, exclusion=exclusion) for folder in folders]


def _looking_ahead(
    lab: Lab, session: _Session, folders: Sequence[RepoFolder], config: Config, begun: ExitStack
) -> dict[str, Ahead]:
    """Begin to look at the first of *folders*; what still runs ends with *begun*."""
    from synccore.worktree.ahead import Ahead, stat_cache_path

    memory, exclusion = _memory(lab, session), config.exclusion()
    return {
        it.repo: begun.enter_context(Ahead(it.root, exclusion, stat_cache_path(memory, it.repo)))
        for it in folders[:_MOST_AHEAD]
    }


def _memory(lab: Lab, session: _Session) -> Path:
    """Return the folder of what this machine remembers of its uploads: each store and user has one of its own."""
    from hashlib import sha256

    name = sha256(f"{session.backend.base_url} {session.store.username}".encode()).hexdigest()[:16]
    return lab.ensure_state_dir() / "stores" / name


def _engine_store(lab: Lab, session: _Session) -> EngineStore:
    """Say where this machine's uploads go and what it remembers of them."""
    import socket

    from synccore.backends.patience import Patience
    from synccore.provenance import Author
    from synccore.store import Store as EngineStore
    from synccore.worktree.laptop import LaptopState

    user = session.store.username
    return EngineStore(
        backend=session.backend,
        user=user,
        state=LaptopState(_memory(lab, session)),
        author=Author(user=user, host=socket.gethostname()),
        now_ns=time.time_ns,
        patience=Patience(deadline_seconds=DEADLINE_SECONDS),
    )


def _require_laptop(config: Config, verb: str) -> None:
    if not config.is_laptop:
        raise LabError(
            LabErrorKind.WRONG_MACHINE,
            f"{verb} is for laptops, and {config.path} does not name any {REPOS.name}, as a VM's configuration does not",
            hint="On a VM the code arrives with `epic-synccode download` and at each kernel start. On a laptop add to "
            f"{config.path}, for example:\n  {CODE_BASE.name}={CODE_BASE.example}\n  {REPOS.name}={REPOS.example}",
            file=config.path,
            key=REPOS.name,
        )


def _require_apart(lab: Lab, config: Config) -> None:
    """Refuse a download whose folder holds a laptop's own code, or lies within it."""
    if not config.is_laptop:
        return
    home = lab.code_home.resolve()
    for folder in config.require_repos():
        root = folder.root.resolve()
        if home in (root, *root.parents) or root in home.parents:
            raise LabError(
                LabErrorKind.OVERLAPPING_FOLDERS,
                f"a download into {lab.code_home} would overwrite this laptop's own {folder.repo} at {folder.root}",
                hint=f"This laptop uploads; VMs download. To have a copy here too, set {CODE_BASE.name} in {config.path} "
                f"to a folder outside {lab.code_home}.",
                path=folder.root,
                key=CODE_BASE.name,
            )


def _require_store_outside(config: Config) -> None:
    """Refuse a store in a directory of one of the repositories: each upload would carry what the ones before have stored."""
    from synccore.backends.opening import directory_of

    store = directory_of(config.require_store().base_url)
    if store is None:
        return
    store = store.resolve()
    for folder in config.require_repos():
        if folder.root.resolve() in (store, *store.parents):
            raise LabError(
                LabErrorKind.OVERLAPPING_FOLDERS,
                f"the store {store} lies in the repository {folder.repo} at {folder.root}: an upload would carry the store itself",
                hint=f"Set {BASE_URL.name} in {config.path} to a folder outside the repositories.",
                path=store,
                key=BASE_URL.name,
            )


def _containing(config: Config, path: Path) -> tuple[RepoFolder, Path]:
    """Return the configured repository in which *path* lies, the innermost of several, and the path within it.

    The last component of *path* is not followed, should it be a link.

    Raises:
        LabError: it lies in none, or the configuration is wrong.
    """
    folders = config.require_repos()
    try:
        whole = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute() keeps "..", and a link must not be followed
    except FileNotFoundError as error:
        raise LabError(
            LabErrorKind.OUTSIDE_REPOS,
            f"{path} cannot be found from the current folder, which exists no longer",
            hint="Change to a folder that exists, or give the whole path.",
            path=path,
        ) from error
    for spelling in (whole, whole.parent.resolve() / whole.name):
        for folder in sorted(folders, key=lambda folder: len(folder.root.parts), reverse=True):
            for root in (folder.root, folder.root.resolve()):
                if root == spelling or root in spelling.parents:
                    return folder, spelling.relative_to(root)
    raise LabError(
        LabErrorKind.OUTSIDE_REPOS,
        f"{path} lies in none of the configured repositories",
        hint="They are:\n" + "\n".join(f"  {folder.root}" for folder in folders),
        path=path,
        configured=[folder.repo for folder in folders],
    )


def _missing_repo(folder: RepoFolder, config: Config) -> LabError:
    from difflib import get_close_matches

    base = folder.root.parent
    nearest = get_close_matches(folder.repo, [path.name for path in base.iterdir() if path.is_dir()], n=1)
    did_you_mean = f"Did you mean {nearest[0]}? " if nearest else ""
    return LabError(
        LabErrorKind.MISSING_REPO,
        f"repository {folder.repo}: expected its folder at {folder.root}, but there is none; nothing was uploaded",
        hint=f"{did_you_mean}Correct {REPOS.name} in {config.path}, or bring the folder back. "
        f"`epic-synccode delete {folder.repo}` stops synchronising it.",
        repo=folder.repo,
        path=folder.root,
        nearest=nearest[0] if nearest else None,
    )


def _unknown_repo(name: str, configured: tuple[str, ...], config: Config) -> LabError:
    from difflib import get_close_matches

    in_another_case = [repo for repo in configured if repo.casefold() == name.casefold()]
    nearest = in_another_case or get_close_matches(name, configured, n=1)
    did_you_mean = f"Did you mean {nearest[0]}? " if nearest else ""
    return LabError(
        LabErrorKind.UNKNOWN_REPO,
        f"repository {name!r} is not configured; {REPOS.name} in {config.path} names: {', '.join(configured)}",
        hint=f"{did_you_mean}To synchronise another repository add its name to {REPOS.name}.",
        repo=name,
        configured=list(configured),
        nearest=nearest[0] if nearest else None,
    )
