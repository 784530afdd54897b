from pathlib import Path

import pytest

from epic_lab.kernel import line
from synccore.digest import digest_of
from synccore.gitfacts import GitFacts
from synccore.provenance import Author, Provenance, SnapshotId
from synccore.pullreport import PullOutcome, PullReport, RepoPull, Saved
from synccore.treepath import TreePath
from synccore.worktree.machine import TreeState

HOME = Path("/home/ada")
CODE = HOME / "synccode"
SECOND = 10**9
NOW_NS = 10**18
ID = SnapshotId(digest_of(b""))
SHORT = "e3b0c44"


def facts(branch: str | None = "main", dirty: int = 0, commit: str | None = "0123456789" * 4) -> GitFacts:
    return GitFacts(commit=commit, branch=branch, origin=None, dirty_count=dirty)


def repo(name: str, outcome: PullOutcome = PullOutcome.UNCHANGED, git: GitFacts | None = None) -> RepoPull:
    provenance = Provenance(author=Author(user="ada", host="laptop"), at_ms=0, git=git)
    return RepoPull(repo=name, outcome=outcome, snapshot=ID, provenance=provenance, files=3, size_bytes=9)


def synced(*repos: RepoPull) -> str:
    return line.synced(PullReport(repos=repos), code_home=CODE, home=HOME, elapsed_seconds=0.038)


def tree(ago_seconds: int, git: GitFacts | None = None, *, is_stopped: bool = False) -> TreeState:
    at_ms = (NOW_NS - ago_seconds * SECOND) // 10**6
    provenance = Provenance(author=Author(user="ada", host="laptop"), at_ms=at_ms, git=git)
    return TreeState(
        snapshot=ID, provenance=provenance, files=1, size_bytes=1, base="a", delta_bytes=0, is_stopped=is_stopped
    )


def test_the_everyday_line() -> None:
    alpha = repo("alpha", PullOutcome.UPDATED, facts(dirty=2))._replace(written=(TreePath("a.py"),))
    beta = repo("beta", git=facts("dev"))
    assert synced(alpha, beta) == (
        f"synccode: alpha@{SHORT} (main+2 edits), beta@{SHORT} (dev) · 1 file changed · 38 ms"
    )


def test_nothing_new() -> None:
    assert synced(repo("alpha")) == f"synccode: alpha@{SHORT} · up to date · 38 ms"
    assert synced() == "synccode: nothing is synchronised yet · 38 ms"


def test_of_many_repositories_those_that_changed_are_named_first() -> None:
    repos = [repo(f"r{n}") for n in range(8)]
    repos[5] = repo("r5", PullOutcome.NO_LONGER_UPDATED)
    repos[7] = repo("r7", PullOutcome.CREATED)._replace(written=(TreePath("a"),))
    assert synced(*repos) == (
        f"synccode: r7@{SHORT}, r5@{SHORT} (no longer updated), r0@{SHORT}, r1@{SHORT} and 4 more"
        " · 3 files downloaded · 38 ms"
    )


def test_rescued_edits_are_counted_and_their_folder_is_named() -> None:
    saved = tuple(
        Saved(path=f"alpha/{name}", saved_as=CODE / ".rescued" / "20260701-1403" / "alpha" / name) for name in "ab"
    )
    alpha = repo("alpha", PullOutcome.UPDATED)._replace(written=(TreePath("a"),), removed=(TreePath("b"),), saved=saved)
    assert synced(alpha) == (
        f"synccode: alpha@{SHORT} · 2 files changed · 2 edits of yours saved in ~/synccode/.rescued/20260701-1403 · 38 ms"
    )


@pytest.mark.parametrize(
    ("git", "said"),
    [
        (None, ""),
        (facts(), "main"),
        (facts(dirty=1), "main+1 edit"),
        (facts(None), "@0123456"),
        (facts(None, 3, None), "no commit+3 edits"),
    ],
)
def test_what_a_snapshot_is_based_on(git: GitFacts | None, said: str) -> None:
    assert line.git(git) == said


def test_offline_says_how_old_the_code_is() -> None:
    trees = {"beta": tree(90, is_stopped=True), "alpha": tree(3 * 3600 + 5, facts())}
    said = line.not_synced(
        "no answer from gs://lab within 2 s",
        trees,
        is_offline=True,
        last_contact_ns=NOW_NS - 300 * SECOND,
        now_ns=NOW_NS,
    )
    assert said == (
        f"synccode: offline (no answer from gs://lab within 2 s): alpha@{SHORT} (main) uploaded 3 hours ago, "
        f"beta@{SHORT} (no longer updated) uploaded 1 minute ago, last checked 5 minutes ago"
    )


def test_without_any_code_only_the_reason_is_said() -> None:
    said = line.not_synced("why.", {}, is_offline=False, last_contact_ns=None, now_ns=NOW_NS)
    assert said == "synccode: not updated (why): no code is here yet"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3600, "just now"),
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86_399, "23 hours ago"),
        (86_400, "1 day ago"),
        (400 * 86_400, "1 year ago"),
    ],
)
def test_ages(seconds: int, said: str) -> None:
    assert line.age(seconds * SECOND) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0004, "0 ms"), (0.038, "38 ms"), (0.9999, "1.0 s"), (12.34, "12.3 s")]
)
def test_durations(seconds: float, said: str) -> None:
    assert line.duration(seconds) == said


def test_many_modules_are_abbreviated() -> None:
    said = line.changed_modules([f"m{n}" for n in range(14)], reloads=False)
    assert "m11 and 2 more — restart" in said
