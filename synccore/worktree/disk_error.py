"""The one place where an `OSError` of a working tree becomes an error of the engine.

Invariant: the message names the path, says what was being done and what the system answered, and what helps.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from synccore.errors import ErrorKind, WorktreeError

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space and run this again",
    errno.EDQUOT: "your disk quota is used up: free some space and run this again",
    errno.EFBIG: "the file is larger than this file system or `ulimit -f` allows",
    errno.EROFS: "the file system is mounted read-only: mount it writable, or use another folder",
    errno.EACCES: "check who owns it and its folder, and that you may write there",
    errno.EPERM: "the system forbids it: check for an immutable attribute, and who owns it",
    errno.EMFILE: "too many files are open in this process: raise `ulimit -n`",
    errno.ENFILE: "too many files are open on this machine: end some programs and run this again",
    errno.ENAMETOOLONG: "the name is longer than this file system allows: shorten it at its origin",
    errno.ENOTDIR: "a file or link stands where a folder was expected: move it away",
    errno.ELOOP: "a symbolic link stands where none is followed: move it away",
    errno.ENOENT: "its folder was removed or renamed meanwhile: run this again",
    errno.EIO: "the disk reports a fault: check it before you go on",
}


def worktree_error(error: OSError, path: Path | str, doing: str) -> WorktreeError:
    """Translate *error*, met while *doing* (an infinitive: ``write``) something to *path*."""
    text = f"cannot {doing} {path}: {error.strerror or error}"
    remedy = _REMEDIES.get(error.errno or 0)
    return WorktreeError(
        ErrorKind.WORKTREE,
        f"{text}; {remedy}" if remedy else text,
        path=os.fspath(path),
        errno=error.errno,
    )
