"""Which modules of this process are older than the files that they came from.

A pull in this process says exactly what it wrote. Other kernels of the machine pull too; what they wrote shows in the files'
times, which only ever move forward: a module that was here at our last look and whose file has another time since then is
stale, and so, possibly, is one that was imported since then and whose file is newer than that look. The latter may have been
imported after the change; naming it needlessly is the lesser evil.

Invariant: a module is named only if its file lies in one of the repositories asked about.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

_SOURCE_OF_PACKAGE = "__init__.py"


class ImportedModules:
    """What was known of this process's modules at the last look."""

    def __init__(self, looked_ns: int) -> None:
        """Remember that nothing was known at *looked_ns*, the last time that the files were in step with the store."""
        self._times: dict[tuple[str, str], int | None] = {}
        self._looked_ns = looked_ns

    def changed_by(self, paths: Iterable[Path]) -> set[str]:
        """Return the names of modules whose source is one of *paths*, which have just been written or removed."""
        wanted = {os.path.realpath(path) for path in paths}
        names = {os.path.basename(path) for path in wanted}  # noqa: PTH119 - text is at hand, for a thousand modules
        return {
            module
            for module, source in _sources()
            if os.path.basename(source) in names and os.path.realpath(source) in wanted  # noqa: PTH119
        }

    def changed_below(self, roots: Iterable[Path]) -> set[str]:
        """Return the names of modules from below *roots* whose files changed since the last look."""
        found = set()
        for module, source in _below(roots):
            now = _time(source)
            if (module, source) in self._times:
                is_stale = self._times[module, source] != now
            else:
                is_stale = now is None or now > self._looked_ns
            if is_stale:
                found.add(module)
        return found

    def look(self, roots: Iterable[Path]) -> None:
        """Note what is imported from below *roots*."""
        self._looked_ns = time.time_ns()
        self._times = {(module, source): _time(source) for module, source in _below(roots)}


def _below(roots: Iterable[Path]) -> Iterator[tuple[str, str]]:
    # Both spellings, so that the thousand modules of Python itself need no look at the disk.
    folders = {spelling.rstrip(os.sep) + os.sep for root in roots for spelling in (str(root), os.path.realpath(root))}
    starts = tuple(folders)
    return ((module, source) for module, source in _sources() if starts and source.startswith(starts))


def _sources() -> Iterator[tuple[str, str]]:
    """Yield the name and the source of each module that has one; a namespace package has what would make it an ordinary one."""
    for name, module in list(sys.modules.items()):
        if name == "__main__" or not isinstance(module, ModuleType):
            continue
        spec = module.__spec__
        origin = module.__dict__.get("__file__") or (spec.origin if spec is not None and spec.has_location else None)
        if isinstance(origin, str):
            yield name, _source_of(origin)
        elif "__path__" in module.__dict__:
            # Going through the path itself would make it search for more folders.
            for folder in list(getattr(module.__path__, "_path", module.__path__)):
                yield name, os.path.join(folder, _SOURCE_OF_PACKAGE)  # noqa: PTH118


def _source_of(origin: str) -> str:
    """Return the source that a compiled file stands for; anything else stands for itself."""
    if not origin.endswith(".pyc"):
        return origin
    try:
        return importlib.util.source_from_cache(origin)
    except ValueError:
        return origin[:-1]


def _time(path: str) -> int | None:
    """Return when a source was written; -1 for what would be a package's but for which there is only the folder."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - text is at hand
    except OSError:
        folder, name = os.path.split(path)
        return -1 if name == _SOURCE_OF_PACKAGE and os.path.isdir(folder) else None  # noqa: PTH112
