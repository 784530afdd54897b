"""The stat cache: which content a file had when its times and size were such and such.

Invariant: an entry is used only if nothing can have happened to the file since it was read; whatever could have changed
without leaving a trace in type, size, times or inode number is read again. The file is a cache: a missing, damaged or
foreign one is an empty one.
"""

from __future__ import annotations

import os
import stat
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple, cast

import xxhash

from synccore import wire
from synccore.digest import Digest
from synccore.errors import ErrorKind, IntegrityError, InvalidInputError, WorktreeError
from synccore.gitfacts import Differing
from synccore.journal import Known
from synccore.manifest import Entry
from synccore.provenance import SnapshotId
from synccore.treepath import TreePath
from synccore.worktree.atomic import write_atomically
from synccore.worktree.chosen import NOTHING_CHOSEN, Chosen
from synccore.worktree.columns import Columns, picked, runs_of
from synccore.worktree.grounds import Grounds
from synccore.worktree.status_rows import MARK_BYTES, NAMES_AT, ROW_BYTES, facts, packed, sizes_of, split, split_rows

_MAGIC = b"\x89EPLS\x07\x00\x00"
_SIZES = struct.Struct("<QQQQ")
_FIELDS = 10
_WHAT = "stat cache"

# A write may bear a time stamp a little older than itself: the kernel's clock for files ticks every 1 to 10 ms, other
# machines' clocks differ a little, and some file systems keep whole seconds or even (FAT) every second one. A stamp in whole
# hundredths of a second is taken as the sign of such a one; elsewhere it is that by chance once in ten million.
_SLACK_NS = 100_000_000
MAX_SLACK_NS = 2_000_000_000 + _SLACK_NS
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
        if newest < read_from_ns - MAX_SLACK_NS:
            return False
        slack = MAX_SLACK_NS if self.mtime_ns % _COARSE_UNIT_NS == 0 else _SLACK_NS
        return newest >= read_from_ns - slack


# What a `Fingerprint` is made of, in its order.
Facts = tuple[int, int, int, int, int]

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
        self._bytes = packed(rows)

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
        return len(self._bytes) // (ROW_BYTES)

    def __getitem__(self, number: int) -> Fingerprint:
        return Fingerprint._make(self._numbers(number, number + 1))

    def __iter__(self) -> Iterator[Fingerprint]:
        flat = iter(self._numbers(0, len(self)))
        return map(Fingerprint, flat, flat, flat, flat, flat)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprints) and self._bytes == other._bytes

    __hash__ = None  # type: ignore[assignment]  # nothing keys on them

    def part(self, start: int, end: int) -> bytes:
        """Return the rows from *start* up to *end*, as `to_bytes` does."""
        return self._bytes[start * ROW_BYTES : end * ROW_BYTES]

    def column(self, number: int) -> array[int]:
        """Return the field *number* of every row."""
        return self._numbers(0, len(self))[number::_WIDTH]

    def rows(self) -> list[bytes]:
        """Return each row as bytes, which `from_bytes` takes joined."""
        return split_rows(self._bytes)

    def with_rows(self, numbers: Sequence[int], rows: Sequence[Fingerprint]) -> Fingerprints:
        """Return these with *rows* in place of those that have *numbers*."""
        width = ROW_BYTES
        data = bytearray(self._bytes)
        for number, row in zip(numbers, Fingerprints(rows).rows(), strict=True):
            data[number * width : (number + 1) * width] = row
        return Fingerprints.from_bytes(bytes(data))

    def differing(self, other: Fingerprints) -> list[int]:
        """Return the numbers of the rows in which *other*, which has as many, differs."""
        mine, others, width = self._bytes, other._bytes, ROW_BYTES
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
        numbers.frombytes(self.part(start, end))
        return numbers


NO_FINGERPRINTS = Fingerprints()
NO_COLUMNS = Columns.of([])


