"""The texts and JSON documents of whole reports: golden, so that a change of words is seen."""

from __future__ import annotations

import json
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from epic_lab.cli import wording
from epic_lab.cli.synccode import delete, downloading, log, prune, rescued, status, uploading, verify
from epic_lab.cli.synccode.rescued import diff, drop, restore
from epic_lab.config import Store
from epic_lab.synccode import Run, Verified
from synccore.diff import Difference
from synccore.digest import Digest, digest_of
from synccore.gitfacts import GitFacts
from synccore.head import RepoHead
from synccore.history import LogLine, LogRepo
from synccore.inventory import Tally
from synccore.journal import Counts
from synccore.keys import Key
from synccore.manifest import Entry, FileKind
from synccore.problem import Problem, ProblemKind
from synccore.provenance import Author, Provenance, SnapshotId
from synccore.prune import PruneReport
from synccore.pullreport import PullOutcome, PullReport, RepoPull, Saved
from synccore.push import PushOutcome, PushReport, RepoPush
from synccore.rescued import Comparison, Restored, SavedEdit, Standing
from synccore.rescued import Difference as SavedDifference
from synccore.status import SourceStatus, TreeStatus
from synccore.treecheck import TreeCheck
from synccore.treepath import TreePath
from synccore.verify import Fault, FaultKind, Loss, VerifyReport
from synccore.worktree.contents import Content, ContentKind
from synccore.worktree.machine import TreeState
from synccore.worktree.rescue import Reason, Rescued


def snapshot(digits: str) -> SnapshotId:
    return SnapshotId(Digest(bytes.fromhex(digits.ljust(64, "0"))))


