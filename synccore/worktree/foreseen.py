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

from synccore.treepath import directories_above
from synccore.worktree.scan import NOTHING, statuses
from synccore.worktree.statcache import Fingerprints, StatCache

# To look at so few takes no time that is worth a thought.
_FEW = 64


def foreseen(root: Path, cache: StatCache, now: Fingerprints) -> dict[str, bytes]:
    """Return the rows of what probably is new below *root*, files and directories.

    Args:
        root: the tree.
        cache: what was there at the last look.
        now: what stands at the paths of *cache* by now.
    """
    sizes = now.column(1)
    if sizes.count(NOTHING.size_bytes) < _FEW:
        return {}
    missing = [path for path, size in zip(cache.paths, sizes, strict=True) if size == NOTHING.size_bytes]
    directories = cache.chosen.directories[1:] or sorted(directories_above(cache.paths))
    above = sorted(directories_above(missing))
    gone = {name for name, found in zip(above, statuses(root, above), strict=True) if found == NOTHING}
    rows: dict[str, bytes] = {}
    for old, new in _renamed(root, gone, set(directories)):
        names = [new + name[len(old) :] for some in (cache.paths, directories) for name in _from(old, some)]
        found = statuses(root, names)
        there = zip(names, found.rows(), found.column(1), strict=True)
        rows.update((name, row) for name, row, size in there if size != NOTHING.size_bytes)
    return rows


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
