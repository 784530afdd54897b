"""The synchronised code of one kernel: pulling it, putting it on the path, knowing what is stale.

Invariant: whatever a pull does or fails to do, the path is set afterwards, and what is said is one line, followed by another one
only where modules that are already imported have changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from epic_lab.code_paths import CodePaths, code_paths, code_roots
from epic_lab.config import CODE_BASE, Config, Store
from epic_lab.errors import LabError
from epic_lab.kernel import line
from epic_lab.kernel.attempt import Attempt, Patience
from epic_lab.kernel.failure import is_offline, reason
from epic_lab.kernel.search_path import SearchPath
from epic_lab.lab import Lab
from synccore.errors import ErrorKind, UnavailableError

if TYPE_CHECKING:
    from epic_lab.kernel.imported import ImportedModules
    from synccore.backends.base import Found, Reader, Unchanged, Version
    from synccore.backends.recording import RecordingBackend
    from synccore.keys import Key
    from synccore.pullreport import PullReport
    from synccore.worktree.machine import TreeState

# A kernel's start: Jupyter itself gives up on a kernel that has not started within 60 s.
AT_START = Patience(first_seconds=2.0, quiet_seconds=10.0, whole_seconds=30.0)
ON_REQUEST = Patience(first_seconds=10.0, quiet_seconds=40.0, whole_seconds=float("inf"))

# What the network may take between two bytes. A little more than the patience, so that silence is always worded alike.
_MARGIN_SECONDS = 0.5


class Outcome(NamedTuple):
    """What came of one attempt to be up to date.

    Attributes:
        lines: what to say.
        is_reached: whether the store has answered.
        here: the snapshot of each repository that is here, as far as it is known.
        changed: the repositories that are at another snapshot than at the last look.
        modules: modules of this process that are older than their files.
        attempt: what is still writing, if anything is.
        error: what prevented it, if anything did.
    """

    lines: tuple[str, ...]
    is_reached: bool
    here: Mapping[str, str]
    changed: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    attempt: Attempt | None = None
    error: BaseException | None = None


class KernelCode:
    """The synchronised code as one process sees it; used from one thread."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._search_path = SearchPath()
        self._here: dict[str, str] | None = None
        self._looked_ns = 0
        self._imported: ImportedModules | None = None
        self._attempt: Attempt | None = None
        self._is_staying = False
        self._backend: RecordingBackend | None = None
        self._calls: Mapping[str, int] = {}

    @property
    def calls(self) -> Mapping[str, int]:
        """How often the last pull that has ended asked the store, by kind."""
        return self._calls

    @property
    def lab(self) -> Lab:
        """Whose code this is."""
        return self._lab

    def roots(self) -> tuple[Path, ...]:
        """Return the folders of the repositories; none where the configuration cannot say."""
        try:
            return code_roots(self._config(), self._lab.code_home)
        except LabError:
            return ()

    def put_on_path(self) -> CodePaths:
        """Make Python find the code that is here."""
        found = code_paths(self.roots(), cache=self._lab.code_paths_cache)
        self._search_path.become(map(str, found.paths))
        return found

    def update(self, patience: Patience, *, began: float, reloads: bool = False) -> Outcome:
        """Pull, put what is here on the path, and say what came of it; never raises.

        Args:
            patience: how long to wait.
            began: the reading of `time.perf_counter` from which the time that is said counts.
            reloads: whether stale modules are brought up to date by IPython.
        """
        try:
            outcome = self._update(patience, began, reloads=reloads)
        except BaseException as error:  # noqa: BLE001 - a kernel always goes on
            outcome = self._without(error)
        try:
            found = self.put_on_path()
        except BaseException as error:  # noqa: BLE001 - as above
            return _with_note(outcome, reason(error, self._lab.state_dir))
        if found.problems:
            first = found.problems[0]
            where = f"line {first.line}: " if first.line else ""
            return _with_note(outcome, f"{line.tilde(first.file, self._lab.environment.home)} {where}{first.fault}")
        return outcome

    def finish(self, attempt: Attempt, *, began: float, reloads: bool = False) -> Outcome:
        """Say what came of an *attempt* that has ended after nobody waited any more; never raises."""
        try:
            outcome = self._say(attempt.report(), began, reloads=reloads)
            self.put_on_path()
        except BaseException as error:  # noqa: BLE001 - a kernel always goes on
            return self._without(error)
        return outcome

    @contextmanager
    def staying_connected(self) -> Iterator[None]:
        """Keep the connection to the store from one update to the next."""
        self._is_staying = True
        try:
            yield
        finally:
            self._is_staying = False
            backend, self._backend = self._backend, None
            if backend is not None:
                backend.close()

    def describe(self) -> tuple[str, ...]:
        """Say what is here and how old it is, a line for each repository, without asking anybody; never raises."""
        try:
            with suppress(LabError):  # what is here can be told without a configuration
                config = self._lab.config()
                if config.is_laptop:
                    return (_on_laptop(config),)
            trees, contact = self._remembered()
        except BaseException as error:  # noqa: BLE001 - a kernel always goes on
            return self._without(error).lines
        if not trees:
            return ("synccode: no code is here yet",)
        return line.described(trees, last_contact_ns=contact, now_ns=time.time_ns())

    def _update(self, patience: Patience, began: float, *, reloads: bool) -> Outcome:
        config = self._lab.config()
        if config.is_laptop:
            return Outcome((_on_laptop(config),), is_reached=True, here={})
        store = config.require_store()
        attempt = Attempt(lambda attempt: self._pull(attempt, store, patience))
        try:
            has_ended = attempt.wait(patience)
        except BaseException:
            if attempt.call_off():
                raise
            has_ended = False
        if not has_ended and attempt.call_off():
            if attempt.has_heard:
                raise _silence(f"{store.base_url} answered and then took too long")
            raise _silence(f"no answer from {store.base_url} within {patience.first_seconds:g} s")
        if not has_ended:
            return Outcome((line.under_way(),), is_reached=True, here=self._here or {}, attempt=attempt)
        return self._say(attempt.report(), began, reloads=reloads)

    def _say(self, report: PullReport, began: float, *, reloads: bool) -> Outcome:
        """Word a pull that was done, and find what it has made stale."""
        home, code_home = self._lab.environment.home, self._lab.code_home
        lines = [line.synced(report, code_home=code_home, home=home, elapsed_seconds=time.perf_counter() - began)]
        here = {repo.repo: repo.snapshot.hex() for repo in report.repos}
        before = self._here
        if before is None:
            changed = tuple(repo.repo for repo in report.repos if repo.written or repo.removed)
        else:
            changed = tuple(repo for repo in here if before.get(repo) != here[repo])
        modules = self._stale(report, changed) if changed else ()
        if modules:
            lines.append(line.changed_modules(modules, reloads=reloads))
        self._here, self._looked_ns = here, time.time_ns()
        return Outcome(tuple(lines), is_reached=True, here=here, changed=changed, modules=modules)

    def _stale(self, report: PullReport, changed: Sequence[str]) -> tuple[str, ...]:
        """Make Python look at its files anew, and return the modules for which that comes too late."""
        import importlib

        from epic_lab.kernel.imported import ImportedModules

        importlib.invalidate_caches()
        home = self._lab.code_home
        ours = {repo.repo: [*repo.written, *repo.removed] for repo in report.repos}
        imported = self._imported = self._imported or ImportedModules(self._looked_ns)
        stale = imported.changed_by(home / repo / path for repo, paths in ours.items() for path in paths)
        if self._here is not None:  # before the first look there is nothing to compare with
            stale |= imported.changed_below(home / repo for repo in changed if not ours[repo])
        imported.look(home / repo for repo in ours)
        return tuple(sorted(stale))

    def _pull(self, attempt: Attempt, store: Store, patience: Patience) -> PullReport:
        """Pull, in the attempt's thread."""
        self._attempt = attempt
        backend = self._backend or self._open(store, patience)
        backend.reset()
        # The connection is made while what is to be done with it is imported.
        backend.warm()

        from synccore.pull import pull

        try:
            return pull(
                self._lab.code_home,
                user=store.username,
                backend=_Audible(backend, attempt.heard),
                store=backend.base_url,
                now_ns=time.time_ns,
                lock_wait_seconds=patience.quiet_seconds / 2,
                progress=lambda _progress: attempt.heard(),
                before_writing=attempt.begin_writing,
            )
        finally:
            self._calls = dict(backend.calls)
            if self._is_staying:
                self._backend = backend
            else:
                backend.close()

    def _open(self, store: Store, patience: Patience) -> RecordingBackend:
        from synccore.backends.opening import Access, open_backend

        environment = self._lab.environment
        access = Access(
            deadline_seconds=patience.first_seconds + _MARGIN_SECONDS,
            retry_seconds=patience.first_seconds / 2,
            emulator_host=environment.storage_emulator_host,
            credentials_file=environment.credentials_file,
            metadata_host=environment.gce_metadata_host,
            token_cache=self._lab.token_cache,
            has_proxies=environment.has_proxies,
            heard=self._heard,
        )
        opened = open_backend(store.base_url, access=access, begin=True)

        from synccore.backends.recording import RecordingBackend

        return RecordingBackend(opened)

    def _heard(self) -> None:
        if self._attempt is not None:
            self._attempt.heard()

    def _remembered(self) -> tuple[dict[str, TreeState], int | None]:
        """Return what is known of the trees, and when the store last answered."""
        from synccore.worktree.machine import MachineMemory

        memory = MachineMemory(self._lab.code_home)
        return memory.load("").trees, memory.last_contact_ns()

    def _unfinished(self, trees: Iterable[str]) -> tuple[str, ...]:
        """Return the repositories into which a pull has begun to write without coming to its end."""
        from synccore.worktree.machine import MachineMemory

        memory = MachineMemory(self._lab.code_home)
        return tuple(repo for repo in sorted(trees) if memory.begun(repo) is not None)

    def _config(self) -> Config | None:
        try:
            return self._lab.config()
        except LabError:
            return None

    def _without(self, error: BaseException) -> Outcome:
        """Word what prevented a pull, and what is here all the same."""
        why = reason(error, self._lab.state_dir)
        try:
            trees, contact = self._remembered()
            unfinished = self._unfinished(trees)
        except BaseException:  # noqa: BLE001 - the first error is what matters
            trees, contact, unfinished = {}, None, ()
        text = line.not_synced(
            why,
            trees,
            is_offline=is_offline(error),
            unfinished=unfinished,
            last_contact_ns=contact,
            now_ns=time.time_ns(),
        )
        return Outcome((text,), is_reached=not is_offline(error), here=self._here or {}, error=error)


class _Audible:
    """Passes gets on and says of each that it was answered, which a store on a disk does not do by itself."""

    def __init__(self, inner: Reader, heard: Callable[[], None]) -> None:
        self._inner = inner
        self._heard = heard

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        found = self._inner.get(key, unless=unless)
        self._heard()
        return found

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        data = self._inner.get_range(key, start, length)
        self._heard()
        return data


def _on_laptop(config: Config) -> str:
    """Say that a laptop's own repositories are what is run.

    Raises:
        LabError: the configuration is wrong.
    """
    repos = [folder.repo for folder in config.require_repos()]
    return line.on_laptop(repos, config.value(CODE_BASE) or "")


def _silence(message: str) -> UnavailableError:
    return UnavailableError(ErrorKind.DEADLINE, message, ambiguous=False)


def _with_note(outcome: Outcome, note: str) -> Outcome:
    """Add *note* to the first line."""
    return outcome._replace(lines=(f"{outcome.lines[0]} · {note}", *outcome.lines[1:]))
