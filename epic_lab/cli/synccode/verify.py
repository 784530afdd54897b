"""`epic-synccode verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from epic_lab import synccode
from epic_lab.cli import options, wording
from epic_lab.cli.boundary import ExitCode
from epic_lab.cli.output import Output, run_document
from epic_lab.cli.progress import progress_on
from epic_lab.lab import Lab
from epic_lab.synccode import Run, Verified

if TYPE_CHECKING:
    from synccore.treecheck import TreeCheck
    from synccore.verify import Loss, VerifyReport

MAX_SHOWN = 10
MAX_PATHS = 3


@click.command(epilog=options.examples("epic-synccode verify", "epic-synccode verify --quick"))
@click.option(
    "--quick", is_flag=True, help="Check that everything is there and as large as it should be; fetch no contents."
)
@options.json_option
def command(*, quick: bool, as_json: bool) -> int:
    """Check that everything stored is whole.

    Follows the newest code and the kept history through every object that they need: that it is there, that its bytes are what its
    name says, that every content can be had, and that every upload comes to the snapshot that it claims. Nothing is changed.

    What is wrong is named, with the snapshots that lack something because of it, and the exit code is 6. On a VM it also says
    which files in ~/synccode are not as they were written, which is somebody's work and no damage.
    """
    lab = Lab.here()
    config = lab.config()
    output = Output.of(lab, as_json=as_json)
    output.warn_of_misspelt_keys(config)
    with progress_on(output) as progress:
        run = synccode.verify(lab, config, quick=quick, progress=progress)
    output.result(lines(run), document(run))
    for note in notes(run.report):
        output.note(note)
    return ExitCode.DONE if run.report.is_sound else ExitCode.INTEGRITY


def lines(run: Run[Verified]) -> list[str]:
    """Word what is wrong and what that costs, then what is sound."""
    report, trees = run.report.store, run.report.trees
    faults = [(fault.kind.value, f"{fault.key}: {fault.detail}") for fault in report.faults[:MAX_SHOWN]]
    losses = [
        (loss.repo, wording.short(loss.snapshot), _which(loss), _lacks(loss)) for loss in report.losses[:MAX_SHOWN]
    ]
    checked = [(tree.repo, wording.short(tree.snapshot), _found(tree)) for tree in trees]
    return [
        *(wording.columns(faults) if faults else []),
        *_more(len(report.faults), "such objects"),
        *(wording.columns(losses) if losses else []),
        *_more(len(report.losses), "such snapshots"),
        *(wording.columns(checked) if checked else []),
        _sound(report),
        wording.summary(run),
    ]


def notes(verified: Verified) -> list[str]:
    """Say what to do."""
    said = []
    losses = verified.store.losses
    if any(loss.is_current for loss in losses):
        repos = ",".join(sorted({loss.repo for loss in losses if loss.is_current}))
        said.append(
            f"no machine can get the current code whole; on a laptop that has it, `epic-synccode upload {repos} --repair` "
            "stores it anew"
        )
    if any(not loss.is_current for loss in losses):
        said.append(
            "what earlier snapshots have lost cannot be made again, unless somebody has a copy of the objects; `epic-synccode prune` "
            "forgets them when the history does"
        )
    if verified.store.faults and not losses:
        said.append("no snapshot has lost anything by it: other objects say the same")
    said += [
        f"{tree.repo}: {tree.fault}; the next download makes it anew, and takes what differs here for somebody's work"
        for tree in verified.trees
        if tree.fault is not None
    ]
    return said


def document(run: Run[Verified]) -> dict[str, object]:
    """Return what was found as JSON says it; docs/reference/cli.md describes it."""
    report = run.report.store
    return {
        **run_document("verify", run),
        "quick": report.is_quick,
        "sound": run.report.is_sound,
        "horizon": report.horizon,
        "newest": report.sequence,
        "snapshots": report.snapshots,
        "needed": wording.tally_documents(report.sound),
        "unneeded": wording.tally_documents(report.unneeded),
        "foreign": wording.tally_document(report.foreign),
        "faults": [{"key": it.key, "kind": it.kind.value, "detail": it.detail} for it in report.faults],
        "losses": [
            {
                "repo": loss.repo,
                "snapshot": wording.hexadecimal(loss.snapshot),
                "sequence": loss.sequence,
                "is_current": loss.is_current,
                "files": loss.files,
                "paths": list(loss.paths),
            }
            for loss in report.losses
        ],
        "trees": [
            {
                "repo": tree.repo,
                "snapshot": wording.hexadecimal(tree.snapshot),
                "files": tree.files,
                "edited": list(tree.edited),
                "missing": list(tree.missing),
                "additional": list(tree.additional),
                "fault": tree.fault,
            }
            for tree in run.report.trees
        ],
    }


def _which(loss: Loss) -> str:
    return "current" if loss.is_current else f"upload {loss.sequence}"


def _lacks(loss: Loss) -> str:
    if not loss.paths:
        return "cannot be written: its listing is lost"
    more = ", …" if len(loss.paths) > MAX_PATHS else ""
    return f"{wording.counted(loss.files, 'file')} cannot be written: {', '.join(loss.paths[:MAX_PATHS])}{more}"


def _found(tree: TreeCheck) -> str:
    if tree.fault is not None:
        return "cannot be compared"
    said = [f"{wording.counted(tree.files, 'file')} as downloaded"]
    for number, what in (
        (len(tree.edited), "edited"),
        (len(tree.missing), "missing"),
        (len(tree.additional), "additional"),
    ):
        if number:
            said.append(f"{number:,} {what}")
    return ", ".join(said)


def _sound(report: VerifyReport) -> str:
    count = sum(tally.count for tally in report.sound.values())
    size_bytes = sum(tally.size_bytes for tally in report.sound.values())
    how = "there and as large as they should be" if report.is_quick else "whole"
    said = f"{wording.counted(count, 'object')}, {wording.size(size_bytes)}: {how}"
    said += f"; {wording.counted(report.snapshots, 'snapshot')} followed"
    unneeded = sum(tally.count for tally in report.unneeded.values())
    if unneeded:
        size_bytes = sum(tally.size_bytes for tally in report.unneeded.values())
        said += f"; {wording.counted(unneeded, 'object')}, {wording.size(size_bytes)}, that nothing needs"
    return said


def _more(count: int, what: str) -> list[str]:
    return [f"{count - MAX_SHOWN:,} more {what}; --json lists all"] if count > MAX_SHOWN else []