NEW, OLD = snapshot("3f2a91cd"), snapshot("9b1c0001")
GIT = GitFacts(commit="c" * 40, branch="main", origin="https://host/alpha", dirty=("a.py", "b.py"), dirty_count=2)
LAPTOP = Author(user="ana", host="laptop")
HEADS_GIT = GitFacts(commit="c" * 40, branch="main", origin=None, dirty_count=2)
BY = Provenance(author=LAPTOP, at_ms=1_782_914_580_000, git=HEADS_GIT)
RESCUED: Any = PurePosixPath("/home/ana/synccode/.rescued/2026-07-01T14-03-00Z")


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say times as in Greenwich."""
    monkeypatch.setattr(time, "localtime", time.gmtime)


def run(report: Any, *, stored_bytes: int = 0, fetched_bytes: int = 0, **calls: int) -> Run[Any]:
    return Run(
        report=report,
        store=Store("gs://lab-bucket/synccode", "ana"),
        calls=calls,
        stored_bytes=stored_bytes,
        fetched_bytes=fetched_bytes,
        elapsed_seconds=0.21349,
    )


def pushed(
    repo: str,
    *,
    previous: SnapshotId | None = OLD,
    added: int = 0,
    modified: int = 0,
    deleted: int = 0,
    git: GitFacts | None = GIT,
    notes: tuple[Problem, ...] = (),
) -> RepoPush:
    return RepoPush(
        repo=repo,
        outcome=PushOutcome.UNCHANGED if previous == NEW else PushOutcome.PUBLISHED,
        snapshot=NEW,
        previous=previous,
        counts=Counts(added, modified, deleted, files=3001, size_bytes=30_000_000),
        git=git,
        notes=notes,
    )


LINK = Problem(ProblemKind.LINK_LEAVES_TREE, "data", "is a link that leaves the tree, to /mnt/data")


def test_an_upload_is_one_line_a_repo_and_a_summary() -> None:
    repos = (
        pushed("alpha", added=1, modified=3),
        pushed("beta-long-name", previous=None, git=None),
        pushed("gamma", previous=NEW, git=None),
        pushed("delta", deleted=2),
    )
    assert uploading.lines(run(PushReport(repos=repos, folded=False), stored_bytes=1234, conditional_put=1)) == [
        "alpha           3f2a91c  main+2 edits  3 files changed, 1 new  (2,997 unchanged)",
        "beta-long-name  3f2a91c                first upload: 3,001 files, 30 MB",
        "gamma           3f2a91c                unchanged  (3,001 files)",
        "delta           3f2a91c  main+2 edits  2 files deleted  (3,001 unchanged)",
        "1 conditional PUT · 1.2 KB stored · 213 ms",
    ]


def test_an_upload_without_changes_says_that_nothing_was_stored() -> None:
    repos = (pushed("alpha", previous=NEW, git=None),)
    assert uploading.lines(run(PushReport(repos=repos, folded=False), conditional_get=1)) == [
        "alpha  3f2a91c  unchanged  (3,001 files)",
        "1 conditional GET · 213 ms",
    ]


def test_notes_of_single_paths_are_a_few_and_the_count_of_the_others() -> None:
    assert wording.problem_lines("alpha", (LINK,)) == ["alpha: data is a link that leaves the tree, to /mnt/data"]
    many = wording.problem_lines("alpha", (LINK,) * 1012)
    assert len(many) == 11
    assert many[-1] == "alpha: 1,002 more such paths; --json lists all"


def pulled(repo: str, outcome: PullOutcome, written: int = 0, removed: int = 0, saved: int = 0) -> RepoPull:
    return RepoPull(
        repo=repo,
        outcome=outcome,
        snapshot=NEW,
        provenance=BY,
        files=3001,
        size_bytes=30_000_000,
        written=tuple(TreePath(f"w{number}.py") for number in range(written)),
        removed=tuple(TreePath(f"r{number}.py") for number in range(removed)),
        saved=tuple(Saved(path=f"{repo}/s{n}.py", saved_as=RESCUED / repo / f"s{n}.py") for n in range(saved)),
    )


def test_a_download_is_one_line_a_repo_and_a_summary() -> None:
    repos = (
        pulled("alpha", PullOutcome.UPDATED, written=3, removed=1),
        pulled("beta", PullOutcome.CREATED, written=3001),
        pulled("gamma", PullOutcome.UNCHANGED),
        pulled("delta", PullOutcome.NO_LONGER_UPDATED),
        pulled("eps", PullOutcome.UPDATED, written=1),
    )
    assert downloading.lines(run(PullReport(repos=repos), fetched_bytes=812, conditional_get=1)) == [
        "alpha  3f2a91c  main+2 edits  3 files written, 1 removed",
        "beta   3f2a91c  main+2 edits  first download: 3,001 files, 30 MB",
        "gamma  3f2a91c  main+2 edits  unchanged  (3,001 files)",
        "delta  3f2a91c  main+2 edits  no longer synchronised; this copy stays as it is",
        "eps    3f2a91c  main+2 edits  1 file written",
        "1 conditional GET · 812 B fetched · 213 ms",
    ]


def test_edits_that_were_saved_are_named_a_few_of_them() -> None:
    few = downloading.warnings(pulled("alpha", PullOutcome.UPDATED, saved=1))
    assert few == [f"alpha/s0.py was edited here; the edit is now {RESCUED}/alpha/s0.py"]
    many = downloading.warnings(pulled("alpha", PullOutcome.UPDATED, saved=1010))
    assert len(many) == 11
    assert many[-1] == "alpha: 1,000 more edits were saved beside them; --json lists all"


def test_a_deletion_says_what_was_last_there() -> None:
    assert delete.lines("alpha", run(OLD, stored_bytes=900, get=1, conditional_put=1)) == [
        "alpha  9b1c000  no longer synchronised; VMs keep their copy",
        "1 GET, 1 conditional PUT · 900 B stored · 213 ms",
    ]


def entry(content: bytes) -> Entry:
    return Entry(FileKind.FILE, len(content), digest_of(content))


DIFFERENCE = Difference(
    removed={TreePath("gone"): entry(b"g")},
    changed={TreePath("edited"): entry(b"e2"), TreePath("new"): entry(b"n")},
    was={TreePath("edited"): entry(b"e1")},
)


def source(repo: str, *, stored: SnapshotId | None = OLD, is_seen: bool = True) -> SourceStatus:
    return SourceStatus(
        repo=repo,
        snapshot=NEW,
        stored=stored,
        stored_by=BY if stored else None,
        is_seen=is_seen,
        difference=DIFFERENCE if stored != NEW else Difference({}, {}, {}),
        files=3001,
        problems=(LINK,),
    )


def test_a_laptops_status_says_what_an_upload_would_do() -> None:
    repos = (
        source("alpha"),
        source("beta", stored=NEW),
        source("gamma", stored=None),
        source("delta", is_seen=False),
    )
    assert status.laptop_lines(run(repos, get=1)) == [
        "alpha  3f2a91c  not uploaded yet: 1 file changed, 1 new, 1 deleted",
        "beta   3f2a91c  uploaded",
        "gamma  3f2a91c  not uploaded yet: 3,001 files",
        (
            "delta  3f2a91c  never seen here: 9b1c000, uploaded 2026-07-01 14:03 from laptop; "
            "compared with it, 1 file changed, 1 new, 1 deleted"
        ),
        "1 GET · 213 ms",
    ]


def tree(snapshot: SnapshotId, *, is_stopped: bool = False) -> TreeState:
    return TreeState(
        snapshot=snapshot, provenance=BY, files=1, size_bytes=1, base="b", delta_bytes=0, is_stopped=is_stopped
    )


HEAD = RepoHead(snapshot=NEW, manifest=None, base=0, files=1, size_bytes=1, provenance=BY)


def test_a_vms_status_says_what_a_download_would_do() -> None:
    repos = (
        TreeStatus(repo="alpha", here=tree(NEW), stored=HEAD),
        TreeStatus(repo="beta", here=tree(OLD), stored=HEAD),
        TreeStatus(repo="gamma", here=None, stored=HEAD),
        TreeStatus(repo="delta", here=tree(OLD, is_stopped=True), stored=None),
    )
    assert status.vm_lines(run(repos, get=1)) == [
        "alpha  3f2a91c  up to date, uploaded 2026-07-01 14:03 from laptop",
        "beta   9b1c000  newer: 3f2a91c, uploaded 2026-07-01 14:03 from laptop",
        "gamma  -        not downloaded yet: 3f2a91c, uploaded 2026-07-01 14:03 from laptop",
        "delta  9b1c000  no longer synchronised; this copy stays as it is",
        "1 GET · 213 ms",
    ]


def test_a_vms_status_of_nothing_says_so() -> None:
    assert status.vm_lines(run((), get=1)) == ["nothing was uploaded yet", "1 GET · 213 ms"]


def logged(
    repo: str, before: SnapshotId | None = OLD, after: SnapshotId | None = NEW, *, git: GitFacts | None = GIT
) -> LogRepo:
    return LogRepo(repo=repo, before=before, after=after, counts=Counts(1, 3, 0, 3001, 30_000_000), git=git)


def test_a_log_is_one_line_a_repo_and_says_each_upload_once() -> None:
    uploads = (
        LogLine(
            sequence=12, at_ms=BY.at_ms, author=LAPTOP, repos=(logged("alpha"), logged("beta", after=None, git=None))
        ),
        LogLine(sequence=9, at_ms=BY.at_ms - 3_600_000, author=LAPTOP, repos=(logged("alpha", before=None),)),
    )
    assert log.lines(run(uploads, get=1)) == [
        "12  2026-07-01 14:03  ana@laptop  alpha  3f2a91c  main+2 edits  3 files changed, 1 new",
        "                                  beta   -                      no longer synchronised",
        "9   2026-07-01 13:03  ana@laptop  alpha  3f2a91c  main+2 edits  first upload: 3,001 files, 30 MB",
    ]


def test_an_upload_that_changed_nothing_has_stored_it_anew() -> None:
    repaired = LogRepo(repo="alpha", before=NEW, after=NEW, counts=Counts(0, 0, 0, 3001, 30_000_000), git=None)
    line = LogLine(sequence=12, at_ms=BY.at_ms, author=LAPTOP, repos=(repaired,))
    assert log.lines(run((line,))) == ["12  2026-07-01 14:03  ana@laptop  alpha  3f2a91c  stored anew"]


@pytest.mark.parametrize(
    ("sequences", "is_cut_short"), [((), False), ((2, 1), False), ((9, 8), True), ((9, 8, 7), False)]
)
def test_a_log_that_ends_before_the_first_upload_was_pruned(sequences: tuple[int, ...], *, is_cut_short: bool) -> None:
    uploads = tuple(LogLine(sequence=it, at_ms=BY.at_ms, author=LAPTOP, repos=()) for it in sequences)
    assert log.is_cut_short(uploads, limit=3) is is_cut_short


def test_an_empty_log_says_so() -> None:
    assert log.lines(run(())) == ["nothing was uploaded yet"]


def saved(
    path: str,
    *,
    digits: str = "3f2a91cd0123",
    content: Content | None = None,
    reason: Reason = Reason.EDITED,
    standing: Standing = Standing.REPLACEMENT,
    replaced_by: Digest | None = NEW,
) -> SavedEdit:
    rescued = Rescued(
        repo="alpha",
        path=TreePath(path),
        saved_as=RESCUED / "alpha" / path,
        reason=reason,
        when_ns=BY.at_ms * 10**6,
        replaced_by=replaced_by,
    )
    content = content or Content(kind=ContentKind.FILE, files=1, size_bytes=1234)
    return SavedEdit(id=digits, rescued=rescued, content=content, standing=standing)


def test_saved_edits_are_one_line_each() -> None:
    edits = [
        saved("model.py"),
        saved(
            "notes",
            digits="9b1c00000000",
            content=Content(kind=ContentKind.DIRECTORY, files=4, size_bytes=30_000),
            reason=Reason.DIRECTORY_IN_THE_WAY,
            standing=Standing.CHANGED,
        ),
        saved("old.py", digits="77e01d200000", replaced_by=None),
        saved(
            "a b\n\x1b[31m'",
            digits="77e01d211111",
            content=Content(kind=ContentKind.LINK, files=1, size_bytes=1, target="/mnt/my data"),
            reason=Reason.REPLACED_BY_RESTORE,
        ),
    ]
    name = r"$'alpha/a b\x0a\x1b[31m\''"
    assert rescued.lines(edits) == [
        "3f2a91cd  2026-07-01 14:03  alpha/model.py              1.2 KB                    edited here            the laptop's version is here",
        "9b1c0000  2026-07-01 14:03  alpha/notes                 folder of 4 files, 30 KB  folder in the way      something else is here now",
        "77e01d20  2026-07-01 14:03  alpha/old.py                1.2 KB                    edited here            not in the laptop's version",
        f"77e01d21  2026-07-01 14:03  {name}  link to '/mnt/my data'    replaced by a restore  what was restored is here",
    ]
    assert rescued.lines([]) == ["nothing was saved on this machine"]


SAVED_DIFFERENCE = SavedDifference(
    edit=saved("model.py"),
    here=Content(kind=ContentKind.FILE, files=1, size_bytes=1200),
    comparison=Comparison.TEXT,
    lines=("--- here/alpha/model.py", "+++ saved/alpha/model.py", "@@ -1 +1 @@", "-rate = 0.1", "+rate = 0.01"),
)


def test_differences_of_saved_edits_are_lines_or_a_sentence() -> None:
    program = Content(kind=ContentKind.EXECUTABLE, files=1, size_bytes=1)
    folder = Content(kind=ContentKind.DIRECTORY, files=102, size_bytes=102)
    found = [
        SAVED_DIFFERENCE,
        SavedDifference(edit=saved("b", content=program), here=None, comparison=Comparison.BINARY),
        SavedDifference(edit=saved("c", content=program), here=SAVED_DIFFERENCE.here, comparison=Comparison.EQUAL),
        SavedDifference(edit=saved("d"), here=program, comparison=Comparison.TOO_LARGE),
        SavedDifference(
            edit=saved("e", content=folder),
            here=program,
            comparison=Comparison.KIND,
            inside=tuple((f"f{number}", program) for number in range(102)),
        ),
    ]
    assert diff.lines(found)[:10] == [
        *SAVED_DIFFERENCE.lines,
        "alpha/b: binary; saved 1 B, executable, now nothing",
        "alpha/c: what is in place now is equal to what was saved",
        "alpha/c: saved as executable, now file",
        "alpha/d: too large to compare by lines; saved 1.2 KB, now 1 B, executable",
        "alpha/d: saved as file, now executable",
    ]
    assert diff.lines(found)[10:12] == [
        "alpha/e: saved folder of 102 files, 102 B; now 1 B, executable",
        "  + f0  1 B, executable",
    ]
    assert diff.lines(found)[-1] == "  + 2 more files"
    assert diff.lines([]) == ["nothing was saved on this machine"]


AGAIN: Any = PurePosixPath("/home/ana/synccode/.rescued/2026-07-01T15-00-00Z/alpha/model.py")
RESTORED = Restored(
    edit=saved("model.py"),
    place=PurePosixPath("/home/ana/synccode/alpha/model.py"),  # type: ignore[arg-type] # the same text on Windows
    saved=(
        Rescued(
            repo="alpha",
            path=TreePath("model.py"),
            saved_as=AGAIN,
            reason=Reason.REPLACED_BY_RESTORE,
            when_ns=0,
            replaced_by=None,
        ),
    ),
)


def test_a_restore_and_a_removal_name_each_edit() -> None:
    assert restore.lines([RESTORED]) == [
        "alpha/model.py  restored: 1.2 KB",
        f"alpha/model.py  what was here is saved as {AGAIN}",
    ]
    assert drop.lines([saved("model.py")]) == ["alpha/model.py  removed: 1.2 KB"]
    assert drop.lines([]) == ["nothing was removed: nothing saved is meant"]


def verified(*, losses: int = 2, faults: int = 1, trees: tuple[TreeCheck, ...] = ()) -> Verified:
    lost = tuple(
        Loss(
            repo="alpha",
            snapshot=OLD if number else NEW,
            sequence=12 - number,
            is_current=not number,
            files=2,
            paths=(TreePath("a.py"), TreePath("b.py")),
        )
        for number in range(losses)
    )
    report = VerifyReport(
        is_quick=False,
        sequence=12,
        horizon=2,
        snapshots=10,
        sound={"manifests": Tally(1, 900)},
        unneeded={"journal": Tally(2, 1800)},
        foreign=Tally(0, 0),
        faults=(Fault(Key("ana/bundles/5f1c"), FaultKind.MISSING, "is missing"),) * faults,
        losses=lost,
    )
    return Verified(report, trees)


EDITED = TreeCheck(repo="alpha", snapshot=OLD, files=3000, edited=("a.py",), additional=("notes.txt",))


def test_a_verification_says_what_is_wrong_then_what_it_costs_then_what_is_sound() -> None:
    found = verified(trees=(EDITED,))
    assert verify.lines(run(found, get=3, keys=1)) == [
        "missing  ana/bundles/5f1c: is missing",
        "alpha  3f2a91c  current    2 files cannot be written: a.py, b.py",
        "alpha  9b1c000  upload 11  2 files cannot be written: a.py, b.py",
        "alpha  9b1c000  3,000 files as downloaded, 1 edited, 1 additional",
        "1 object, 900 B: whole; 10 snapshots followed; 2 objects, 1.8 KB, that nothing needs",
        "3 GETs, 1 listing · 213 ms",
    ]
    first, second = verify.notes(found)
    assert "`epic-synccode upload alpha --repair`" in first
    assert "cannot be made again" in second
    assert not found.is_sound


def test_a_sound_store_with_edited_trees_is_sound() -> None:
    found = verified(losses=0, faults=0, trees=(EDITED,))
    assert found.is_sound
    assert verify.notes(found) == []


def test_many_faults_are_a_few_and_the_count_of_the_others() -> None:
    said = verify.lines(run(verified(losses=12, faults=13)))
    assert "3 more such objects; --json lists all" in said
    assert "2 more such snapshots; --json lists all" in said


def test_a_tree_whose_listing_is_lost_cannot_be_compared() -> None:
    found = verified(losses=0, faults=0, trees=(TreeCheck(repo="alpha", snapshot=OLD, files=0, fault="is missing"),))
    assert "alpha  9b1c000  cannot be compared" in verify.lines(run(found))
    assert not found.is_sound
    assert verify.notes(found)[0].startswith("alpha: is missing; ")


def pruned(*, is_dry_run: bool = False) -> PruneReport:
    return PruneReport(
        is_dry_run=is_dry_run,
        horizon_before=2,
        horizon=212,
        sequence=340,
        deleted={"bundles": Tally(2, 4000), "journal": Tally(1, 500)},
        current={"manifests": Tally(1, 900)},
        history={"journal": Tally(1, 500)},
        young={},
        foreign=Tally(1, 7),
    )


def test_a_prune_says_what_went_and_what_stays_and_why() -> None:
    stays = [
        "1 object, 900 B    the newest code",
        "1 object, 500 B    the history: uploads 213 to 340 can be restored",
        "1 object, 7 B      not ours",
    ]
    assert prune.lines(run(pruned(), stored_bytes=900, get=2, keys=1, conditional_put=1, delete=3)) == [
        "deleted  3 objects, 4.5 KB  nothing needs them",
        *[f"kept     {line}" for line in stays],
        "2 GETs, 1 conditional PUT, 3 DELETEs, 1 listing · 900 B stored · 213 ms",
    ]
    assert prune.lines(run(pruned(is_dry_run=True)))[0] == "would be deleted  3 objects, 4.5 KB  nothing needs them"


# The examples of docs/reference/cli.md are these reports.

REPORTS: dict[str, Any] = {
    "upload": lambda: uploading.document(
        run(
            PushReport(repos=(pushed("alpha", added=1, modified=3, notes=(LINK,)),), folded=False),
            stored_bytes=1234,
            conditional_put=1,
        )
    ),
    "download": lambda: downloading.document(
        run(PullReport(repos=(pulled("alpha", PullOutcome.UPDATED, 1, 1, 1),)), fetched_bytes=812, conditional_get=1)
    ),
    "status-laptop": lambda: status.laptop_document(run((source("alpha"),), fetched_bytes=4096, get=1)),
    "status-vm": lambda: status.vm_document(
        run((TreeStatus(repo="alpha", here=tree(OLD), stored=HEAD),), fetched_bytes=4096, get=1)
    ),
    "log": lambda: log.document(
        run((LogLine(sequence=12, at_ms=BY.at_ms, author=LAPTOP, repos=(logged("alpha"),)),), fetched_bytes=4096, get=1)
    ),
    "verify": lambda: verify.document(run(verified(losses=1, trees=(EDITED,)), fetched_bytes=4096, get=3, keys=1)),
    "prune": lambda: prune.document(
        run(pruned(), stored_bytes=900, fetched_bytes=4096, get=2, keys=1, conditional_put=1, delete=3)
    ),
    "delete": lambda: delete.document(
        "alpha", run(NEW, stored_bytes=900, fetched_bytes=4096, get=1, conditional_put=1)
    ),
    "rescued": lambda: rescued.document([saved("model.py")]),
    "rescued-diff": lambda: diff.document([SAVED_DIFFERENCE]),
    "rescued-restore": lambda: restore.document([RESTORED]),
    "rescued-drop": lambda: drop.document([saved("model.py")]),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_documented_example_is_the_report(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    example = text.split(f"```json {name}\n")[1].split("```")[0]
    assert json.loads(example) == REPORTS[name]()
