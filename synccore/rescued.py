"""What was saved on a machine before it was replaced: looking at it, putting it back, letting go of it.

Invariant: a link is never followed, on the way or at the end; and nothing that stands in a tree goes but into the rescue
area, so that putting back loses nothing and can itself be undone.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from synccore.digest import Digest
from synccore.errors import ErrorKind, InvalidInputError, NotFoundError
from synccore.worktree.contents import (
    Content,
    ContentKind,
    digest_at,
    list_inside,
    measure,
    parent_of,
    read_at,
    remove_whole,
)
from synccore.worktree.disk_error import worktree_error
from synccore.worktree.lock import TreeLock
from synccore.worktree.machine import MachineMemory
from synccore.worktree.rescue import AREA, LINES, Rescued, RescueFolder, rescued_under
from synccore.worktree.staging import sweep_all_staging
from synccore.worktree.tree_writer import TreeWriter

# Comparing lines takes up to the square of their number.
MAX_COMPARED_BYTES = 2**20
MAX_COMPARED_LINES = 20_000
MIN_ID_DIGITS = 4
LOCK_WAIT_SECONDS = 30.0

_ID_DIGITS = 12
_HEXADECIMAL = frozenset("0123456789abcdef")


class Standing(str, Enum):
    """What stands now where something was saved from; the codes are public.

    `REPLACEMENT` is what took its place, unchanged: the laptop's version, or nothing where the laptop has nothing.
    """

    REPLACEMENT = "replacement"
    SAME = "same-as-saved"
    CHANGED = "changed"
    NOTHING = "nothing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedEdit:
    """Something in the rescue area.

    Attributes:
        id: twelve hexadecimal digits that name it for as long as it is there.
        rescued: what, when, why, and where it is.
        content: what it is and how much.
        standing: what stands in its old place now.
    """

    id: str
    rescued: Rescued
    content: Content
    standing: Standing

    @property
    def name(self) -> str:
        """The repository and the path."""
        return f"{self.rescued.repo}/{self.rescued.path}"


class Comparison(str, Enum):
    """How something saved differs from what stands in its place; the codes are public."""

    EQUAL = "equal"
    TEXT = "text"
    BINARY = "binary"
    TOO_LARGE = "too-large"
    KIND = "kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What putting something back would change.

    Attributes:
        edit: what was saved.
        here: what stands in its place now; ``None`` for nothing.
        comparison: how the two differ.
        lines: a unified diff from what stands there to what was saved, where both are text.
        inside: where a directory was saved, what is in it, by path.
    """

    edit: SavedEdit
    here: Content | None
    comparison: Comparison
    lines: tuple[str, ...] = ()
    inside: tuple[tuple[str, Content], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """Something that was put back.

    Attributes:
        edit: what it was in the rescue area, where it is no more.
        place: where it is now.
        saved: what stood there, or in the way, and was saved in its turn.
    """

    edit: SavedEdit
    place: Path
    saved: tuple[Rescued, ...]


def list_saved(home: Path) -> tuple[SavedEdit, ...]:
    """Return everything that was saved under *home* and is still there, newest first.

    Raises:
        WorktreeError: the rescue area cannot be read.
    """
    found: list[SavedEdit] = []
    try:
        for rescued in reversed(rescued_under(home)):
            with _saved_copy(home, rescued) as (directory, name):
                content = None if directory is None else measure(directory, name)
                if directory is not None and content is not None:
                    standing = _standing(home, rescued, content, directory)
                    found.append(SavedEdit(id=_id(rescued), rescued=rescued, content=content, standing=standing))
    except OSError as error:
        raise worktree_error(error, home / AREA, "read the rescue area") from error
    return tuple(found)


def find(saved: Sequence[SavedEdit], name: str, home: Path) -> list[SavedEdit]:
    """Return what *name* means, newest first.

    Args:
        saved: what there is, newest first.
        name: the first digits of an id; or a path: the repository's name and the path in it, the place in the tree, the
            saved copy, or a folder above any of these.
        home: the directory that holds the trees.

    Raises:
        InvalidInputError: *name* begins several ids.
        NotFoundError: nothing is meant by it.
    """
    if len(name) >= MIN_ID_DIGITS and set(name) <= _HEXADECIMAL:
        meant = [edit for edit in saved if edit.id.startswith(name)]
        if len(meant) > 1:
            ids = ", ".join(f"{edit.id} ({edit.name})" for edit in meant)
            raise InvalidInputError(
                ErrorKind.BAD_INPUT, f"{name} begins several ids: {ids}; give more digits", name=name
            )
        if meant:
            return meant
    keys = _keys(name, home)
    found = [edit for edit in saved if any(_is_at_or_below(place, key) for place in _places(edit) for key in keys)]
    if not found:
        raise _not_found(saved, name, home)
    return found


def newest_of_each(edits: Iterable[SavedEdit]) -> list[SavedEdit]:
    """Return of *edits*, newest first, the newest from each place."""
    newest: dict[str, SavedEdit] = {}
    for edit in edits:
        newest.setdefault(edit.name, edit)
    return list(newest.values())


def compare(home: Path, edit: SavedEdit) -> Difference:
    """Compare what was saved with what stands in its place now.

    Raises:
        NotFoundError: it is no longer saved.
        WorktreeError: one of the two cannot be read.
    """
    rescued = edit.rescued
    try:
        with _saved_copy(home, rescued) as (directory, name), _place(home, rescued) as (place, _):
            saved = None if directory is None else measure(directory, name)
            if directory is None or saved is None:
                raise _gone(edit)
            here = None if place is None else measure(place, name)
            comparison = Comparison.KIND
            lines: tuple[str, ...] = ()
            if saved.is_regular and (here is None or here.is_regular):
                comparison, lines = _compare_files(edit, directory, None if here is None else place)
            elif here is not None and saved.kind is ContentKind.LINK and saved == here:
                comparison = Comparison.EQUAL
            is_directory = saved.kind is ContentKind.DIRECTORY
            inside = tuple(list_inside(directory, name)) if is_directory else ()
    except OSError as error:
        raise worktree_error(error, rescued.saved_as, "compare") from error
    return Difference(edit=edit, here=here, comparison=comparison, lines=lines, inside=inside)


def restore(
    home: Path,
    edits: Iterable[SavedEdit],
    *,
    now_ns: Callable[[], int] = time.time_ns,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> tuple[Restored, ...]:
    """Move *edits* back to where they stood; what stands there now is saved first, whatever it is.

    A file that takes the place of another has a modification time in a later second than that, so that Python compiles it anew.

    Raises:
        NotFoundError: one is no longer saved, or its tree is not there; nothing was changed.
        WorktreeError: the lock is held, or the disk refused; what was not put back is still saved.
    """
    ordered = sorted(edits, key=lambda edit: edit.name)
    with _locked(home, now_ns, lock_wait_seconds):
        for edit in ordered:
            _require_restorable(home, edit)
        rescue = RescueFolder(home, now_ns=now_ns)
        return tuple(_put_back(home, edit, rescue) for edit in ordered)


def drop(
    home: Path,
    edits: Iterable[SavedEdit],
    *,
    now_ns: Callable[[], int] = time.time_ns,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> None:
    """Remove *edits* from the rescue area for good; those that are gone already do not matter.

    Raises:
        WorktreeError: the lock is held, or the disk refused.
    """
    with _locked(home, now_ns, lock_wait_seconds):
        for edit in edits:
            _remove(home, edit.rescued)


# Names


def _id(rescued: Rescued) -> str:
    # No two things were ever saved under one name, so the name says which is meant; its digest is short to type.
    name = f"{rescued.folder}/{rescued.repo}/{rescued.path}"
    return hashlib.sha256(name.encode()).hexdigest()[:_ID_DIGITS]


def _places(edit: SavedEdit) -> tuple[str, ...]:
    return edit.name, f"{edit.rescued.folder}/{edit.name}", f"{AREA}/{edit.rescued.folder}/{edit.name}"


def _keys(name: str, home: Path) -> set[str]:
    """Return the paths below *home* that *name* may mean."""
    keys = {os.path.normpath(name)}
    whole = Path(os.path.abspath(name))  # noqa: PTH100 - Path.absolute() keeps "..", and the last link must not be followed
    for base, spelling in ((home, whole), (home.resolve(), whole.parent.resolve() / whole.name)):
        if base in spelling.parents:
            keys.add(spelling.relative_to(base).as_posix())
    return keys


def _is_at_or_below(place: str, key: str) -> bool:
    return place == key or place.startswith(f"{key}/")


def _not_found(saved: Sequence[SavedEdit], name: str, home: Path) -> NotFoundError:
    from difflib import get_close_matches

    nearest = get_close_matches(name, [edit.name for edit in saved], n=1)
    did_you_mean = f"; did you mean {nearest[0]}?" if nearest else ""
    return NotFoundError(
        ErrorKind.NOT_SAVED,
        f"nothing in {home / AREA} is called {name!r}{did_you_mean}",
        name=name,
        nearest=nearest[0] if nearest else None,
    )


def _gone(edit: SavedEdit) -> NotFoundError:
    return NotFoundError(
        ErrorKind.NOT_SAVED, f"{edit.name} is no longer at {edit.rescued.saved_as}", path=str(edit.rescued.saved_as)
    )


# Looking


@contextmanager
def _saved_copy(home: Path, rescued: Rescued) -> Iterator[tuple[int | None, bytes]]:
    """Open the directory that holds the saved copy, if it is there, and say what that is called in it."""
    with parent_of(home / AREA, [rescued.folder, rescued.repo, *rescued.path.parts]) as directory:
        yield directory, rescued.path.name.encode()


@contextmanager
def _place(home: Path, rescued: Rescued) -> Iterator[tuple[int | None, bytes]]:
    """The same for the place where it stood."""
    with parent_of(home / rescued.repo, rescued.path.parts) as directory:
        yield directory, rescued.path.name.encode()


def _standing(home: Path, rescued: Rescued, saved: Content, directory: int) -> Standing:
    try:
        with _place(home, rescued) as (place, name):
            here = None if place is None else measure(place, name)
            if place is None or here is None:
                return Standing.REPLACEMENT if rescued.replaced_by is None else Standing.NOTHING
            if here.kind is ContentKind.DIRECTORY:
                return Standing.REPLACEMENT if rescued.replaced_by is None else Standing.CHANGED
            digest = digest_at(place, name)
            if digest is not None and digest == rescued.replaced_by:
                return Standing.REPLACEMENT
            is_same = digest is not None and here == saved and digest == digest_at(directory, name)
            return Standing.SAME if is_same else Standing.CHANGED
    except OSError:
        return Standing.UNREADABLE


def _compare_files(edit: SavedEdit, directory: int, place: int | None) -> tuple[Comparison, tuple[str, ...]]:
    name = edit.rescued.path.name.encode()
    saved = read_at(directory, name, most_bytes=MAX_COMPARED_BYTES + 1)
    here = b"" if place is None else read_at(place, name, most_bytes=MAX_COMPARED_BYTES + 1)
    if max(len(saved), len(here)) > MAX_COMPARED_BYTES:
        is_equal = place is not None and digest_at(directory, name) == digest_at(place, name)
        return (Comparison.EQUAL if is_equal else Comparison.TOO_LARGE), ()
    if place is not None and saved == here:
        return Comparison.EQUAL, ()
    if b"\0" in saved + here:
        return Comparison.BINARY, ()
    try:
        texts = here.decode("utf-8"), saved.decode("utf-8")
    except UnicodeDecodeError:
        return Comparison.BINARY, ()
    if max(text.count("\n") for text in texts) > MAX_COMPARED_LINES:
        return Comparison.TOO_LARGE, ()
    return Comparison.TEXT, _unified(edit, *texts, is_here=place is not None)


def _unified(edit: SavedEdit, here: str, saved: str, *, is_here: bool) -> tuple[str, ...]:
    import difflib
    import json

    name = edit.name if edit.name.isprintable() else json.dumps(edit.name)
    lines = difflib.unified_diff(
        _lines_of(here),
        _lines_of(saved),
        f"here/{name}" if is_here else "/dev/null",
        f"saved/{name}",
    )
    return tuple(part for line in lines for part in _as_shown(line))


def _lines_of(text: str) -> list[str]:
    # Not `splitlines`, which takes form feeds and others for the end of a line.
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _as_shown(line: str) -> tuple[str, ...]:
    return (line[:-1],) if line.endswith("\n") else (line, "\\ No newline at end of file")


# Changing


@contextmanager
def _locked(home: Path, now_ns: Callable[[], int], wait_seconds: float) -> Iterator[None]:
    memory = MachineMemory(home)
    with TreeLock(memory.lock_path, now_ns=now_ns).held(wait_seconds) as lock:
        if lock.after_crash:
            # As a pull does: that there was a crash is told to the first holder alone.
            memory.sweep()
            sweep_all_staging(home)
        yield


def _require_restorable(home: Path, edit: SavedEdit) -> None:
    root = home / edit.rescued.repo
    # A tree that holds one file alone would be taken for the whole one, and never be completed.
    if not root.is_dir():
        raise NotFoundError(
            ErrorKind.NOT_SAVED,
            f"{edit.name} cannot be put back, for there is no {root}; nothing was changed; run `epic-synccode download` first, "
            f"or copy it from {edit.rescued.saved_as}",
            path=str(root),
        )
    with _saved_copy(home, edit.rescued) as (directory, name):
        if directory is None or measure(directory, name) is None:
            raise _gone(edit)


def _put_back(home: Path, edit: SavedEdit, rescue: RescueFolder) -> Restored:
    rescued = edit.rescued
    root = home / rescued.repo
    try:
        with _saved_copy(home, rescued) as (directory, name):
            if directory is None:
                raise _gone(edit)
            digest: Digest | None = digest_at(directory, name)
            with TreeWriter(root, ours=lambda _: (), rescue=rescue, repo=rescued.repo) as writer:
                outcome = writer.put_back(rescued.path, directory, name, digest)
        _tidy(home, rescued)
    except OSError as error:
        raise worktree_error(error, rescued.saved_as, "put back") from error
    return Restored(edit=edit, place=root / rescued.path, saved=outcome.rescued)


def _remove(home: Path, rescued: Rescued) -> None:
    try:
        with _saved_copy(home, rescued) as (directory, name):
            if directory is not None:
                with suppress(FileNotFoundError):
                    remove_whole(directory, name)
        _tidy(home, rescued)
    except OSError as error:
        raise worktree_error(error, rescued.saved_as, "remove") from error


def _tidy(home: Path, rescued: Rescued) -> None:
    """Remove the directories that became empty, and the time's notes with the last of them."""
    parts = [rescued.folder, rescued.repo, *rescued.path.parts]
    for depth in range(len(parts) - 1, 0, -1):
        with parent_of(home / AREA, parts[:depth]) as directory:
            if directory is None:
                continue
            try:
                os.rmdir(parts[depth - 1], dir_fd=directory)
            except OSError:
                return
            if depth == 1:
                with suppress(FileNotFoundError):
                    os.unlink(f"{rescued.folder}{LINES}", dir_fd=directory)
