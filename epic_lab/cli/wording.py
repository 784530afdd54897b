"""How the command line says what the engine's values mean.

Invariant: pure functions from values to text; equal values read equally in every command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from epic_lab.printable import printable

if TYPE_CHECKING:
    from epic_lab.config_file import Written
    from epic_lab.synccode import Run
    from synccore.gitfacts import GitFacts
    from synccore.inventory import Tally
    from synccore.problem import Problem
    from synccore.provenance import Provenance, SnapshotId

SHORT_DIGITS = 7
GAP = "  "
MAX_PROBLEMS = 10

# In the order of a summary line; the plural is the name with an "s".
_CALL_NAMES = {
    "conditional_get": "conditional GET",
    "get": "GET",
    "get_range": "range GET",
    "conditional_put": "conditional PUT",
    "put": "PUT",
    "delete": "DELETE",
    "keys": "listing",
}


def counted(number: int, noun: str) -> str:
    """Say *number* of something: ``1 file``, ``2,997 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(size_bytes: int) -> str:
    """Say how many bytes there are in three digits or so: ``812 B``, ``1.4 KB``, ``30 MB``."""
    if size_bytes < 1000:  # noqa: PLR2004 - decimal units, as storage is priced
        return f"{size_bytes} B"
    number, unit = float(size_bytes), ""
    for unit in ("KB", "MB", "GB", "TB"):  # noqa: B007 - the unit that the loop stopped at is wanted
        number /= 1000
        if number < 999.5:  # noqa: PLR2004 - what rounds to 1000 belongs to the next unit
            break
    return f"{number:.1f} {unit}" if number < 9.95 else f"{number:.0f} {unit}"  # noqa: PLR2004 - two digits at least


def duration(elapsed_seconds: float) -> str:
    """Say how long something took: ``38 ms``, ``1.2 s``, ``3 min 20 s``."""
    if elapsed_seconds < 0.9995:  # noqa: PLR2004 - what rounds to 1000 ms is a second
        return f"{elapsed_seconds * 1000:.0f} ms"
    if elapsed_seconds < 99.5:  # noqa: PLR2004 - beyond that minutes are easier
        return f"{elapsed_seconds:.1f} s"
    minutes, seconds = divmod(round(elapsed_seconds), 60)
    return f"{minutes} min {seconds} s"


def calls(counts: Mapping[str, int]) -> str:
    """Say which storage calls were made: ``1 conditional PUT, 2 GETs``."""
    named = [(name, counts[kind]) for kind, name in _CALL_NAMES.items() if counts.get(kind)]
    named += [(kind, number) for kind, number in counts.items() if kind not in _CALL_NAMES and number]
    return ", ".join(counted(number, name) for name, number in named) or "no storage calls"


def short(snapshot: SnapshotId | None) -> str:
    """Say which snapshot is meant, for people: its first digits."""
    return "-" if snapshot is None else snapshot.hex()[:SHORT_DIGITS]


def git(facts: GitFacts | None) -> str:
    """Say what a snapshot is based on: ``main``, ``main+2 edits``, ``@1a2b3c4`` on a detached head; nothing without git."""
    if facts is None:
        return ""
    base = printable(facts.branch or (f"@{facts.commit[:SHORT_DIGITS]}" if facts.commit else "no commit"))
    return f"{base}+{counted(facts.dirty_count, 'edit')}" if facts.dirty_count else base


def changes(*, added: int, modified: int, deleted: int) -> str:
    """Say what differs: ``3 files changed, 1 new, 2 deleted``; nothing where nothing does."""
    said: list[str] = []
    if modified:
        said.append(f"{counted(modified, 'file')} changed")
    if added:
        said.append(f"{added:,} new" if said else counted(added, "new file"))
    if deleted:
        said.append(f"{deleted:,} deleted" if said else f"{counted(deleted, 'file')} deleted")
    return ", ".join(said)


def summary(run: Run[object]) -> str:
    """Say in one line what *run* cost: ``1 conditional PUT · 1.2 KB stored · 213 ms``."""
    stored = f"{size(run.stored_bytes)} stored" if run.stored_bytes else None
    fetched = f"{size(run.fetched_bytes)} fetched" if run.fetched_bytes else None
    return " · ".join(filter(None, (calls(run.calls), stored, fetched, duration(run.elapsed_seconds))))


def moment(at_ms: int) -> str:
    """Say when something was, in this machine's time zone: ``2026-07-01 14:03``."""
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at_ms / 1000))


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay *rows* out in columns that are as wide as they need; a column that is empty everywhere takes no room."""
    table = [list(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width).rstrip() for row in table
    ]


def problem_lines(repo: str, problems: Sequence[Problem]) -> list[str]:
    """Say what there is to know of single paths of *repo*, up to a few."""
    said = [printable(f"{repo}: {problem.path} {problem.detail}") for problem in problems[:MAX_PROBLEMS]]
    more = len(problems) - len(said)
    return [*said, f"{repo}: {more:,} more such paths; --json lists all"] if more else said


def problem_documents(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Return what there is to know of single paths as a JSON document says it."""
    return [{"kind": problem.kind.value, "path": problem.path, "detail": problem.detail} for problem in problems]


def tally_document(tally: Tally) -> dict[str, object]:
    """Return a number of objects as a JSON document says it."""
    return {"objects": tally.count, "size_bytes": tally.size_bytes}


def tally_documents(tallies: Mapping[str, Tally]) -> dict[str, object]:
    """Return numbers of objects by kind as a JSON document says them."""
    return {kind: tally_document(tally) for kind, tally in tallies.items()}


def git_document(facts: GitFacts | None) -> dict[str, object] | None:
    """Return git's facts as a JSON document says them."""
    if facts is None:
        return None
    return {
        "commit": facts.commit,
        "branch": facts.branch,
        "origin": facts.origin,
        "dirty": list(facts.dirty),
        "dirty_count": facts.dirty_count,
    }


def provenance_document(provenance: Provenance | None) -> dict[str, object] | None:
    """Return where a snapshot comes from as a JSON document says it."""
    if provenance is None:
        return None
    return {
        "author": {"user": provenance.author.user, "host": provenance.author.host},
        "at_ms": provenance.at_ms,
        "git": git_document(provenance.git),
    }


def written(written: Written) -> list[str]:
    """Word what became of the configuration file."""
    if not written.changed:
        return [f"{written.path} says so already"]
    return [f"{written.path} {'created' if written.created else 'changed'}: {', '.join(written.changed)}"]


def hexadecimal(snapshot: SnapshotId | None) -> str | None:
    """Return a snapshot's id as a JSON document says it."""
    return None if snapshot is None else snapshot.hex()
