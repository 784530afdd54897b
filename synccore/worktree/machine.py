"""What a machine remembers of the trees that it has written.

    <home>/.synccode/state             which snapshot each tree is at, and which head that was; JSON with its digest
    <home>/.synccode/manifests/<repo>.<base>  the listing that a tree was last built from
    <home>/.synccode/deltas/<repo>.<base>     the changes since then
    <home>/.synccode/begun/<repo>             what an unfinished run was about to write

Invariant: the state is recorded after the last file of a tree. What is missing or damaged is taken for unknown, and what is
unknown on the disk is taken for somebody's work; nothing here is ever needed to start a kernel.

The state is JSON, because a kernel that finds nothing changed has loaded that module and no other that it would need.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from synccore.backends.base import Version
from synccore.digest import Digest
from synccore.gitfacts import GitFacts
from synccore.provenance import Author, Provenance, SnapshotId
from synccore.worktree.aftermath import boot_id
from synccore.worktree.atomic import write_atomically
from synccore.worktree.disk_error import worktree_error
from synccore.worktree.staging import AREA

_FORMAT = 1
_LENGTH = struct.Struct("<I")

# All that JSON of another shape, or nested too deeply, leads to when it is read as a state.
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class TreeState(NamedTuple):
    """What is known of one tree.

    Attributes:
        snapshot: what it is at.
        provenance: who made that.
        files: how many entries it has.
        size_bytes: the sum of their sizes.
        base: names the files that hold the listing it was built from and the deltas since.
        delta_bytes: how much of the file of deltas belongs to it.
        is_stopped: whether its repository has been taken out of the head.
    """

    snapshot: SnapshotId
    provenance: Provenance
    files: int
    size_bytes: int
    base: str
    delta_bytes: int
    is_stopped: bool = False


class State(NamedTuple):
    """What is known of all trees under one home.

    Attributes:
        store: the base URL and user they come from.
        version: the head's version they are at; ``None`` if that is not sure.
        trees: by the repository's name.
        boot: the run of the machine in which this was recorded, where the system names them.
    """

    store: str
    version: Version | None
    trees: dict[str, TreeState]
    boot: str | None

    @property
    def is_after_restart(self) -> bool:
        """Whether the machine has been restarted since, perhaps before all that was written had reached its disk."""
        return self.boot != boot_id()

    def kept(self, home: Path) -> dict[str, TreeState]:
        """Return the trees without those that are no longer synchronised and that somebody has removed from *home*."""
        return {repo: tree for repo, tree in self.trees.items() if not tree.is_stopped or (home / repo).is_dir()}


class MachineMemory:
    """Reads and writes what is remembered under *home*."""

    def __init__(self, home: Path) -> None:
        self._area = home / AREA
        self._state_path = self._area / "state"

    @property
    def lock_path(self) -> Path:
        """The lock of all trees under this home."""
        return self._area / "lock"

    def load(self, store: str) -> State:
        """Return what is remembered; what comes from another store than *store* has no version."""
        try:
            data = self._state_path.read_bytes()
            digest, _, body = data.partition(b"\n")
            is_whole = hashlib.sha256(body).hexdigest().encode() == digest
            state = _parse(json.loads(body)) if is_whole else _nothing_known(store)
        except _UNREADABLE:
            return _nothing_known(store)
        return state if state.store == store else state._replace(store=store, version=None)

    def store(self, state: State) -> None:
        """Record *state*."""
        body = json.dumps(_plain(state), separators=(",", ":")).encode()
        write_atomically(self._state_path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)

    def note_contact(self) -> None:
        """Remember that the store said just now that nothing has changed; fails silently, for it is a courtesy."""
        try:
            os.utime(self._state_path)
        except OSError:
            return

    def last_contact_ns(self) -> int | None:
        """Return when the store last answered, or ``None``."""
        try:
            return self._state_path.stat().st_mtime_ns
        except OSError:
            return None

    def manifest(self, repo: str, base: str) -> bytes | None:
        """Return the stored bytes of the manifest that the tree of *repo* was built from; empty for the empty tree."""
        return _read(self._area / "manifests" / f"{repo}.{base}")

    def new_base(self, repo: str, manifest: bytes) -> str:
        """Keep *manifest*, stored bytes or none for the empty tree, under a new name, and return that."""
        base = os.urandom(8).hex()
        write_atomically(self._area / "manifests" / f"{repo}.{base}", manifest)
        return base

    def changes(self, repo: str, base: str, delta_bytes: int) -> list[tuple[int, bytes]]:
        """Return the packed deltas of *repo* that belong to its state, oldest first, with their plain sizes.

        Raises:
            IntegrityError: they are damaged.
        """
        from synccore import wire

        what = f"the kept deltas of {repo}"
        data = (_read(self._area / "deltas" / f"{repo}.{base}") or b"")[:delta_bytes]
        if len(data) != delta_bytes:
            wire.damaged(what, f"have {len(data)} bytes, expected {delta_bytes}")
        changes: list[tuple[int, bytes]] = []
        offset = 0
        while offset < len(data):
            (length,) = _LENGTH.unpack(data[offset : offset + _LENGTH.size].ljust(_LENGTH.size, b"\0"))
            offset += _LENGTH.size
            plain, frame = wire.row(wire.unpack(data[offset : offset + length], what), 2, what)
            changes.append((wire.uint(plain, what), wire.binary(frame, what)))
            offset += length
        return changes

    def append_changes(self, repo: str, base: str, delta_bytes: int, changes: Iterable[tuple[int, bytes]]) -> int:
        """Put *changes* behind the first *delta_bytes* bytes of the deltas of *repo*; return where they end now.

        Raises:
            WorktreeError: the disk refused.
        """
        from synccore import wire

        packed = [wire.pack(change) for change in changes]
        data = b"".join([_LENGTH.pack(len(item)) + item for item in packed])
        path = self._area / "deltas" / f"{repo}.{base}"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "r+b" if path.exists() else "w+b") as file:
                file.truncate(delta_bytes)
                file.seek(delta_bytes)
                file.write(data)
        except OSError as error:
            raise worktree_error(error, path, "write") from error
        return delta_bytes + len(data)

    def forget_other_bases(self, state: State) -> None:
        """Remove listings and deltas that no tree of *state* is based on."""
        needed = {f"{repo}.{tree.base}" for repo, tree in state.trees.items()}
        for folder in (self._area / "manifests", self._area / "deltas"):
            with suppress(OSError):
                for path in folder.iterdir():
                    if path.name not in needed:
                        path.unlink()

    def sweep(self) -> None:
        """Remove what a killed writer left of files in the making; the caller holds the lock."""
        with suppress(OSError):
            for path in (*self._area.glob("*.tmp"), *self._area.glob("begun/*.tmp")):
                path.unlink()

    def begun(self, repo: str) -> bytes | None:
        """Return the note that an unfinished run has left about *repo*."""
        return _read(self._area / "begun" / repo)

    def unfinished(self) -> frozenset[str]:
        """Return the repositories about which a run has left a note that did not finish."""
        try:
            return frozenset(os.listdir(self._area / "begun"))
        except OSError:
            return frozenset()

    def note_begun(self, repo: str, data: bytes) -> None:
        """Leave a note about what is going to be written into *repo*."""
        write_atomically(self._area / "begun" / repo, data)

    def forget_begun(self, repo: str) -> None:
        """Take that note away, after the state was recorded; one that stays costs the next pull a longer way, and no more."""
        with suppress(OSError):
            (self._area / "begun" / repo).unlink()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _plain(state: State) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "store": state.store,
        "version": state.version,
        "boot": state.boot,
        "trees": {
            repo: {
                "snapshot": tree.snapshot.hex(),
                "user": tree.provenance.author.user,
                "host": tree.provenance.author.host,
                "at_ms": tree.provenance.at_ms,
                "git": _plain_git(tree.provenance.git),
                "files": tree.files,
                "size_bytes": tree.size_bytes,
                "base": tree.base,
                "delta_bytes": tree.delta_bytes,
                "is_stopped": tree.is_stopped,
            }
            for repo, tree in state.trees.items()
        },
    }


def _plain_git(git: GitFacts | None) -> list[object] | None:
    return None if git is None else [git.commit, git.branch, git.dirty_count]


def _nothing_known(store: str) -> State:
    return State(store=store, version=None, trees={}, boot=boot_id())


def _parse(value: Any) -> State:
    """Return the state that was stored as *value*.

    Raises:
        Exception: one of `_UNREADABLE`; it was not.
    """
    if value["format"] != _FORMAT:
        raise ValueError("format")
    return State(
        store=str(value["store"]),
        version=None if value["version"] is None else Version(str(value["version"])),
        boot=None if value["boot"] is None else str(value["boot"]),
        trees={str(repo): _parse_tree(tree) for repo, tree in value["trees"].items()},
    )


def _parse_tree(tree: Any) -> TreeState:
    git = None
    if tree["git"] is not None:
        commit, branch, dirty_count = tree["git"]
        git = GitFacts(commit=_text(commit), branch=_text(branch), origin=None, dirty_count=int(dirty_count))
    author = Author(user=str(tree["user"]), host=str(tree["host"]))
    return TreeState(
        snapshot=SnapshotId(Digest(bytes.fromhex(tree["snapshot"]))),
        provenance=Provenance(author=author, at_ms=int(tree["at_ms"]), git=git),
        files=int(tree["files"]),
        size_bytes=int(tree["size_bytes"]),
        base=_token(tree["base"]),
        delta_bytes=int(tree["delta_bytes"]),
        is_stopped=bool(tree["is_stopped"]),
    )


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("git")
    return value


def _token(value: object) -> str:
    """Return *value* if it is a name that `MachineMemory.new_base` makes, and not a path to somewhere."""
    if not isinstance(value, str) or not value.isalnum():
        raise ValueError("base")
    return value
