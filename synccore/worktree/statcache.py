"""The stat cache: which content a file had when its times and size were such and such.

Invariant: an entry is used only if nothing can have happened to the file since it was read; whatever could have changed
without leaving a trace in type, size, times or inode number is read again. The file is a cache: a missing, damaged or
foreign one is an empty one.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import xxhash

from synccore import wire
from synccore.errors import ErrorKind, IntegrityError, InvalidInputError, WorktreeError
from synccore.manifest import Entry, FileKind, parse_entries, tree_rows
from synccore.provenance import SnapshotId
from synccore.snapshot import snapshot_id
from synccore.treepath import TreePath
from synccore.worktree.atomic import write_atomically

_MAGIC = b"\x89EPLS\x02\x00\x00"

# A write may bear a time stamp a little older than itself: the kernel's clock for files ticks every 1 to 10 ms, other
# machines' clocks differ a little, and some file systems keep whole seconds or even (FAT) every second one. A stamp in whole
# hundredths of a second is taken as the sign of such a one; elsewhere it is that by chance once in ten million.
_SLACK_NS = 100_000_000
_COARSE_SLACK_NS = 2_000_000_000 + _SLACK_NS
_COARSE_UNIT_NS = 10_000_000


class Fingerprint(NamedTuple):
    """What a file's status says that changes when its content does."""

    mode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def is_racy(self, read_from_ns: int) -> bool:
        """Tell whether the file may have changed after it was read, without a trace in its status.

        Args:
            read_from_ns: a moment before the file was read, in nanoseconds since 1970.
        """
        _, _, mtime_ns, ctime_ns, _ = self
        newest = max(ctime_ns, mtime_ns)
        if newest < read_from_ns - _COARSE_SLACK_NS:
            return False
        slack = _COARSE_SLACK_NS if self.mtime_ns % _COARSE_UNIT_NS == 0 else _SLACK_NS
        return newest >= read_from_ns - slack


# Of an `os.stat_result`, in the order of `Fingerprint`.
facts = attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")

_NEVER = Fingerprint(0, 0, 0, 0, 0)
_WIDTH = len(Fingerprint._fields)

# Rows that are compared at once before any is looked at alone.
_STRIDE = 256


def fingerprint(status: os.stat_result) -> Fingerprint:
    """Return the fingerprint of what `os.lstat` has said."""
    return Fingerprint._make(facts(status))


def is_link(found: Fingerprint) -> bool:
    """Tell whether it is that of a symbolic link."""
    return stat.S_ISLNK(found.mode)