class StatCache:
    """What was there at the last scan.

    An unchanged tree is found to be so from the paths and fingerprints alone, and of one edit the row is changed; the
    entries are made when they are asked for, which takes 1 µs each.

    Attributes:
        paths: in path order; of a loaded cache they are mere strings, which were paths when they were kept.
        columns: the entries at them.
        fingerprints: one for each, in the same order; `_NEVER` where the entry was racy.
        snapshot: the id of the tree.
        chosen: how the paths were chosen, if these are all that were and they need not be chosen anew.
        grounds: what the list from which the paths were chosen followed from; ``None`` where that is not known.
        above: a fingerprint for each directory of *chosen*, and then for each name of *grounds*; none where nobody has looked.
        differing: what git tracks and found to differ from a commit when these were found; ``None`` where that is not known.
        mark: of what was loaded, by which it is known again; of anything else, nothing.
    """

    def __init__(
        self,
        paths: Sequence[str],
        columns: Columns,
        fingerprints: Fingerprints,
        snapshot: SnapshotId,
        *,
        chosen: Chosen = NOTHING_CHOSEN,
        path: Path | None = None,
        mark: bytes = b"",
        grounds: Grounds | None = None,
        above: Fingerprints = NO_FINGERPRINTS,
        differing: Differing | None = None,
    ) -> None:
        """Put together what was found, or what is kept at *path*."""
        self.paths = paths
        self.columns = columns
        self.fingerprints = fingerprints
        self.snapshot = snapshot
        self.chosen = chosen
        self.mark = mark
        self.grounds = grounds
        self.above = above
        self.differing = differing
        self._path = path
        self._tree: dict[TreePath, Entry] | None = None

    @classmethod
    def of(
        cls,
        tree: dict[TreePath, Entry],
        fingerprints: Fingerprints,
        snapshot: SnapshotId | None = None,
        *,
        chosen: Chosen = NOTHING_CHOSEN,
    ) -> StatCache:
        """Return the cache of *tree*, which is in path order; its id is worked out if it is not known."""
        paths, columns = list(tree), Columns.of(list(tree.values()))
        at = columns.snapshot_id(paths) if snapshot is None else snapshot
        made = cls(paths, columns, fingerprints, at, chosen=chosen)
        made._tree = tree
        return made

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, StatCache)
            and self.paths == other.paths
            and self.columns == other.columns
            and self.fingerprints == other.fingerprints
            and self.snapshot == other.snapshot
            and self.chosen == other.chosen
            and self.grounds == other.grounds
            and self.above == other.above
            and self.differing == other.differing
        )

    __hash__ = None  # type: ignore[assignment]  # it is no value to key on

    @property
    def tree(self) -> dict[TreePath, Entry]:
        """The entries, in path order; not to be changed.

        Raises:
            WorktreeError: what was kept has the right checksum and makes no sense; it is removed.
        """
        if self._tree is None:
            with self._making_sense():
                checked = self.paths
                if not checked or not isinstance(checked[0], TreePath):
                    checked = wire.paths(tuple(checked), _WHAT)
                self._tree = self.columns.entries(cast("Sequence[TreePath]", checked))
        return self._tree

    @property
    def size_bytes(self) -> int:
        """The sum of the sizes of all entries."""
        return self.columns.size_bytes

    def entry(self, row: int) -> Entry:
        """Return the entry at the path number *row*; errors as for `tree`."""
        with self._making_sense():
            return self.columns.entry(row)

    def entries(self, rows: Mapping[TreePath, int]) -> dict[TreePath, Entry]:
        """Return the entries in *rows*, each with a path that may be another than that in its row; errors as for `tree`."""
        with self._making_sense():
            return self.columns.picked(list(rows.values()), NO_COLUMNS).entries(list(rows))

    def known(self, rows: Mapping[TreePath, int]) -> dict[TreePath, Known]:
        """Return what the entries in *rows* look like on a disk."""
        return dict(zip(rows, self.columns.known(list(rows.values())), strict=True))

    def rearranged(
        self,
        paths: Sequence[TreePath],
        rows: Sequence[int],
        came: Sequence[Entry],
        found: Fingerprints,
        *,
        chosen: Chosen,
    ) -> StatCache:
        """Return the cache that has at *paths*, in path order, what is in *rows* here, those beyond the last being what *came* and was *found*."""
        with self._making_sense():
            columns = self.columns.picked(rows, Columns.of(came))
        prints = self.fingerprints.to_bytes() + found.to_bytes()
        gathered = Fingerprints.from_bytes(picked(prints, runs_of(rows), ROW_BYTES))
        return StatCache(paths, columns, gathered, columns.snapshot_id(paths), chosen=chosen, path=self._path)

    def have_chunk(self, digest: Digest) -> bool:
        """Tell whether *digest* is that of a chunk of some entry; errors as for `tree`."""
        with self._making_sense():
            return self.columns.have_chunk(digest)

    def recognise(self, paths: Sequence[TreePath]) -> None:
        """Take *paths*, which are equal to those kept, for the keys of the tree, so that they need not be checked again."""
        self.paths = paths

    def row_of(self, path: str) -> int | None:
        """Return the number of *path*; ``None`` if it is not among those kept."""
        row = bisect_left(self.paths, path)
        return row if row < len(self.paths) and self.paths[row] == path else None

    def with_rows(self, rows: Mapping[int, tuple[Entry, Fingerprint]], *, chosen: Chosen) -> StatCache:
        """Return what this is with other entries at some of its paths."""
        columns = self.columns.with_rows({row: entry for row, (entry, _) in rows.items()})
        prints = self.fingerprints.with_rows(list(rows), [found for _, found in rows.values()])
        # Of a content that is cut in another way the id is the same.
        snapshot = self.snapshot if columns == self.columns else columns.snapshot_id(self.paths)
        return StatCache(self.paths, columns, prints, snapshot, chosen=chosen, path=self._path)

    @contextmanager
    def _making_sense(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, InvalidInputError) as error:
            if self._path is not None:
                with suppress(OSError):
                    self._path.unlink()
            raise WorktreeError(
                ErrorKind.WORKTREE,
                f"{self._path} was damaged ({error.message}) and is removed: run this again, it will be made anew",
                path=str(self._path),
            ) from error


