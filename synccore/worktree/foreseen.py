"""Where the files of a directory that is gone probably stand by now, looked at while git still lists the tree.

A directory that was renamed has below its new name what it had below the old one. Which names there are only git's list says, and that of
30,000 files is waited for 70 ms when 11,694 have another name; to look at those takes 40, which are gained.

Invariant: nothing takes part because it was foreseen: a row is what a look at that path has shown a moment before it was asked for.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from synccore.treepath import directories_above
from synccore.worktree.scan import NOTHING, kinds_by_modes, statuses
from synccore.worktree.statcache import Fingerprints, StatCache

# To look at so few takes no time that is worth a thought.
_FEW = 64

_NOTHING_ROW = Fingerprints([NOTHING]).to_bytes()


class Foreseen(NamedTuple):
    """What probably is new below a root.

    Attributes:
        rows: the rows of directories, and of the other files.
        moved: those of the files whose status is what it was below the directory's other name, and the rows that they had there.
    """

    rows: dict[str, bytes]
    moved: dict[str, int]


NOTHING_FORESEEN = Foreseen({}, {})


def foreseen(root: Path, cache: StatCache, now: Fingerprints) -> Foreseen:
    """Look at what probably is new below *root*.

    Args:
        root: the tree.
        cache: what was there at the last look.
        now: what stands at the paths of *cache* by now.
    """
    sizes = now.column(1)
    if sizes.count(NOTHING.size_bytes) < _FEW:
        return NOTHING_FORESEEN
    missing = [path for path, size in zip(cache.paths, sizes, strict=True) if size == NOTHING.size_bytes]
    directories = cache.chosen.directories[1:] or sorted(directories_above(cache.paths))
    above = sorted(directories_above(missing))
    gone = {name for name, found in zip(above, statuses(root, above), strict=True) if found == NOTHING}
    rows: dict[str, bytes] = {}
    moved: dict[str, int] = {}
    for old, new in _renamed(root, gone, set(directories)):
        files, above = ([new + name[len(old) :] for name in _from(old, some)] for some in (cache.paths, directories))
        found = statuses(root, files + above)
        start = bisect_left(cache.paths, f"{old}/")
        unlike = _unlike(cache, start, Fingerprints.from_bytes(found.part(0, len(files))))
        moved.update((name, start + number) for number, name in enumerate(files) if number not in unlike)
        rest = [*sorted(unlike), *range(len(files), len(found))]
        names, there = files + above, found.rows()
        rows.update((names[number], there[number]) for number in rest if there[number] != _NOTHING_ROW)
    return Foreseen(rows, moved)


def _unlike(cache: StatCache, start: int, found: Fingerprints) -> set[int]:
    """Return the numbers of those *found* that are not what *cache* has, in the same order, from *start* on."""
    if cache.chosen.executable is not None:
        return set(range(len(found)))  # only git says what is of the same kind
    end = start + len(found)
    unlike = set(Fingerprints.from_bytes(cache.fingerprints.part(start, end)).differing(found))
    kinds, known = kinds_by_modes(found), cache.columns.kinds[start:end]
    if kinds != known:
        unlike.update(number for number, pair in enumerate(zip(kinds, known, strict=True)) if pair[0] != pair[1])
    return unlike


def _renamed(root: Path, gone: AbstractSet[str], known: AbstractSet[str]) -> Iterator[tuple[str, str]]:
    """Yield each directory that is *gone* and alone in that where it was, and the only one there that is not *known*."""
    topmost: dict[str, list[str]] = {}
    for name in gone:
        above = name.rpartition("/")[0]
        if above not in gone:
            topmost.setdefault(above, []).append(name)
    for above, names in topmost.items():
        with suppress(OSError):
            beside = f"{above}/" if above else ""
            with os.scandir(root / above) as entries:
                came = [beside + entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            new = [name for name in came if name not in known and name.rpartition("/")[2] != ".git"]
            if len(names) == len(new) == 1:
                yield names[0], new[0]


def _from(directory: str, names: Sequence[str]) -> Sequence[str]:
    """Return *directory* itself and what lies below it, of *names*, which are in order."""
    below = names[bisect_left(names, f"{directory}/") : bisect_left(names, f"{directory}0")]
    at = bisect_left(names, directory)
    return [directory, *below] if at < len(names) and names[at] == directory else below
