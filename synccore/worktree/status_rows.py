"""What stands at many paths, as rows of numbers; run as a program it looks at the paths of a stat cache beside another process.

    python -I -S status_rows.py ROOT STAT_CACHE

writes the mark of the stat cache, and then the rows of its names, to the standard output.

Invariant: nothing is imported that does not come with the interpreter, so that the program is at work 9 ms after it was started.
"""

from __future__ import annotations

import os
import sys
from array import array
from itertools import chain
from operator import attrgetter

TYPE_CHECKING = False  # that of `typing` takes 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Of an `os.stat_result`, in the order of `synccore.worktree.statcache.Fingerprint`.
facts = attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")
NOTHING_THERE = (0, -1, 0, 0, 0)
CANNOT_BE_TOLD = (0, -2, 0, 0, 0)
_NO_BEGINNING = "\0"
ROW_BYTES = 8 * len(NOTHING_THERE)

# So many are looked at, and written by the program, at a time.
PART = 1024

# A stat cache begins with a mark, which no other has, and with four numbers of 64 bits: how many bytes its paths, its directories, the names of
# its grounds and the rows of all three take, which follow; there is a NUL between one name and the next.
MARK_BYTES = 16
NAMES_AT = MARK_BYTES + 32


def packed(rows: Iterable[tuple[int, ...]]) -> bytes:
    """Return *rows* one after the other, in this machine's byte order; what does not fit into 64 bits is kept modulo 2**64."""
    listed = list(rows)
    try:
        return array("q", chain.from_iterable(listed)).tobytes()
    except OverflowError:
        return array("q", [(number + 2**63) % 2**64 - 2**63 for number in chain.from_iterable(listed)]).tobytes()


def split_rows(rows: bytes) -> list[bytes]:
    """Return each of *rows*, which `packed` has put one after the other."""
    return [rows[at : at + ROW_BYTES] for at in range(0, len(rows), ROW_BYTES)]


def rows_of(status: Callable[[str], os.stat_result], names: Iterable[str]) -> bytes:
    """Return the row of each of *names*, whatever may stand there: where nothing does, `NOTHING_THERE`, and where none can look, `CANNOT_BE_TOLD`."""
    rows = []
    gone = _NO_BEGINNING
    for name in names:
        # Where a directory was renamed nothing below its old name is there: 11,694 times to be told so takes 60 ms.
        if name.startswith(gone):
            rows.append(NOTHING_THERE)
            continue
        try:
            rows.append(facts(status(name)))
        except FileNotFoundError:
            rows.append(NOTHING_THERE)
            gone = _gone_above(status, name)
        except (OSError, ValueError):
            rows.append(CANNOT_BE_TOLD)
    return packed(rows)


def _gone_above(status: Callable[[str], os.stat_result], name: str) -> str:
    """Return the topmost directory above *name* that is not there, with a slash; if all are, what no name begins with."""
    gone = _NO_BEGINNING
    above = name.rpartition("/")[0]
    while above:
        try:
            status(above)
            break
        except FileNotFoundError:
            gone = f"{above}/"
        except (OSError, ValueError):
            break
        above = above.rpartition("/")[0]
    return gone


def bounds_of(names: int) -> list[tuple[int, int]]:
    """Return where the parts of so many *names* begin and end; the last has the rest as well."""
    starts = range(0, max(names - PART, 0) + 1, PART) if names else range(0)
    return list(zip(starts, [*starts[1:], names]))  # noqa: B905 - both begin with as many as there are parts


def split(joined: bytes) -> list[str]:
    """Return the names that are *joined* in a stat cache.

    Raises:
        UnicodeDecodeError: they are none.
    """
    return joined.decode().split("\0") if joined else []


def sizes_of(head: bytes) -> tuple[int, int, int, int]:
    """Return how many bytes the paths, the directories, the grounds and the rows of the stat cache take whose first `NAMES_AT` bytes are *head*."""
    paths, directories, grounds, rows = (
        int.from_bytes(head[at : at + 8], "little") for at in range(MARK_BYTES, NAMES_AT, 8)
    )
    return paths, directories, grounds, rows


def look(root: str, stat_cache: str) -> Iterator[bytes]:
    """Look at all that a stat cache knows of the tree at *root*: its mark, and then the rows, some at a time.

    Raises:
        OSError, UnicodeDecodeError: there is no such cache, or no such tree.
    """
    with open(stat_cache, "rb") as file:
        head = file.read(NAMES_AT)
        names = [name for size in sizes_of(head)[:3] for name in split(file.read(size))]
    yield head[:MARK_BYTES]
    opened = os.open(root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        for start, end in bounds_of(len(names)):
            yield rows_of(_status_below(opened), names[start:end])
    finally:
        os.close(opened)


def _status_below(opened: int) -> Callable[[str], os.stat_result]:
    lstat = os.lstat
    return lambda name: lstat(name, dir_fd=opened)


def holds(root: str, stat_cache: str) -> bytes:
    """Return the mark of a stat cache if its directories and its grounds are as they were; nothing if not, or if there are no grounds.

    Raises:
        OSError, UnicodeDecodeError: there is no such cache, or no such tree.
    """
    with open(stat_cache, "rb") as file:
        head = file.read(NAMES_AT)
        paths, directories, grounds, rows = sizes_of(head)
        if not grounds:
            return b""
        file.seek(paths, os.SEEK_CUR)
        names = [*split(file.read(directories)), *split(file.read(grounds))]
        file.seek(rows - len(names) * ROW_BYTES, os.SEEK_CUR)
        kept = file.read(len(names) * ROW_BYTES)
    opened = os.open(root, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        return head[:MARK_BYTES] if rows_of(_status_below(opened), names) == kept else b""
    finally:
        os.close(opened)


def is_as_kept(stat_cache: str, found: bytes) -> bool:
    """Tell whether what `look` has *found* is just what the stat cache says, directories and grounds too: where it knows of none, something may have come.

    Raises:
        OSError: there is no such cache.
    """
    with open(stat_cache, "rb") as file:
        head = file.read(NAMES_AT)
        paths, directories, grounds, rows = sizes_of(head)
        file.seek(paths + directories + grounds, os.SEEK_CUR)
        return directories > 0 and head[:MARK_BYTES] + file.read(rows) == found


if __name__ == "__main__":
    for some in look(*sys.argv[1:]):
        os.write(1, some)
    os._exit(0)  # to let go of 30,000 names takes 3 ms
