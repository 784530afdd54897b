"""The only code that changes a working tree.

Invariant: whatever stands at a path is looked at before it is replaced or removed, and `synccore.plan.judge` decides about
it. It goes only if it is something that we wrote ourselves; all else is somebody's work and is moved into the rescue area
first.

A file is written under a temporary name beside its place and appears by one step of the kernel, so that nobody sees a
part of it and a crash leaves the old file or the new one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from synccore.digest import Digest
from synccore.errors import ErrorKind, WorktreeError
from synccore.journal import Known
from synccore.manifest import FileKind
from synccore.plan import Verdict, judge
from synccore.treepath import MAX_COMPONENT_BYTES, TreePath
from synccore.worktree.bytecode import drop_stale, stem_of
from synccore.worktree.directory_chain import (
    NOT_A_DIRECTORY,
    OPEN_DIRECTORY,
    DirectoryChain,
    OpenDirectory,
    close_directory,
    require_handles,
)
from synccore.worktree.disk_error import worktree_error
from synccore.worktree.hollow import remove_if_emptied, remove_if_hollow
from synccore.worktree.large_file import LargeFile, begin_large, refuse_link
from synccore.worktree.moving import MovingFiles
from synccore.worktree.moving_directories import Expected, Moved, MovingDirectories
from synccore.worktree.occupant import Occupant, is_still, look
from synccore.worktree.outcome import Effect, Outcome
from synccore.worktree.placing import (
    SECOND_NS,
    make,
    move_past,
    move_to_free_name,
    replace_if_still,
    take_free_name,
)
from synccore.worktree.rescue import Reason, Rescued, RescueFolder
from synccore.worktree.temporary import TemporaryNames, discard

if TYPE_CHECKING:
    from typing_extensions import Self

# How often a path is judged anew because it changed between the look and the act, before it is given up.
_ATTEMPTS = 8


class TreeWriter:
    """Writes and removes files below one root; a context manager, which owns the directory handles.

    One thread at a time is let in; the pieces of large files are written outside of that. The caller holds the tree's
    `TreeLock`, gives removals before writes (a directory that is still full of our own files is else taken for somebody's)
    and paths in order (which saves opening directories, and is of no other consequence).

    Leaving the ``with`` block removes directories that became empty and stale compiled modules; after an error it only
    closes the handles, and a later run over the same paths completes the rest.
    """

    def __init__(
        self,
        root: Path,
        *,
        ours: Callable[[TreePath], Collection[Known]],
        rescue: RescueFolder,
        repo: str | None = None,
    ) -> None:
        """Open *root*, which is made if it is not there.

        Args:
            root: the tree's directory; a link to one is refused.
            ours: what we may have written at a path before; empty where we never did. It is asked about other paths than
                those written as well: parents, and compiled modules beside sources.
            rescue: where edits are saved.
            repo: the tree's name in the rescue area; by default the root's.

        Raises:
            WorktreeError: the disk refused, *root* is no directory, or this system lacks what safe writing needs.
        """
        require_handles(root)
        self._root = root
        self._ours = ours
        self._rescue = rescue
        self._repo = root.name if repo is None else repo
        self._lock = threading.RLock()
        self._names = TemporaryNames()
        self._saved: list[Rescued] = []
        self._unfinished: set[LargeFile] = set()
        self._moving: MovingFiles | None = None
        self._moved: set[TreePath] = set()
        self._chain = DirectoryChain(self._open_root(), on_leave=self._leave)

    def write(self, path: TreePath, kind: FileKind, data: bytes, digest: Digest) -> Outcome:
        """Make *path* a file of *kind* with *data*, whose SHA-256 is *digest*; for a link *data* is its target's text.

        A file that has this kind and content already is not touched. One that takes the place of another has a
        modification time in a later second than that.

        Raises:
            WorktreeError: the disk refused; what stood at *path* still does, or is saved.
        """
        with self._lock:
            try:
                here, new = self._enter(path.parent), Known(kind, digest)
                there = self._look(here, path, new)
                if self._verdict(path, there, new) is Verdict.LEAVE:
                    self._note_source(here, path)
                    return self._outcome(Effect.ALREADY_THERE)
                temporary = self._names.next()
                try:
                    make(here.handle, temporary, kind, data)
                    effect = self._appear(here, path, new, there, source=here.handle, temporary=temporary)
                except BaseException:
                    discard(here.handle, temporary)
                    raise
                return self._outcome(effect)
            except OSError as error:
                raise worktree_error(error, self._root / path, "write") from error
            finally:
                self._saved.clear()

    def move(self, source: TreePath, path: TreePath, kind: FileKind, digest: Digest) -> Outcome:
        """Give the file *source* of ours, which is to be removed after this, the name *path*, if it is what is wanted there.

        Returns:
            An effect of `WRITTEN`; or `ABSENT`, which says that it could not be done, and *path* is to be written.

        Raises:
            WorktreeError: the disk refused to make the directory.
        """
        with self._lock:
            try:
                here, new = self._enter(path.parent), Known(kind, digest)
                effect = Effect.ABSENT
                if self._moving is None:
                    self._moving = MovingFiles(self._chain.root)
                if judge(new, self._ours(source), None) is Verdict.REPLACE and self._moving.move(
                    source, new, here.handle, path.name.encode()
                ):
                    self._moved.add(source)
                    self._note_source(here, path)
                    effect = Effect.WRITTEN
                return self._outcome(effect)
            except OSError as error:
                raise worktree_error(error, self._root / path, "write") from error
            finally:
                self._saved.clear()

    def move_directory(
        self, old: str, new: str, expected: Expected, is_on_the_way: Callable[[str], bool]
    ) -> tuple[list[Moved], list[Rescued]]:
        """Give the directory *old* the name *new*, or such as are below it names below that, where nothing else is in them.

        Args:
            old: what is in it is to be removed.
            new: what is in it is to be written.
            expected: says what must be at an old path, as something of ours, for it to get a new one.
            is_on_the_way: tells of a directory whether anything that may move is below it.

        Returns:
            The files that have moved, and what had to be saved on the way.

        Raises:
            WorktreeError: the disk refused to make a directory.
        """
        with self._lock:
            files: list[Moved] = []
            moving = MovingDirectories(self._chain.root, expected, is_on_the_way)
            try:
                waiting = moving.ready(old, new)
                while waiting:
                    ready = waiting.pop()
                    parent, _, name = ready.new.rpartition("/")
                    done = moving.move(ready, self._enter(parent).handle, name.encode())
                    if done != [ready]:
                        waiting += done
                        continue
                    files += ready.files()
                    above = self._find(ready.old.rpartition("/")[0])
                    if above is not None:
                        above.may_be_empty = True
                return files, list(self._saved)
            except OSError as error:
                raise worktree_error(error, self._root / new, "write") from error
            finally:
                moving.close()
                self._saved.clear()

    def begin(self, path: TreePath, kind: FileKind, size_bytes: int) -> LargeFile:
        """Start the file *path*, whose *size_bytes* bytes will come in pieces; nothing is visible before `LargeFile.finish`.

        Raises:
            InvalidInputError: *kind* is a link.
            WorktreeError: the disk refused, also because it has no room for so many bytes.
        """
        refuse_link(path, kind)
        with self._lock:
            try:
                directory, name = os.dup(self._enter(path.parent).handle), self._names.next()
            except OSError as error:
                raise worktree_error(error, self._root / path, "begin") from error
            finally:
                early, self._saved = self._saved, []

        def finish(source: int, digest: Digest) -> Outcome:
            return self._finish(path, Known(kind, digest), source, name, early)

        return begin_large(
            self._root / path, directory, name, kind, size_bytes, finish=finish, unfinished=self._unfinished
        )

    def remove(self, path: TreePath) -> Outcome:
        """Make sure that nothing we wrote is at *path*, nor anybody's edit of it, which is saved.

        Directories that are empty then go too, when they are left. A directory at *path* itself stays: it is not what was
        to be removed.

        Raises:
            WorktreeError: the disk refused; what stood at *path* still does, or is saved.
        """
        with self._lock:
            try:
                here = self._find(path.parent)
                if here is None:
                    return self._outcome(Effect.ABSENT)
                here.may_be_empty = True
                self._note_source(here, path)
                is_gone = self._remove_at(here, path) or path in self._moved
                self._save_orphan(here, path)
                return self._outcome(Effect.REMOVED if is_gone else Effect.ABSENT)
            except OSError as error:
                raise worktree_error(error, self._root / path, "remove") from error
            finally:
                self._saved.clear()

    def put_back(self, path: TreePath, source: int, name: bytes, digest: Digest | None) -> Outcome:
        """Move *name* of the open directory *source* to *path*; whatever stands there is saved first, also what is ours.

        Args:
            path: where it goes.
            source: the directory it is in.
            name: its name there.
            digest: SHA-256 of its content, for the note about what it replaces; ``None`` for a directory.

        Raises:
            WorktreeError: the disk refused; it is where it was, and what stood at *path* still does, or is saved.
        """
        with self._lock:
            try:
                here = self._enter(path.parent)
                for _ in range(_ATTEMPTS):
                    there = look(here.handle, path.name.encode(), ())
                    if there is not None:
                        if digest is not None:
                            move_past(source, name, there.status.st_mtime_ns // SECOND_NS)
                        self._clear(here, path, there, Reason.REPLACED_BY_RESTORE, replaced_by=digest)
                    if move_to_free_name(source, name, here.handle, path.name.encode()):
                        self._note_source(here, path)
                        return self._outcome(Effect.WRITTEN)
                raise self._unstable(path)
            except OSError as error:
                raise worktree_error(error, self._root / path, "put back") from error
            finally:
                self._saved.clear()

    def sweep(self) -> int:
        """Remove the temporary files that crashed writers left in the tree; return how many there were.

        It walks the whole tree, so it is for when a crash is known (`TreeLock.after_crash`).
        """
        with self._lock:
            try:
                root = os.open(self._root, OPEN_DIRECTORY)
                try:
                    return self._names.sweep(root)
                finally:
                    close_directory(root)
            except OSError as error:
                raise worktree_error(error, self._root, "sweep") from error

    def close(self) -> None:
        """Give up unfinished large files, tidy the directories that were used and close their handles."""
        with self._lock:
            if self._chain.is_closed:
                return
            try:
                self._abandon_all()
                self._chain.leave_all()
            except OSError as error:
                raise worktree_error(error, self._root / self._chain.path, "tidy") from error
            finally:
                self._close_handles()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        with self._lock:
            try:
                self._abandon_all()
            finally:
                self._close_handles()

    def _close_handles(self) -> None:
        self._chain.close()
        if self._moving is not None:
            self._moving.close()

    def _open_root(self) -> int:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            return os.open(self._root, OPEN_DIRECTORY)
        except OSError as error:
            raise worktree_error(error, self._root, "open the tree") from error

    # Going to a directory

    def _enter(self, parent: str) -> OpenDirectory:
        """Go to the directory *parent*; what stands in its way is cleared, what is missing is made."""
        chain = self._chain
        if parent == chain.path:
            return chain.here
        parts = parent.split("/") if parent else []
        chain.back_towards(parts)
        while chain.depth < len(parts):
            self._step(parts)
        return chain.here

    def _step(self, parts: list[str]) -> None:
        """Go one further down towards *parts*."""
        here, name = self._chain.here, parts[self._chain.depth]
        for _ in range(_ATTEMPTS):
            try:
                self._chain.descend_or_make(name)
            except OSError as error:  # noqa: PERF203 - a directory a turn, not a file
                if error.errno not in NOT_A_DIRECTORY:
                    raise
                path = TreePath("/".join(parts[: self._chain.depth + 1]))
                there = look(here.handle, name.encode(), self._ours(path))
                if there is not None and not there.is_directory:
                    self._note_source(here, path)
                    self._take_away(here, path, there)
            else:
                return
        raise self._unstable("/".join(parts[: self._chain.depth + 1]))

    def _find(self, parent: str) -> OpenDirectory | None:
        """Go to the directory *parent* if there is one, through real directories only."""
        try:
            return self._chain.go_to(parent)
        except FileNotFoundError:
            # Perhaps an earlier run removed it and did not come to the one above.
            self._chain.here.may_be_empty = True
            return None
        except OSError as error:
            if error.errno in NOT_A_DIRECTORY:
                return None
            raise

    def _leave(self, directory: OpenDirectory, above: OpenDirectory | None) -> None:
        if directory.sources:
            drop_stale(directory.handle, directory.sources)
            directory.sources.clear()
        if above is None or not directory.may_be_empty:
            return
        if remove_if_emptied(above.handle, directory.name, directory.handle, self._names):
            above.may_be_empty = True

    # Making and placing

    def _finish(self, path: TreePath, new: Known, source: int, temporary: bytes, early: list[Rescued]) -> Outcome:
        """Let a large file appear; *early* was saved when it was begun."""
        with self._lock:
            self._saved[:0] = early
            try:
                here = self._enter(path.parent)
                there = self._look(here, path, new)
                return self._outcome(self._appear(here, path, new, there, source=source, temporary=temporary))
            except OSError as error:
                raise worktree_error(error, self._root / path, "finish") from error
            finally:
                self._saved.clear()

    def _look(self, here: OpenDirectory, path: TreePath, new: Known) -> Occupant | None:
        return look(here.handle, path.name.encode(), [*self._ours(path), new])

    def _verdict(self, path: TreePath, there: Occupant | None, wanted: Known | None) -> Verdict:
        return judge(None if there is None else there.content, self._ours(path), wanted)

    def _appear(
        self,
        here: OpenDirectory,
        path: TreePath,
        new: Known,
        there: Occupant | None,
        *,
        source: int,
        temporary: bytes,
    ) -> Effect:
        """Give *temporary* of the directory *source* the name *path* in *here*, where *there* was found.

        It is discarded where the very same stands there already.
        """
        name = path.name.encode()
        latest_second: int | None = None
        for _ in range(_ATTEMPTS):
            verdict = self._verdict(path, there, new)
            if verdict is Verdict.LEAVE:
                self._note_source(here, path)
                discard(source, temporary)
                return Effect.ALREADY_THERE
            if there is not None:
                second = there.status.st_mtime_ns // SECOND_NS
                latest_second = second if latest_second is None else max(second, latest_second)
                move_past(source, temporary, latest_second)
            if there is None:
                is_done = take_free_name(source, temporary, here.handle, name)
            elif verdict is Verdict.REPLACE:
                is_done = replace_if_still(source, temporary, here.handle, name, there)
            else:
                is_free = self._clear(here, path, there, self._reason(path, there), replaced_by=new.digest)
                is_done = is_free and take_free_name(source, temporary, here.handle, name)
            if is_done:
                self._note_source(here, path)
                return Effect.WRITTEN
            there = self._look(here, path, new)
        raise self._unstable(path)

    # Taking away

    def _remove_at(self, here: OpenDirectory, path: TreePath) -> bool:
        ours = self._ours(path)
        for _ in range(_ATTEMPTS):
            there = look(here.handle, path.name.encode(), ours)
            if there is None or there.is_directory:
                return False
            if self._take_away(here, path, there):
                return True
        raise self._unstable(path)

    def _take_away(self, here: OpenDirectory, path: TreePath, there: Occupant) -> bool:
        """Make *path* free of what was found *there*; ``False`` if it is no longer that."""
        if self._verdict(path, there, None) is not Verdict.REPLACE:
            return self._clear(here, path, there, self._reason(path, there), replaced_by=None)
        # RACE: as in `replace_if_still`: an edit between the second look and the unlinking is lost.
        if not is_still(here.handle, path.name.encode(), there):
            return False
        os.unlink(path.name.encode(), dir_fd=here.handle)
        return True

    def _clear(
        self, here: OpenDirectory, path: TreePath, there: Occupant, reason: Reason, *, replaced_by: Digest | None
    ) -> bool:
        """Save what is found *there*, but for a directory that is nobody's; ``False`` if it is gone."""
        if there.is_directory and remove_if_hollow(here.handle, path.name.encode(), self._names):
            return True
        return self._save(here, path, reason, replaced_by)

    def _reason(self, path: TreePath, there: Occupant) -> Reason:
        if there.is_directory:
            return Reason.DIRECTORY_IN_THE_WAY
        if there.is_special:
            return Reason.SPECIAL_FILE
        return Reason.EDITED if self._ours(path) else Reason.NOT_OURS

    def _save(self, here: OpenDirectory, path: TreePath, reason: Reason, replaced_by: Digest | None) -> bool:
        """Move *path* into the rescue area; ``False`` if it is gone. What is there by then is saved, whatever it is."""
        try:
            rescued = self._rescue.save(
                here.handle, path.name.encode(), repo=self._repo, path=path, reason=reason, replaced_by=replaced_by
            )
        except FileNotFoundError:
            return False
        self._saved.append(rescued)
        return True

    def _save_orphan(self, here: OpenDirectory, path: TreePath) -> None:
        """Save the compiled module beside a source that is gone, for Python would now run it in the source's place."""
        if stem_of(path.name) is None or len(path.name.encode()) == MAX_COMPONENT_BYTES:
            return
        # Looked at first: mostly there is nothing, and to look is a third of what it costs to make a path.
        there = look(here.handle, path.name.encode() + b"c", ())
        if there is None or there.is_directory:
            return
        compiled = TreePath(path + "c")
        if not self._ours(compiled):
            self._save(here, compiled, Reason.ORPHANED_BYTECODE, None)

    # Small things

    def _note_source(self, here: OpenDirectory, path: TreePath) -> None:
        """Remember to drop the compiled forms of *path*, if it is a source, when its directory is left."""
        if path.endswith(".py"):
            stem = stem_of(path.name)
            if stem is not None:
                here.sources.add(stem)

    def _outcome(self, effect: Effect) -> Outcome:
        return Outcome.of(effect, self._saved)

    def _abandon_all(self) -> None:
        while self._unfinished:
            self._unfinished.pop().abandon()

    def _unstable(self, path: str) -> WorktreeError:
        return WorktreeError(
            ErrorKind.UNSTABLE_FILE,
            f"{self._root / path} changes faster than it can be replaced: looked {_ATTEMPTS} times; "
            "stop what writes it and run this again",
            path=str(self._root / path),
        )
