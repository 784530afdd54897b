"""Compiled Python that must not outlive its source.

Python trusts a ``.pyc`` whose recorded time (whole seconds) and size agree with the source, and one compiled with
``unchecked-hash`` in any case. `TreeWriter` gives a rewritten source a later second; here the compiled forms go as well.

Invariant: only files in a real directory called ``__pycache__`` whose names say that Python made them are removed. They
are derived: Python makes them again.

A ``.pyc`` beside its source (``compileall -b``) is of no effect while the source is there, and would be run in its place
afterwards. It may be all that somebody has of a module, so that is the writer's to save, not ours to delete.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Collection
from contextlib import suppress

from synccore.worktree.directory_chain import NOT_A_DIRECTORY, OPEN_DIRECTORY, close_directory, names_in

CACHE_NAME = b"__pycache__"
SOURCE_SUFFIX = ".py"

# What follows the stem: an interpreter's tag, whatever its test runner or optimisation level adds, and the number of a
# write that was cut off: cpython-311.pyc, cpython-311.opt-1.pyc, cpython-311-pytest-8.3.4.pyc, pypy310.pyc.
_TAIL = re.compile(r"(?:[a-z]+-[0-9]|pypy[0-9]).*\.pyc(?:\.[0-9]+)?")
_COMPILED = re.compile(r".*\.pyc(?:\.[0-9]+)?", re.DOTALL)


def stem_of(name: str) -> str | None:
    """Return the module's stem if *name* is that of a Python source."""
    return name[: -len(SOURCE_SUFFIX)] if name.endswith(SOURCE_SUFFIX) and name != SOURCE_SUFFIX else None


def drop_stale(directory: int, stems: Collection[str]) -> None:
    """Remove the compiled forms of the modules *stems* of the open *directory*, and its ``__pycache__`` if empty then.

    The cache is listed once for all of them.
    """

    def is_stale(name: str) -> bool:
        return any(
            name[:dot] in stems and _TAIL.fullmatch(name, dot + 1) is not None
            for dot in range(1, len(name))
            if name[dot] == "."
        )

    _drop(directory, is_stale)


def drop_orphaned(directory: int) -> None:
    """Remove ``__pycache__`` of the open *directory*, which holds no source, as far as it holds compiled modules."""
    _drop(directory, lambda name: _COMPILED.fullmatch(name) is not None)


def holds_only_compiled(cache: int) -> bool:
    """Tell whether everything in the open ``__pycache__`` directory *cache* is a compiled module."""
    return all(_COMPILED.fullmatch(name) for name in names_in(cache))


def _drop(directory: int, is_stale: Callable[[str], bool]) -> None:
    # Here and below: a cache that another user's Python filled (``sudo python``) must not stop a synchronisation for
    # ever. The later second of the rewritten source keeps Python from trusting what stays.
    try:
        cache = os.open(CACHE_NAME, OPEN_DIRECTORY, dir_fd=directory)
    except (FileNotFoundError, PermissionError):
        return
    except OSError as error:
        if error.errno in NOT_A_DIRECTORY:
            return
        raise
    try:
        names = names_in(cache)
        stale = list(filter(is_stale, names))
        for name in stale:
            _unlink_if_allowed(os.fsencode(name), cache)
    finally:
        close_directory(cache)
    if len(stale) == len(names):
        _remove_if_empty(directory)


def _unlink_if_allowed(name: bytes, cache: int) -> None:
    with suppress(FileNotFoundError, PermissionError, IsADirectoryError):
        os.unlink(name, dir_fd=cache)


def _remove_if_empty(directory: int) -> None:
    try:
        os.rmdir(CACHE_NAME, dir_fd=directory)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EPERM, errno.ENOTDIR}:
            raise