class Fingerprints:
    """Many fingerprints as rows of numbers, which are compared all at once.

    100,000 that have not changed are found to be so in 8 ms; as tuples in a dictionary they took 130. A number that does not fit
    into 64 bits, as inode numbers of Windows may not, is kept modulo 2**64.
    """

    __slots__ = ("_bytes",)

    def __init__(self, rows: Iterable[tuple[int, ...]] = ()) -> None:
        listed = list(rows)
        try:
            numbers = array("q", chain.from_iterable(listed))
        except OverflowError:
            numbers = array("q", [(number + 2**63) % 2**64 - 2**63 for number in chain.from_iterable(listed)])
        self._bytes = numbers.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprints:
        """Return what `to_bytes` has written on this machine."""
        made = cls()
        made._bytes = data
        return made

    def to_bytes(self) -> bytes:
        """Return the rows one after the other, in this machine's byte order."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._bytes) // (_WIDTH * 8)

    def __getitem__(self, number: int) -> Fingerprint:
        return Fingerprint._make(self._numbers(number, number + 1))

    def __iter__(self) -> Iterator[Fingerprint]:
        flat = iter(self._numbers(0, len(self)))
        return map(Fingerprint, flat, flat, flat, flat, flat)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprints) and self._bytes == other._bytes

    __hash__ = None  # type: ignore[assignment]  # nothing keys on them

    def column(self, number: int) -> array[int]:
        """Return the field *number* of every row."""
        return self._numbers(0, len(self))[number::_WIDTH]

    def rows(self) -> list[bytes]:
        """Return each row as bytes, which `from_bytes` takes joined."""
        width = _WIDTH * 8
        return [self._bytes[at : at + width] for at in range(0, len(self._bytes), width)]

    def with_rows(self, numbers: Sequence[int], rows: Sequence[Fingerprint]) -> Fingerprints:
        """Return these with *rows* in place of those that have *numbers*."""
        width = _WIDTH * 8
        data = bytearray(self._bytes)
        for number, row in zip(numbers, Fingerprints(rows).rows(), strict=True):
            data[number * width : (number + 1) * width] = row
        return Fingerprints.from_bytes(bytes(data))

    def differing(self, other: Fingerprints) -> list[int]:
        """Return the numbers of the rows in which *other*, which has as many, differs."""
        mine, others, width = self._bytes, other._bytes, _WIDTH * 8
        if mine == others:
            return []
        found = []
        for start in range(0, len(mine), _STRIDE * width):
            end = start + _STRIDE * width
            if mine[start:end] != others[start:end]:
                rows = range(start, min(end, len(mine)), width)
                found += [at // width for at in rows if mine[at : at + width] != others[at : at + width]]
        return found

    def _numbers(self, start: int, end: int) -> array[int]:
        numbers = array("q")
        numbers.frombytes(self._bytes[start * _WIDTH * 8 : end * _WIDTH * 8])
        return numbers


class StatCache:
    """What was there at the last scan.

    An unchanged tree is found to be so from the paths, kinds and fingerprints alone; the entries are made when they are
    asked for, which takes 1 µs each.

    Attributes:
        paths: in path order.
        kinds: of each path, as a byte.
        fingerprints: one for each, in the same order; `_NEVER` where the entry was racy.
        snapshot: the id of the tree.
    """

    def __init__(self, tree: dict[TreePath, Entry], fingerprints: Iterable[Fingerprint], snapshot: SnapshotId) -> None:
        self.paths: Sequence[str] = list(tree)
        self.kinds = bytes([entry.kind for entry in tree.values()])
        self.fingerprints = fingerprints if isinstance(fingerprints, Fingerprints) else Fingerprints(fingerprints)
        self.snapshot = snapshot
        self._tree: dict[TreePath, Entry] | None = tree
        self._packed: tuple[wire.Packed, Path] | None = None

    @classmethod
    def kept(
        cls, path: Path, *, paths: list[str], kinds: bytes, packed: wire.Packed, numbers: bytes, snapshot: SnapshotId
    ) -> StatCache:
        """Return what is kept at *path*, with the entries still *packed*."""
        made = cls({}, (), snapshot)
        made.paths, made.kinds, made.fingerprints = paths, kinds, Fingerprints.from_bytes(numbers)
        made._tree, made._packed = None, (packed, path)
        return made

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, StatCache)
            and self.tree == other.tree
            and self.fingerprints == other.fingerprints
            and self.snapshot == other.snapshot
        )

    __hash__ = None  # type: ignore[assignment]  # it is no value to key on

    @property
    def tree(self) -> dict[TreePath, Entry]:
        """The entries, in path order; not to be changed.

        Raises:
            WorktreeError: what was kept has the right checksum and makes no sense; it is removed.
        """
        if self._tree is None and self._packed is not None:
            packed, path = self._packed
            try:
                self._tree = _unpacked(self.paths, self.kinds, packed)
            except (IntegrityError, InvalidInputError) as error:
                with suppress(OSError):
                    path.unlink()
                raise WorktreeError(
                    ErrorKind.WORKTREE,
                    f"{path} was damaged ({error.message}) and is removed: run this again, it will be made anew",
                    path=str(path),
                ) from error
        return self._tree or {}

    @property
    def size_bytes(self) -> int:
        """The sum of the sizes of all entries."""
        if self._tree is None and self._packed is not None:
            sizes, _, _ = wire.row(self._packed[0], 3, "stat cache")
            return sum(wire.uints(sizes, "stat cache"))
        return sum([entry.size_bytes for entry in self.tree.values()])

    def recognise(self, paths: Sequence[TreePath]) -> None:
        """Take *paths*, which are equal to those kept, for the keys of the tree, so that they need not be checked again."""
        self.paths = paths


def _unpacked(paths: Sequence[str], kinds: bytes, packed: wire.Packed) -> dict[TreePath, Entry]:
    what = "stat cache"
    sizes, digests, large = wire.row(packed, 3, what)
    checked = paths if paths and isinstance(paths[0], TreePath) else wire.paths(tuple(paths), what)
    return parse_entries(checked, (kinds, sizes, digests, large), what)  # type: ignore[arg-type]


EMPTY = StatCache({}, (), snapshot_id({}))


def load_stat_cache(path: Path, root: Path) -> StatCache:
    """Return the cache kept at *path* for the tree at *root*, or an empty one if there is none that can be used."""
    try:
        data = path.read_bytes()
    except OSError:
        return EMPTY
    try:
        return _decode(data, os.fsencode(root), path)
    except IntegrityError:
        return EMPTY


def store_stat_cache(path: Path, root: Path, cache: StatCache, *, read_from_ns: int, read_until_ns: int) -> None:
    """Keep at *path* what is `believable` of *cache* for the tree at *root*."""
    prints = believable(cache, read_from_ns=read_from_ns, read_until_ns=read_until_ns)
    _, kinds, *rest = wire.row(tree_rows(list(cache.tree), list(cache.tree.values())), 5, "stat cache")
    paths = "\0".join(cache.tree)
    body = wire.pack((os.fsencode(root), cache.snapshot, paths, kinds, wire.pack(tuple(rest)), prints.to_bytes()))
    write_atomically(path, _MAGIC + xxhash.xxh3_64_digest(body) + body)


def believable(cache: StatCache, *, read_from_ns: int, read_until_ns: int) -> Fingerprints:
    """Return the fingerprints of *cache*, with `_NEVER` for those that a later edit might leave as they are.

    RACE: a clock that is set back so that it comes to a moment again in which a file was written before, and an edit in just that
    moment that keeps the size, leave no trace. Nor does, on a server whose clock is behind ours by more than the slack, an
    edit within the same tick of its clock as the one before that was read between the two.

    Args:
        cache: what was found.
        read_from_ns: a moment before the first of its files was looked at.
        read_until_ns: a moment after the last of them was.
    """
    found = cache.fingerprints
    # If the clock was set back meanwhile, what was written since bears a time that looks long past: no time is believed.
    if read_until_ns < read_from_ns:
        return Fingerprints([_NEVER] * len(found))
    newest = max(chain(found.column(2), found.column(3)), default=0)
    if newest < read_from_ns - _COARSE_SLACK_NS:
        return found
    return Fingerprints([_NEVER if one.is_racy(read_from_ns) else one for one in found])


def _decode(data: bytes, root: bytes, path: Path) -> StatCache:
    what = "stat cache"
    body = data[len(_MAGIC) + 8 :]
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : len(_MAGIC) + 8] != xxhash.xxh3_64_digest(body):
        wire.damaged(what, "is damaged")
    found_root, snapshot, paths_part, kinds_part, rest, numbers = wire.row(wire.unpack(body, what), 6, what)
    if found_root != root:
        wire.damaged(what, "is of another tree")
    joined = wire.text(paths_part, what)
    paths = joined.split("\0") if joined else []
    kinds, raw = wire.binary(kinds_part, what), wire.binary(numbers, what)
    if len(paths) != len(kinds) or len(raw) != len(paths) * _WIDTH * 8 or (kinds and max(kinds) >= len(FileKind)):
        wire.damaged(what, "has columns that do not belong together")
    packed = wire.row(wire.unpack(wire.binary(rest, what), what), 3, what)
    wire.uints(packed[0], what)
    at = SnapshotId(wire.digest(snapshot, what))
    return StatCache.kept(path, paths=paths, kinds=kinds, packed=packed, numbers=raw, snapshot=at)
