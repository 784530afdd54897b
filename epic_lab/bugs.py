"""Where the traceback of a bug goes, so that nobody has to look at one.

Invariant: nothing here raises; the bug itself is what matters.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def save_traceback(error: BaseException, state_dir: Path, *, at_work: str) -> Path | None:
    """Write down all that is known of *error* below *state_dir* and return where; ``None`` where the disk refuses.

    Args:
        error: what nobody expected.
        state_dir: the private folder of the lab's state.
        at_work: what was being done, for the first line.
    """
    try:
        import platform
        import time
        import traceback

        from epic_lab.version import VERSION

        head = f"epic-lab {VERSION}, Python {platform.python_version()}, {platform.platform()}\n{at_work}: {sys.argv!r}\n\n"
        text = head + "".join(traceback.format_exception(type(error), error, error.__traceback__))
        folder = state_dir / "tracebacks"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.txt"
        file.write_text(text, encoding="utf-8", errors="backslashreplace")
    except Exception:  # noqa: BLE001 - the bug itself is what matters
        return None
    return file
