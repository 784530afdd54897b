"""The stat cache: which content a file had when its times and size were such and such.

Invariant: an entry is used only if nothing can have happened to the file since it was read; whatever could have changed
without leaving a trace in type, size, times or inode number is read again. The file is a cache: a missing, damaged or
foreign one is an empty one.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import NamedTuple

import xxhash

from synccore import wire
from synccore.errors import IntegrityError
from synccore.manifest import Entry, parse_tree, tree_rows
from synccore.provenance import SnapshotId
from synccore.snapshot import snapshot_id
from synccore.treepath import TreePath
from synccore.worktree.atomic import write_atomically

_MAGIC = b"\x89EPLS\x01\x00\x00"

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
        newest = max(self.mtime_ns, self.ctime_ns)
        slack = _COARSE_SLACK_NS if self.mtime_ns % _COARSE_UNIT_NS == 0 else _SLACK_NS
        return newest >= read_from_ns - slack


_NEVER = Fingerprint(0, 0, 0, 0, 0)


def fingerprint(status: os.stat_result) -> Fingerprint:
    """Return the fingerprint of what `os.lstat` has said."""
    return Fingerprint(
        status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & 0xFFFF_FFFF_FFFF_FFFF
    )


def is_link(found: Fingerprint) -> bool:
    """Tell whether it is that of a symbolic link."""
    return stat.S_ISLNK(found.mode)


@dataclass(frozen=True, slots=True)
class StatCache:
    """What was there at the last scan.

    Attributes:
        tree: the entries, in path order.
        fingerprints: one for each, in the same order; `_NEVER` where the entry was racy.
        snapshot: the id of the tree.
    """

    tree: dict[TreePath, Entry]
    fingerprints: tuple[Fingerprint, ...]
    snapshot: SnapshotId

    def by_path(self) -> dict[TreePath, tuple[Fingerprint, Entry]]:
        """Return what to compare a path with."""
        return dict(zip(self.tree, zip(self.fingerprints, self.tree.values(), strict=True), strict=True))


EMPTY = StatCache({}, (), snapshot_id({}))


def load_stat_cache(path: Path, root: Path) -> StatCache:
    """Return the cache kept at *path* for the tree at *root*, or an empty one if there is none that can be used."""
    try:
        data = path.read_bytes()
    except OSError:
        return EMPTY
    try:
        return _decode(data, os.fsencode(root))
    except IntegrityError:
        return EMPTY


def store_stat_cache(path: Path, root: Path, cache: StatCache, *, read_from_ns: int, read_until_ns: int) -> None:
    """Keep at *path* what is `believable` of *cache* for the tree at *root*."""
    numbers = array("Q", chain.from_iterable(believable(cache, read_from_ns=read_from_ns, read_until_ns=read_until_ns)))
    tree = tree_rows(list(cache.tree), list(cache.tree.values()))
    body = wire.pack((os.fsencode(root), cache.snapshot, tree, numbers.tobytes()))
    write_atomically(path, _MAGIC + xxhash.xxh3_64_digest(body) + body)


def believable(cache: StatCache, *, read_from_ns: int, read_until_ns: int) -> tuple[Fingerprint, ...]:
    """Return the fingerprints of *cache*, with `_NEVER` for those that a later edit might leave as they are.

    RACE: a clock that is set back so that it comes to a moment again in which a file was written before, and an edit in just that
    moment that keeps the size, leave no trace. Nor does, on a server whose clock is behind ours by more than the slack, an
    edit within the same tick of its clock as the one before that was read between the two.

    Args:
        cache: what was found.
        read_from_ns: a moment before the first of its files was looked at.
        read_until_ns: a moment after the last of them was.
    """
    # If the clock was set back meanwhile, what was written since bears a time that looks long past: no time is believed.
    if read_until_ns < read_from_ns:
        return (_NEVER,) * len(cache.fingerprints)
    return tuple([_NEVER if found.is_racy(read_from_ns) else found for found in cache.fingerprints])


def _decode(data: bytes, root: bytes) -> StatCache:
    what = "stat cache"
    body = data[len(_MAGIC) + 8 :]
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : len(_MAGIC) + 8] != xxhash.xxh3_64_digest(body):
        wire.damaged(what, "is damaged")
    found_root, snapshot, tree_part, numbers_part = wire.row(wire.unpack(body, what), 4, what)
    if found_root != root:
        wire.damaged(what, "is of another tree")
    tree = parse_tree(tree_part, what)
    numbers = array("Q")
    raw = wire.binary(numbers_part, what)
    if len(raw) != len(tree) * len(Fingerprint._fields) * numbers.itemsize:
        wire.damaged(what, "has columns of different lengths")
    numbers.frombytes(raw)
    return StatCache(tree, tuple(_grouped(numbers)), SnapshotId(wire.digest(snapshot, what)))


def _grouped(numbers: array[int]) -> Iterator[Fingerprint]:
    flat = iter(numbers)
    return map(Fingerprint, *repeat(flat, len(Fingerprint._fields)))
