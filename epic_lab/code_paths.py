"""Where Python finds the synchronised code: the entries for `sys.path` and ``PYTHONPATH``.

Invariant: laptop and VM give the repositories the same order, by name, and the same sub paths, so that an import finds the
same file on both.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from epic_lab.config import Config

SUB_PATHS_FILE = ".synccode_sub_paths"

# A cache younger than this against the file it describes may have missed a second change within one tick of the clock.
_RACY_NS = 2_000_000_000
_CACHE_VERSION = 1


class PathProblem(NamedTuple):
    """A line of a `.synccode_sub_paths` that gives no path, and why; line 0 is the file as a whole."""

    file: Path
    line: int
    fault: str


class CodePaths(NamedTuple):
    """The folders to import from, in order, and the lines that named none."""

    paths: tuple[Path, ...]
    problems: tuple[PathProblem, ...] = ()


class _SubPaths(NamedTuple):
    """The lines of one `.synccode_sub_paths` with their numbers, and what identifies the file's state."""

    stamp: tuple[int, int, int]
    lines: tuple[tuple[int, str], ...]


def code_roots(config: Config | None, code_home: Path) -> tuple[Path, ...]:
    """Return the folders of this machine's repositories: a laptop's configured ones, or what stands in *code_home*.

    Without a configuration the machine counts as a VM.

    Raises:
        LabError: a laptop's configuration is wrong.
    """
    if config is not None and config.is_laptop:
        return tuple(folder.root for folder in config.require_repos())
    try:
        names = [name for name in os.listdir(code_home) if not name.startswith(".")]  # noqa: PTH208 - names are wanted
    except OSError:
        return ()
    return tuple(code_home / name for name in sorted(names))


def code_paths(roots: Iterable[Path], *, cache: Path | None = None) -> CodePaths:
    """Return what the repositories at *roots* put on Python's path.

    A repository whose root has a `.synccode_sub_paths` puts the folders that it lists there, one relative path a line
    (``.`` is the root itself, ``#`` begins a comment); any other puts its root. A listed path that is not inside the root,
    links followed, or is no folder, is left out and reported. A root that does not exist is left out.

    Args:
        roots: the repositories' folders, in any order.
        cache: a file in which the lines are kept under the identity of the files they come from, so that an unchanged
            `.synccode_sub_paths` is not opened again. Whatever is wrong with it, the answer is the same.
    """
    known = _load(cache)
    seen: dict[str, _SubPaths] = {}
    paths: dict[Path, None] = {}
    problems: list[PathProblem] = []
    for root in sorted(roots, key=lambda root: root.name):
        if not os.path.isdir(root):  # noqa: PTH112 - Path.is_dir() may raise
            continue
        try:
            sub_paths = _sub_paths(root, known)
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
            problems.append(PathProblem(root / SUB_PATHS_FILE, 0, f"cannot be read ({why}); the root stands in"))
            sub_paths = None
        if sub_paths is None:
            paths[root] = None
            continue
        seen[str(root)] = sub_paths
        for number, text in sub_paths.lines:
            fault = _fault(root, text)
            if fault is None:
                paths[root / text] = None
            else:
                problems.append(PathProblem(root / SUB_PATHS_FILE, number, f"{text!r} {fault}"))
    if cache is not None and seen != known:
        _store(cache, seen)
    return CodePaths(tuple(paths), tuple(problems))


def _sub_paths(root: Path, known: dict[str, _SubPaths]) -> _SubPaths | None:
    """Return the lines of *root*'s file, from *known* where that is still true; ``None`` where there is no file."""
    file = root / SUB_PATHS_FILE
    try:
        found = os.stat(file)  # noqa: PTH116 - three numbers, at a third of the cost
    except (FileNotFoundError, NotADirectoryError):
        return None
    stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
    earlier = known.get(str(root))
    if earlier is not None and earlier.stamp == stamp:
        return earlier
    texts = enumerate(map(str.strip, file.read_text(encoding="utf-8-sig").splitlines()), start=1)
    return _SubPaths(stamp, tuple((number, text) for number, text in texts if text and not text.startswith("#")))


def _fault(root: Path, text: str) -> str | None:
    """Say what is wrong with the sub path *text* of *root*, or ``None``."""
    if "\\" in text or "\0" in text or re.match(r"/|~|[A-Za-z]:", text):
        return "is not a relative path with forward slashes"
    if ".." in text.split("/"):
        return "leaves the repository"
    real_root, real = os.path.realpath(root), os.path.realpath(root / text)
    if real != real_root and not real.startswith(real_root + os.sep):
        return "leaves the repository by a link"
    if not os.path.isdir(real):  # noqa: PTH112 - a string is at hand
        return "is no folder of this repository"
    return None


def _load(cache: Path | None) -> dict[str, _SubPaths]:
    if cache is None:
        return {}
    import json

    try:
        found = cache.stat()
        document = json.loads(cache.read_bytes())
        if document["version"] != _CACHE_VERSION:
            return {}
        entries = {
            root: _SubPaths(tuple(stamp), tuple((int(number), str(text)) for number, text in lines))
            for root, (stamp, lines) in document["repos"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {root: entry for root, entry in entries.items() if entry.stamp[0] < found.st_mtime_ns - _RACY_NS}


def _store(cache: Path, seen: dict[str, _SubPaths]) -> None:
    """Keep *seen* for next time; a disk that refuses costs only that."""
    import json

    document = {"version": _CACHE_VERSION, "repos": {root: list(entry) for root, entry in seen.items()}}
    beside = cache.with_name(f"{cache.name}.{os.getpid()}")
    try:
        beside.write_bytes(json.dumps(document).encode())
        beside.replace(cache)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
