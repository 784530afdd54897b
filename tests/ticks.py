"""The clock by which a file system stamps what is written."""

from __future__ import annotations

from pathlib import Path


def a_tick_later(folder: Path) -> None:
    """Wait until the clock that stamps files has moved on."""
    probe = folder / "probe"
    probe.write_text("1")
    before = probe.stat().st_mtime_ns
    while probe.stat().st_mtime_ns == before:
        probe.write_text("1")
