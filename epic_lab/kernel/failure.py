"""What went wrong, as one line of text.

Invariant: nothing here raises, whatever it is given and whatever state the disk and the process are in.
"""

from __future__ import annotations

from pathlib import Path

from epic_lab.bugs import save_traceback
from epic_lab.errors import LabError, LabErrorKind, hint_for
from synccore.errors import ErrorKind, SyncError

_OFFLINE = (ErrorKind.UNAVAILABLE, ErrorKind.UNREACHABLE, ErrorKind.DEADLINE)


def is_offline(error: BaseException) -> bool:
    """Tell whether *error* only says that the store could not be reached now."""
    return isinstance(error, SyncError) and error.kind in _OFFLINE


def reason(error: BaseException, state_dir: Path | None) -> str:
    """Say what happened and what to do about it, without a line break.

    The traceback of what nobody expects is saved below *state_dir*.
    """
    if isinstance(error, LabError) and error.kind is LabErrorKind.NO_CONFIGURATION:
        return _one_line(
            f"{error.message}; on a VM run `epic-synccode configure-vm --base-url URL --username NAME`, "
            "on a laptop run `epic-synccode upload`, which says what to write"
        )
    if is_offline(error):
        return _one_line(str(error))
    if isinstance(error, LabError | SyncError):
        return _one_line(f"{error.message.rstrip('.')}. {hint_for(error)}")
    if isinstance(error, KeyboardInterrupt | MemoryError):
        return "interrupted" if isinstance(error, KeyboardInterrupt) else "there is not enough memory"
    if isinstance(error, ImportError):
        return _one_line(f"this installation of epic-lab is incomplete ({error}); run `pip install --upgrade epic-lab`")
    return _bug(error, state_dir)


def _bug(error: BaseException, state_dir: Path | None) -> str:
    try:
        what = _one_line(f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - an exception whose text cannot be made
        what = type(error).__name__
    saved = None if state_dir is None else save_traceback(error, state_dir, at_work="in a kernel")
    where = f"the details are in {saved}" if saved is not None else "the details could not be saved"
    return f"this is a bug in epic-lab: {what}; {where}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
