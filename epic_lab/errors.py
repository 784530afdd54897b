"""What went wrong in the lab's own terms, and what to do about anything that goes wrong.

Invariant: every kind of error, the engine's and the lab's, has its remedy here or brings one along, so that no command
and no notebook ever shows a failure without saying what to try.
"""

from __future__ import annotations

from enum import Enum

from synccore.errors import ErrorKind, SyncError


class LabErrorKind(str, Enum):
    """A stable code for each failure that is born outside the engine. Append only: the codes are public."""

    NO_CONFIGURATION = "no-configuration"
    UNREADABLE_CONFIGURATION = "unreadable-configuration"
    BAD_LINE = "bad-line"
    MISSING_KEY = "missing-key"
    BAD_VALUE = "bad-value"
    UNKNOWN_REPO = "unknown-repo"
    MISSING_REPO = "missing-repo"
    OUTSIDE_REPOS = "outside-repos"
    WRONG_MACHINE = "wrong-machine"
    OVERLAPPING_FOLDERS = "overlapping-folders"
    NOT_CONFIRMED = "not-confirmed"
    LOCAL_DISK = "local-disk"
    BAD_MACHINE_NAME = "bad-machine-name"
    BAD_LAUNCH = "bad-launch"
    NO_MACHINE = "no-machine"
    NAME_TAKEN = "name-taken"
    WRONG_STATE = "wrong-state"
    CANNOT_SUSPEND = "cannot-suspend"
    QUOTA_EXCEEDED = "quota-exceeded"
    OUT_OF_STOCK = "out-of-stock"
    NO_PERMISSION = "no-permission"
    API_DISABLED = "api-disabled"
    RATE_LIMITED = "rate-limited"
    NO_SUCH_RESOURCE = "no-such-resource"
    CLOUD_REFUSED = "cloud-refused"
    CLOUD_UNAVAILABLE = "cloud-unavailable"
    CLOUD_UNREACHABLE = "cloud-unreachable"
    STILL_GOING = "still-going"
    SETUP_FAILED = "setup-failed"
    NO_GCLOUD = "no-gcloud"
    NO_TUNNEL = "no-tunnel"


class LabError(Exception):
    """A failure of configuration or use, which the user can mend.

    Attributes:
        kind: the stable code.
        message: one line: what, where, expected against found.
        hint: what to do, possibly several lines, the later ones being what to type or write.
        facts: the same as named values, for programs.
    """

    def __init__(self, kind: LabErrorKind, message: str, *, hint: str, **facts: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.facts = facts


# For a kind that the engine has and the table below has not, which a test forbids: a failure must not fail to be shown.
_ANY_HINT = "The message says what was objected to."

HINTS: dict[ErrorKind, str] = {
    ErrorKind.NOT_FOUND: "`epic-synccode log` shows what the store has; `epic-synccode upload` puts more there.",
    ErrorKind.NO_HEAD: "Run `epic-synccode upload` on the laptop, and compare SYNCCODE_USERNAME and "
    "SYNCCODE_GCS_BASE_URL on both machines.",
    ErrorKind.NO_BUCKET: "Check SYNCCODE_GCS_BASE_URL in ~/.epic/lab; a new bucket or folder must be made first.",
    ErrorKind.KEY_TAKEN: "Somebody else stored this at the same moment; nothing was lost. Run the command again.",
    ErrorKind.VERSION_MOVED: "Another machine uploaded at the same moment; nothing was lost. Run the command again.",
    ErrorKind.UNSEEN_SNAPSHOT: "Another machine uploaded since this one last did; `epic-synccode log` shows what. To put "
    "this machine's code in its place run `epic-synccode upload --force`; what it replaces stays in the history.",
    ErrorKind.DELETION_GUARD: "If the files are meant to be gone run `epic-synccode upload --force`; otherwise check the "
    "folder, its .synccodeignore and SYNCCODE_LOCAL_CODE_BASE.",
    ErrorKind.DAMAGED_OBJECT: "Nothing was written from it. `epic-synccode verify` says what else is damaged and what it "
    "costs; `epic-synccode upload --repair` on the laptop stores the code anew. A damaged head must be moved out of the store first, "
    "and kept for whoever runs the lab: the upload begins a new one, and a new history.",
    ErrorKind.DAMAGED_STATE: "The file holds only what can be found out again: move it away and run the command again.",
    ErrorKind.NEWER_FORMAT: "A newer epic-lab wrote this; upgrade this one: `pip install --upgrade epic-lab`.",
    ErrorKind.REFUSED: "The account has no right to do this there; whoever runs the lab can grant it "
    "(`roles/storage.objectUser` on the bucket).",
    ErrorKind.NO_CREDENTIALS: "Log in with `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS "
    "to a key file.",
    ErrorKind.BACKEND: "The storage will say the same again; the message says what it objected to.",
    ErrorKind.UNAVAILABLE: "Check the network and run the command again; nothing is half done.",
    ErrorKind.UNREACHABLE: "Check the network, and any VPN or proxy, and run the command again; nothing was sent.",
    ErrorKind.DEADLINE: "The storage was too slow; run the command again.",
    ErrorKind.WORKTREE: "Check that the path exists, that you may read and write it, and that the disk has room.",
    ErrorKind.UNSTABLE_FILE: "Something is writing the file: wait for it or stop it, or leave the file out with a line in "
    ".synccodeignore, and upload again.",
    ErrorKind.PROBLEMS: "Mend the paths named above, or leave them out with lines in .synccodeignore, and upload again.",
    ErrorKind.LOCKED: "Another epic-lab process is at work on this folder; wait for it and run the command again.",
    ErrorKind.BAD_PATH: "Rename the path; docs/sync-semantics.md says what a synchronised path may be.",
    ErrorKind.TREE_TAKEN: "Something else appeared in the folder's place meanwhile; nothing was changed. Run the command again.",
    ErrorKind.NOT_SAVED: "`epic-synccode rescued` lists what was saved on this machine.",
    ErrorKind.BAD_INPUT: "Correct what the message names; `--help` says what is expected.",
}


def hint_for(error: SyncError | LabError) -> str:
    """Say what to do about *error*."""
    return error.hint if isinstance(error, LabError) else HINTS.get(error.kind, _ANY_HINT)
