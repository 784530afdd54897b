"""Where the benchmarks work and what they keep.

Invariant: both may be deleted at any time when nothing runs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

CACHE = Path.home() / ".cache" / "epic-lab-benchmarks"

_MEMORY = Path("/dev/shm")
# A file system in memory where there is one: disks of shared machines vary fivefold.
WORKING = _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())
