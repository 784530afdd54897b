"""How a kernel says in one line which code it runs.

Invariant: pure functions from values to text without line breaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from epic_lab.printable import printable

if TYPE_CHECKING:
    from synccore.gitfacts import GitFacts
    from synccore.provenance import SnapshotId
    from synccore.pullreport import PullReport, RepoPull
    from synccore.worktree.machine import TreeState

_SHORT_DIGITS = 7
_MOST_REPOS = 4
_BEGIN = "synccode: "
_GAP = " · "
_AGES = ((60, 60, "minute"), (3600, 24, "hour"), (86_400, 365, "day"), (365 * 86_400, 10**6, "year"))


def synced(report: PullReport, *, code_home: Path, home: Path, elapsed_seconds: float) -> str:
    """Say what is here after a pull, what that changed, and how long it took."""
    parts = [listed([repo_here(repo) for repo in _most_telling_first(report.repos)]) or "nothing is synchronised yet"]
    parts.extend(_done(report))
    if len(parts) == 1 and report.repos:
        parts.append("up to date")
    saved = [item for repo in report.repos for item in repo.saved]
    if saved:
        where = _rescue_folder(saved[0].saved_as, code_home)
        parts.append(f"{counted(len(saved), 'edit')} of yours saved in {tilde(where, home)}")
    parts.append(duration(elapsed_seconds))
    return _BEGIN + _GAP.join(parts)


def not_synced(
    reason: str,
    trees: dict[str, TreeState],
    *,
    is_offline: bool,
    unfinished: Sequence[str] = (),
    last_contact_ns: int | None,
    now_ns: int,
) -> str:
    """Say why there was no pull, what is here all the same, and how old that is; *unfinished* may be half written."""
    reason = reason.rstrip(".")
    why = f"offline ({reason})" if is_offline else f"not updated ({reason})"
    here = [_aged(repo, tree, now_ns) for repo, tree in sorted(trees.items())]
    if not here:
        return f"{_BEGIN}{why}: no code is here yet"
    checked = "" if last_contact_ns is None else f", last checked {age(now_ns - last_contact_ns)}"
    half = f"; {listed(unfinished)} may be half updated until the next check succeeds" if unfinished else ""
    return f"{_BEGIN}{why}: {listed(here)}{checked}{half}"


def under_way() -> str:
    """Say that writing takes longer than a start may."""
    return f"{_BEGIN}an update is being written and takes its time; a later cell will say when it is done"


def on_laptop(repos: Iterable[str], base: str) -> str:
    """Say that a laptop's own code is what is run."""
    return f"{_BEGIN}this machine uploads: {listed(list(repos))} from {base}, as saved there"


def changed_modules(modules: Sequence[str], *, reloads: bool) -> str:
    """Say which modules of this process are older than their files."""
    what_now = (
        "autoreload brings them up to date with the next cell"
        if reloads
        else "restart the kernel or importlib.reload them"
    )
    return f"{_BEGIN}imported before and changed since: {listed(modules, most=12)} — {what_now}"


def described(trees: dict[str, TreeState], *, last_contact_ns: int | None, now_ns: int) -> tuple[str, ...]:
    """Say what is here, a line for each repository, and when the store was last asked."""
    lines = [f"{_BEGIN}{_aged(repo, tree, now_ns)}" for repo, tree in sorted(trees.items())]
    if last_contact_ns is not None:
        lines.append(f"{_BEGIN}last checked {age(now_ns - last_contact_ns)}")
    return tuple(lines)


def repo_here(repo: RepoPull) -> str:
    """Say which snapshot of a repository is here: ``alpha@3f2a91c (main+2 edits)``."""
    notes = [git(repo.provenance.git), "no longer updated" if repo.outcome.value == "no-longer-updated" else ""]
    return _named(repo.repo, repo.snapshot, notes)


def listed(items: Sequence[str], *, most: int = _MOST_REPOS) -> str:
    """Join *items*, but not endlessly many."""
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])} and {len(items) - most:,} more"


def counted(number: int, noun: str) -> str:
    """Say *number* of something: ``1 file``, ``2,997 files``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def git(facts: GitFacts | None) -> str:
    """Say what a snapshot is based on: ``main``, ``main+2 edits``; nothing without git."""
    if facts is None:
        return ""
    base = printable(facts.branch or (f"@{facts.commit[:_SHORT_DIGITS]}" if facts.commit else "no commit"))
    return f"{base}+{counted(facts.dirty_count, 'edit')}" if facts.dirty_count else base


def duration(seconds: float) -> str:
    """Say how long something took: ``38 ms``, ``1.2 s``."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"  # noqa: PLR2004 - rounds to a second


def age(nanoseconds: int) -> str:
    """Say how long ago something was; a clock that is ahead makes that just now."""
    seconds = nanoseconds // 10**9
    for unit_seconds, most, unit in _AGES:
        number = seconds // unit_seconds
        if number < 1:
            break
        if number < most:
            return f"{counted(number, unit)} ago"
    return "just now"


def tilde(path: Path, home: Path) -> str:
    """Say where *path* is, the short way."""
    try:
        return f"~/{path.relative_to(home).as_posix()}"
    except ValueError:
        return str(path)


def _named(repo: str, snapshot: SnapshotId, notes: Iterable[str]) -> str:
    said = ", ".join(filter(None, notes))
    name = f"{repo}@{snapshot.hex()[:_SHORT_DIGITS]}"
    return f"{name} ({said})" if said else name


def _aged(repo: str, tree: TreeState, now_ns: int) -> str:
    notes = [git(tree.provenance.git), "no longer updated" if tree.is_stopped else ""]
    uploaded = age(now_ns - tree.provenance.at_ms * 10**6)
    return f"{_named(repo, tree.snapshot, notes)} uploaded {uploaded}"


def _most_telling_first(repos: Iterable[RepoPull]) -> list[RepoPull]:
    """Put what changed before what is no longer updated before the rest, so that an abbreviation says what matters."""
    order = {"created": 0, "updated": 0, "no-longer-updated": 1, "unchanged": 2}
    return sorted(repos, key=lambda repo: order[repo.outcome.value])


def _done(report: PullReport) -> Iterable[str]:
    updated = [repo for repo in report.repos if repo.outcome.value == "updated"]
    created = [repo for repo in report.repos if repo.outcome.value == "created"]
    if updated:
        yield f"{counted(sum(len(repo.written) + len(repo.removed) for repo in updated), 'file')} changed"
    if created:
        yield f"{counted(sum(repo.files for repo in created), 'file')} downloaded"


def _rescue_folder(saved_as: Path, code_home: Path) -> Path:
    """Return the folder of one run in which an edit was saved."""
    area = code_home / ".rescued"
    try:
        return area / saved_as.relative_to(area).parts[0]
    except (ValueError, IndexError):
        return saved_as.parent
