"""The use cases of synchronised code: from a configuration to the engine and back with a report.

Invariant: nothing here prints, asks or exits; each use case returns a `Run`, or raises a `LabError` or a `SyncError`. The engine
is imported by the use case that needs it, so that each command pays for itself alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from epic_lab import repos
from epic_lab.code_paths import CodePaths, code_paths, code_roots
from epic_lab.config import Config, RepoFolder, Store, is_store_name
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from synccore.progress import ProgressListener, ignore_progress

if TYPE_CHECKING:
    from synccore.asking_head import AskingHead
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
    repos.require_laptop(config, "upload")
    repos.require_store_outside(config)
    folders = repos.folders(config, names)
    with _opened(lab, config) as session, ExitStack() as begun:
        # The store is on its way to being reached: whatever takes its time comes from here on.
        ahead = _looking_ahead(lab, session, folders, config, begun)
        store = _engine_store(lab, session)
        asking_head = _asking_head(store, [ahead.get(folder.repo) for folder in folders], repair=repair)
        for look in ahead.values():
            look.begin_list()

        from synccore.push import push

        report = push(
            _sources(folders, config),
            store=store,
            force=force,
            repair=repair,
            progress=progress,
            ahead=ahead,
            asking_head=asking_head,
        )
        return session.finish(report)


def download(lab: Lab, config: Config, *, progress: ProgressListener = ignore_progress) -> Run[PullReport]:
    """Bring ``~/synccode`` to what the store has.

    Raises:
        LabError: the configuration is wrong, or the download would go into a laptop's own code.
        SyncError: as `synccore.pull.pull`.
    """
    repos.require_apart(lab, config)
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
    repos.require_laptop(config, "delete")
    with _opened(lab, config) as session:
        from synccore.delete import delete as take_out

        return session.finish(take_out(repo, store=_engine_store(lab, session)))


def laptop_status(lab: Lab, config: Config) -> Run[tuple[SourceStatus, ...]]:
    """Compare a laptop's working trees with the store; neither is changed.

    Raises:
        LabError: the configuration is wrong.
        SyncError: as `synccore.status.source_status`.
    """
    folders = repos.folders(config, ())
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
    repos.require_laptop(config, "delete")
    config.require_store()
    if not is_store_name(repo):
        raise repos.unknown_repo(repo, tuple(folder.repo for folder in config.require_repos()), config)


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
    repos.require_laptop(config, "explain")
    folder, relative = repos.containing(config, path)
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


def _sources(folders: Sequence[RepoFolder], config: Config) -> list[Source]:
    exclusion = config.exclusion()

    from synccore.look import Source

    return [Source(repo=folder.repo, root=folder.root, exclusion=exclusion) for folder in folders]


def _looking_ahead(
    lab: Lab, session: _Session, folders: Sequence[RepoFolder], config: Config, begun: ExitStack
) -> dict[str, Ahead]:
    """Begin to look at the first of *folders*; what still runs ends with *begun*."""
    from synccore.worktree import ahead

    begun.callback(ahead.end_early)
    memory, exclusion = _memory(lab, session), config.exclusion()
    looks = {
        it.repo: begun.enter_context(ahead.Ahead(it.root, exclusion, ahead.stat_cache_path(memory, it.repo)))
        for it in folders[:_MOST_AHEAD]
    }
    # At the end of a first upload a tree is known that was not at its beginning.
    begun.callback(ahead.note, lab.looked_at_cache, looks.values())
    return looks


def _asking_head(store: EngineStore, looks: Sequence[Ahead | None], *, repair: bool) -> AskingHead:
    """Return the question whether the head has moved, which asks itself before the engine is there to ask it, if nothing else seems to be left."""
    from synccore.asking_head import AskingHead

    asking = AskingHead(store)
    if not repair:
        asking.begin_if(lambda: all(look is not None and look.found_same() for look in looks))
    return asking


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
