"""The use cases of saved edits: what downloads moved aside on this machine.

Invariant: the store is not asked and no configuration is needed; what was saved can be got at on a machine that is cut off.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from epic_lab.lab import Lab

if TYPE_CHECKING:
    from synccore.rescued import Difference, Restored, SavedEdit

_SECOND_NS = 10**9


def saved_edits(lab: Lab) -> tuple[SavedEdit, ...]:
    """Return everything that was saved and is still there, newest first.

    Raises:
        SyncError: as `synccore.rescued.list_saved`.
    """
    from synccore.rescued import list_saved

    return list_saved(lab.code_home)


def newest(lab: Lab, names: Sequence[str]) -> list[SavedEdit]:
    """Return what *names* mean, or everything for none; of what was saved several times from one place, the newest.

    Raises:
        SyncError: as `synccore.rescued.find`.
    """
    from synccore.rescued import newest_of_each

    return newest_of_each(every(lab, names))


def every(lab: Lab, names: Sequence[str], *, older_than_seconds: float = 0.0) -> list[SavedEdit]:
    """Return what *names* mean, or everything for none, newest first, if it was saved *older_than_seconds* ago or before.

    Raises:
        SyncError: as `synccore.rescued.find`.
    """
    from synccore.rescued import find

    saved = saved_edits(lab)
    named = {edit.id for name in names for edit in find(saved, name, lab.code_home)}
    latest_ns = time.time_ns() - int(older_than_seconds * _SECOND_NS)
    return [
        edit
        for edit in saved
        if (not names or edit.id in named) and (not older_than_seconds or edit.rescued.when_ns <= latest_ns)
    ]


def differences(lab: Lab, names: Sequence[str]) -> list[Difference]:
    """Compare what *names* mean, or everything, with what stands in its place now.

    Raises:
        SyncError: as `synccore.rescued.find` and `compare`.
    """
    from synccore.rescued import compare

    return [compare(lab.code_home, edit) for edit in newest(lab, names)]


def restore(lab: Lab, names: Sequence[str]) -> tuple[Restored, ...]:
    """Put what *names* mean back into the trees.

    Raises:
        SyncError: as `synccore.rescued.find` and `restore`.
    """
    from synccore import rescued

    return rescued.restore(lab.code_home, newest(lab, names))


def drop(lab: Lab, edits: Sequence[SavedEdit]) -> None:
    """Remove *edits* for good.

    Raises:
        SyncError: as `synccore.rescued.drop`.
    """
    from synccore import rescued

    rescued.drop(lab.code_home, edits)
