"""The head: the one small object that moves (docs/format.md, section 7).

Invariant: a head is a value; moving it is the business of `synccore.refs`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from synccore import wire
from synccore.envelope import ObjectKind, seal, unseal
from synccore.gitfacts import GitFacts
from synccore.journal import (
    Record,
    optional_text,
    parse_optional_ref,
    parse_records,
    parse_repo,
    record_row,
)
from synccore.places import ObjectRef
from synccore.provenance import Author, Provenance, SnapshotId

WRITE_ID_BYTES = 16

# When a writer folds, and how much of the journal it leaves in the head for readers who are a little behind: at most half, so that no record
# stays for longer than until the next fold, below which a prune may take what it names.
FOLD_ABOVE_BYTES = 128 * 2**10
FOLD_ABOVE_RECORDS = 64
KEEP_BYTES = 64 * 2**10
KEEP_RECORDS = 32

# What an upload brings beyond this goes into a bundle. Twenty edited files of source pack to about 60 KB, and an everyday edit is
# one put (docs/decisions/0015: a bundle would cost them 20 ms each way, and save each later upload and download 38 ms).
INLINE_BYTES = 64 * 2**10

# When a writer puts the contents of all records but the newest few into a bundle. A connection that begins sends 14 KB, and 43 KB within two
# round trips. (48 edits of 4 KB one after the other, up and down, docs/decisions/0016.)
SPILL_ABOVE_BYTES = 32 * 2**10
SPILL_KEEPS_RECORDS = 2


class RepoHead(NamedTuple):
    """Where one repository is.

    Attributes:
        snapshot: what it is at.
        manifest: the listing to start from; ``None`` is the empty tree.
        base: deltas of records above this sequence number apply on top of the manifest.
        files: how many entries the snapshot has.
        size_bytes: the sum of their sizes.
        provenance: who made the snapshot, when, from which commit; its git facts are without paths and origin.
    """

    snapshot: SnapshotId
    manifest: ObjectRef | None
    base: int
    files: int
    size_bytes: int
    provenance: Provenance


class Head(NamedTuple):
    """All that moves for one user.

    Attributes:
        write_id: random, new for each put.
        sequence: of the newest record.
        repos: where each repository is, by name.
        records: the newest records, oldest first.
        earlier: the journal object that holds the records before those.
        horizon: records up to this sequence number, and what only they need, may have been deleted.
    """

    write_id: bytes
    sequence: int
    repos: dict[str, RepoHead]
    records: tuple[Record, ...]
    earlier: ObjectRef | None
    horizon: int = 0


def encode_head(head: Head) -> bytes:
    """Return the stored bytes of *head*."""
    return seal(
        ObjectKind.HEAD,
        wire.pack(
            (
                head.write_id,
                head.sequence,
                [_repo_row(name, head.repos[name]) for name in sorted(head.repos)],
                [record_row(record) for record in head.records],
                head.earlier,
                head.horizon,
            )
        ),
    )


def decode_head(data: bytes, what: str) -> Head:
    """Return the head whose stored bytes *data* is.

    Raises:
        IntegrityError: it is not one, or of a newer format.
    """
    write_id, sequence, repos, records, earlier, horizon = wire.row(
        wire.unpack(unseal(ObjectKind.HEAD, data, what), what), 6, what
    )
    named = [_parse_repo_row(item, what) for item in wire.rows(repos, what)]
    if any(name >= later for (name, _), (later, _) in pairwise(named)):
        wire.damaged(what, "has repositories out of order or twice")
    head = Head(
        write_id=wire.binary(write_id, what),
        sequence=wire.uint(sequence, what),
        repos=dict(named),
        records=parse_records(records, what),
        earlier=parse_optional_ref(earlier, what),
        horizon=wire.uint(horizon, what),
    )
    _check(head, what)
    return head


def _check(head: Head, what: str) -> None:
    if len(head.write_id) != WRITE_ID_BYTES:
        wire.damaged(what, f"has a write id of {len(head.write_id)} bytes, expected {WRITE_ID_BYTES}")
    newest = head.records[-1].sequence if head.records else head.sequence
    if newest != head.sequence:
        wire.damaged(what, f"ends at record {newest}, expected {head.sequence}")
    if head.horizon > head.sequence:
        wire.damaged(what, f"has its horizon at {head.horizon}, beyond its newest record {head.sequence}")
    oldest = head.records[0].sequence if head.records else head.sequence + 1
    for name, repo in head.repos.items():
        if not oldest - 1 <= repo.base <= head.sequence:
            wire.damaged(what, f"has repository {name} based on record {repo.base}, which it does not reach")


def _repo_row(name: str, repo: RepoHead) -> wire.Packed:
    by, git = repo.provenance.author, repo.provenance.git
    git_row = None if git is None else (git.commit, git.branch, git.dirty_count)
    at_ms = repo.provenance.at_ms
    return name, repo.snapshot, repo.manifest, repo.base, repo.files, repo.size_bytes, at_ms, by.user, by.host, git_row


def _parse_repo_row(value: wire.Packed, what: str) -> tuple[str, RepoHead]:
    name, snapshot, manifest, base, files, size, at_ms, user, host, git = wire.row(value, 10, what)
    author = Author(user=wire.text(user, what), host=wire.text(host, what))
    parsed = RepoHead(
        snapshot=SnapshotId(wire.digest(snapshot, what)),
        manifest=parse_optional_ref(manifest, what),
        base=wire.uint(base, what),
        files=wire.uint(files, what),
        size_bytes=wire.uint(size, what),
        provenance=Provenance(
            author=author, at_ms=wire.time_ms(at_ms, what), git=None if git is None else _parse_short_git(git, what)
        ),
    )
    return parse_repo(name, what), parsed


def _parse_short_git(value: wire.Packed, what: str) -> GitFacts:
    commit, branch, count = wire.row(value, 3, what)
    return GitFacts(
        commit=optional_text(commit, what),
        branch=optional_text(branch, what),
        origin=None,
        dirty_count=wire.uint(count, what),
    )
