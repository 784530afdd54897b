"""The exceptions of the engine, arranged by what a handler would do about them.

Invariant: a vendor's exception is translated into one of these exactly once, where it is born, and every one of them
carries facts (path, key, expectation, finding) from which a reader can act.
"""

from __future__ import annotations

from enum import Enum


class ErrorKind(str, Enum):
    """A stable code for each way in which the engine fails. Append only: the codes are public."""

    NOT_FOUND = "not-found"
    NO_HEAD = "no-head"
    NO_BUCKET = "no-bucket"
    KEY_TAKEN = "key-taken"
    VERSION_MOVED = "version-moved"
    UNSEEN_SNAPSHOT = "unseen-snapshot"
    DELETION_GUARD = "deletion-guard"
    DAMAGED_OBJECT = "damaged-object"
    DAMAGED_STATE = "damaged-state"
    NEWER_FORMAT = "newer-format"
    REFUSED = "refused"
    NO_CREDENTIALS = "no-credentials"
    BACKEND = "backend"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    DEADLINE = "deadline"
    WORKTREE = "worktree"
    UNSTABLE_FILE = "unstable-file"
    PROBLEMS = "problems"
    LOCKED = "locked"
    BAD_PATH = "bad-path"
    BAD_INPUT = "bad-input"
    TREE_TAKEN = "tree-taken"
    NOT_SAVED = "not-saved"


class SyncError(Exception):
    """Anything that the engine reports to its caller.

    Attributes:
        kind: the stable code.
        message: one line: what happened, where, expected against found.
        facts: the same as named values, for programs.
    """

    def __init__(self, kind: ErrorKind, message: str, **facts: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.facts = facts


class NotFoundError(SyncError):
    """Something that was asked for is not there: look elsewhere, or create it."""


class ConflictError(SyncError):
    """Someone else changed it first; nothing was overwritten."""


class IntegrityError(SyncError):
    """Stored bytes are not what their name or checksum says; keep the evidence."""


class BackendError(SyncError):
    """The storage refused the request for good."""


class UnavailableError(BackendError):
    """The storage may answer later: the only class that a retry may catch."""


class WorktreeError(SyncError):
    """The local disk refused; always carries the path in its facts."""


class InvalidInputError(SyncError):
    """The caller asked for something that cannot be."""