EMPTY = StatCache.of({}, Fingerprints())


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
    believed = partial(believable, read_from_ns=read_from_ns, read_until_ns=read_until_ns)
    rows = believed(cache.fingerprints).to_bytes() + believed(cache.above).to_bytes()
    key, directories, executable = cache.chosen
    names = None if executable is None else sorted(executable)
    grounds, names_of_grounds = (None, ()) if cache.grounds is None else (cache.grounds[1:], cache.grounds.names)
    joined = ["\0".join(part).encode() for part in (cache.paths, directories, names_of_grounds)]
    facts_of_git = (
        None
        if cache.differing is None
        else (*cache.differing[:1], list(cache.differing.paths), cache.differing.tracked)
    )
    rest = wire.pack((os.fsencode(root), cache.snapshot, key, names, facts_of_git, grounds, *cache.columns))
    body = b"".join((_SIZES.pack(*map(len, joined), len(rows)), *joined, rows, rest))
    write_atomically(path, _MAGIC + xxhash.xxh3_64_digest(body) + body)


def believable(found: Fingerprints, *, read_from_ns: int, read_until_ns: int) -> Fingerprints:
    """Return what was *found*, with `_NEVER` for those that a later edit might leave as they are.

    RACE: a clock that is set back so that it comes to a moment again in which a file was written before, and an edit in just that
    moment that keeps the size, leave no trace. Nor does, on a server whose clock is behind ours by more than the slack, an
    edit within the same tick of its clock as the one before that was read between the two.

    Args:
        found: the fingerprints.
        read_from_ns: a moment before the first of the files was looked at.
        read_until_ns: a moment after the last of them was.
    """
    # If the clock was set back meanwhile, what was written since bears a time that looks long past: no time is believed.
    if read_until_ns < read_from_ns:
        return Fingerprints([_NEVER] * len(found))
    # 30,000 take 3 ms; asked one by one, and one of them is new after every edit, they took 30.
    limit = read_from_ns - MAX_SLACK_NS
    times = zip(found.column(2), found.column(3), strict=True)
    recent = [row for row, (mtime_ns, ctime_ns) in enumerate(times) if mtime_ns >= limit or ctime_ns >= limit]
    racy = [row for row in recent if found[row].is_racy(read_from_ns)]
    return found.with_rows(racy, [_NEVER] * len(racy)) if racy else found


def _decode(data: bytes, root: bytes, path: Path) -> StatCache:
    mark, whole = data[:MARK_BYTES], memoryview(data)
    if len(data) < NAMES_AT or mark != _MAGIC + xxhash.xxh3_64_digest(whole[MARK_BYTES:]):
        wire.damaged(_WHAT, "is damaged")
    bounds = list(accumulate(sizes_of(data), initial=NAMES_AT))
    rows_at, rest_at = bounds[-2:]
    try:
        paths, directories, grounds_names = (split(data[start:end]) for start, end in pairwise(bounds[:-1]))
    except UnicodeDecodeError:
        wire.damaged(_WHAT, "has names that are not UTF-8")
    found_root, snapshot, key, executable, differing, grounds, *columns_part = wire.row(
        wire.unpack(data[rest_at:], _WHAT), _FIELDS, _WHAT
    )
    if found_root != root:
        wire.damaged(_WHAT, "is of another tree")
    columns = Columns(*(wire.binary(column, _WHAT) for column in columns_part))
    above_at = rows_at + len(paths) * ROW_BYTES
    if not columns.belong_together(len(paths)) or rest_at - above_at not in {
        0,
        (len(directories) + len(grounds_names)) * ROW_BYTES,
    }:
        wire.damaged(_WHAT, "has columns that do not belong together")
    names = None if executable is None else [wire.text(name, _WHAT) for name in wire.rows(executable, _WHAT)]
    chosen = Chosen(wire.binary(key, _WHAT), directories, None if names is None else frozenset(names))
    at = SnapshotId(wire.digest(snapshot, _WHAT))
    return StatCache(
        paths,
        columns,
        Fingerprints.from_bytes(data[rows_at:above_at]),
        at,
        chosen=chosen,
        path=path,
        mark=mark,
        grounds=_parse_grounds(grounds, grounds_names),
        above=Fingerprints.from_bytes(data[above_at:rest_at]),
        differing=_parse_differing(differing),
    )


def _parse_grounds(value: wire.Packed, names: list[str]) -> Grounds | None:
    if value is None:
        return None
    circumstances, listed, untracked = wire.row(value, 3, _WHAT)
    found = tuple(wire.text(path, _WHAT) for path in wire.rows(untracked, _WHAT))
    return Grounds(tuple(names), wire.binary(circumstances, _WHAT), wire.uint(listed, _WHAT), found)


def _parse_differing(value: wire.Packed) -> Differing | None:
    if value is None:
        return None
    commit, paths, tracked = wire.row(value, 3, _WHAT)
    named = tuple(wire.text(path, _WHAT) for path in wire.rows(paths, _WHAT))
    return Differing(None if commit is None else wire.text(commit, _WHAT), named, wire.binary(tracked, _WHAT))
