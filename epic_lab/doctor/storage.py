"""Checks of the store: is it there, may we do there what the lab does, and is the user's head readable?

Invariant: the one object that is written lies beside what the format knows, under a key that was free, and is deleted again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from epic_lab import synccode
from epic_lab.config import SCRIPTS, ZONE
from epic_lab.doctor.case import Case, bucket_of, bucket_path
from epic_lab.doctor.finding import Check, Finding, cannot_tell, not_applicable, ok, wrong
from synccore.backends.gcs_api import FORBIDDEN, NOT_FOUND
from synccore.errors import ErrorKind, SyncError

if TYPE_CHECKING:
    from epic_lab.gcp.apis import Answer
    from synccore.backends.base import Backend

_LIST = "storage.objects.list"
READING = ("storage.objects.get",)
WRITING = ("storage.objects.get", _LIST, "storage.objects.create", "storage.objects.delete")
_READER, _WRITER = "roles/storage.objectViewer", "roles/storage.objectUser"

_FOLDER = "the store is a folder"
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@contextmanager
def _opened(case: Case) -> Iterator[Backend]:
    from synccore.backends.opening import open_backend

    backend = open_backend(
        case.store.base_url, access=synccode.access(case.lab, deadline_seconds=case.patience_seconds)
    )
    try:
        yield backend
    finally:
        backend.close()


def _folder(case: Case) -> Path | None:
    from synccore.backends.opening import directory_of

    return directory_of(case.store.base_url)


def _needed(case: Case) -> tuple[str, ...]:
    return READING if case.is_vm else WRITING


def _tested(case: Case, bucket: str) -> Answer:
    query = tuple(("permissions", permission) for permission in _needed(case))
    return case.ask_storage(f"{bucket_path(bucket)}/iam/testPermissions", query=query)


def _reachable(case: Case) -> Finding:
    bucket = case.bucket
    if bucket is None:
        folder = _folder(case)
        if folder is not None and folder.is_dir():
            return ok(f"{folder} is there", kind="folder")
        if case.is_vm:
            return wrong(f"there is no folder {folder}", remedy="Mount the shared disk that it is on.", kind="folder")
        return ok(f"there is no folder {folder} yet; the first upload makes it", kind="folder")
    answer = _tested(case, bucket)
    if answer.is_ok:
        return ok(f"gs://{bucket} exists", kind="bucket", bucket=bucket)
    if answer.status == NOT_FOUND:
        project = f" --project {case.config.require_project()}" if case.has_project else ""
        return wrong(
            f"there is no bucket gs://{bucket}",
            remedy=f"gcloud storage buckets create gs://{bucket}{project} --location REGION --uniform-bucket-level-access",
            bucket=bucket,
        )
    remedy = "The message says what was objected to; whoever runs the lab can change it."
    if answer.status == FORBIDDEN:
        remedy = _binding(case, bucket, _READER if case.is_vm else _WRITER)
    return wrong(f"gs://{bucket} refuses us: {answer.said}", remedy=remedy, bucket=bucket)


def _binding(case: Case, bucket: str, role: str) -> str:
    """Return the command that grants *role* on *bucket*."""
    return f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member {case.member} --role {role}"


def _location(case: Case) -> Finding:
    bucket = case.bucket
    if bucket is None:
        return not_applicable(_FOLDER)
    answer = case.ask_storage(bucket_path(bucket), query=(("fields", "location,locationType"),))
    if not answer.is_ok:
        return cannot_tell(f"seeing it needs storage.buckets.get, which nothing else does: {answer.said}")
    location = str(answer.document.get("location", "")).lower()
    zone = (case.config.value(ZONE) or "").split(",")[0].strip()
    region = zone.rpartition("-")[0]
    is_elsewhere = bool(region) and "-" in location and location != region
    remark = f"; machines in {zone} are elsewhere, so what they fetch is slower and billed" if is_elsewhere else ""
    return ok(f"{location or 'not told'}{remark}", location=location)


def _permissions(case: Case) -> Finding:
    bucket = case.bucket
    if bucket is None:
        return not_applicable(_FOLDER)
    answer = _tested(case, bucket)
    if not answer.is_ok:
        return cannot_tell(f"the storage answered {answer.said}")
    needed = _needed(case)
    # A condition on objects' names, as docs/security.md has it for each user's prefix, grants what a test of the bucket does not show.
    granted = {*answer.document.get("permissions", ()), *case.proven}
    facts = {permission: permission in granted for permission in needed}
    missing = [permission for permission in needed if permission not in granted]
    if not missing:
        return ok(", ".join(needed), permissions=facts)
    if missing == [_LIST] and case.proven >= set(needed) - {_LIST}:
        return ok(f"all but {_LIST}, which first uploads and pruning need", permissions=facts)
    role = _READER if case.is_vm else _WRITER
    return wrong(f"missing: {', '.join(missing)}", remedy=_binding(case, bucket, role), permissions=facts)


def _head(case: Case) -> Finding:
    from synccore.errors import NotFoundError
    from synccore.refs import HeadAt, read_head

    user = case.store.username
    with _opened(case) as backend:
        try:
            found = read_head(backend, user)
        except NotFoundError as error:
            if not error.facts.get("is_made_by_put"):
                raise
            found = None
    case.proven.add("storage.objects.get")
    if not isinstance(found, HeadAt):
        return _nothing_yet(case, user)
    newest = max((repo.provenance.at_ms for repo in found.head.repos.values()), default=None)
    repos = sorted(found.head.repos)
    when = f", uploaded {age(time.time() - newest / 1000)} ago" if newest is not None else ""
    return ok(f"{user} has {', '.join(repos) or 'no repository'}{when}", repos=repos, newest_at_ms=newest)


def _nothing_yet(case: Case, user: str) -> Finding:
    if case.is_vm:
        remedy = "On the laptop: epic-synccode upload\nBoth machines must have the same SYNCCODE_USERNAME and SYNCCODE_GCS_BASE_URL."
        return wrong(f"nothing was uploaded for {user} yet", remedy=remedy, repos=[], newest_at_ms=None)
    return ok(f"nothing was uploaded for {user} yet; epic-synccode upload does", repos=[], newest_at_ms=None)


def age(seconds: float) -> str:
    """Say how long something is ago, in the largest unit of which there are two."""
    for unit in ("day", "hour", "minute"):
        if seconds >= 2 * _SECONDS[unit]:
            return f"{int(seconds / _SECONDS[unit])} {unit}s"
    return f"{max(0, int(seconds))} s"


def _writable(case: Case) -> Finding:
    from synccore.keys import probe_key

    if case.is_vm:
        return not_applicable("a VM only reads")
    folder = _folder(case)
    if folder is not None and not folder.is_dir():
        return not_applicable("the first upload makes the folder")
    key = probe_key(case.store.username, secrets.token_hex(8))
    with _opened(case) as backend:
        version = backend.put(
            key, b"epic-lab doctor tried whether it may write here; this may be deleted\n", replacing=None
        )
        try:
            backend.delete(key, expecting=version)
        except SyncError as error:
            if error.kind is not ErrorKind.REFUSED:
                raise
            where = f"{case.store.base_url}/{key}"
            return wrong(
                f"an object could be put but not deleted, so {where} stays: {error.message}",
                remedy=_binding(case, case.bucket, _WRITER)
                if case.bucket
                else "Make the folder writable for everybody who uploads.",
                left=key,
            )
    case.proven.update(("storage.objects.create", "storage.objects.delete"))
    return ok("an object was put, and deleted again")


def _scripts(case: Case) -> Finding:
    if case.config.value(SCRIPTS) is None:
        return not_applicable(f"no {SCRIPTS.name} is configured, which only launching a machine needs")
    base = case.config.require_scripts()
    bucket = bucket_of(base)
    if bucket is None:  # which `Config.require_scripts` does not let pass
        return not_applicable(f"{base} is no bucket")
    prefix = base.removeprefix(f"gs://{bucket}").strip("/")
    query = (("prefix", f"{prefix}/" if prefix else ""), ("maxResults", "1"), ("fields", "items(name)"))
    answer = case.ask_storage(f"{bucket_path(bucket)}/o", query=query)
    if answer.status == NOT_FOUND:
        return wrong(f"there is no bucket gs://{quote(bucket)}", remedy="epic-lab init --scripts gs://BUCKET/PREFIX")
    if not answer.is_ok:
        return cannot_tell(f"listing {base} needs storage.objects.list: {answer.said}")
    if not answer.document.get("items"):
        remedy = f"gcloud storage cp --recursive vmsetup/* {base}/\nin a copy of epic-lab's repository puts them there"
        return wrong(f"nothing is in {base}", remedy=remedy, scripts=base)
    return ok(f"{base} has objects", scripts=base)


CHECKS = (
    Check(
        name="reachable",
        asks="does the store's bucket or folder exist?",
        look=_reachable,
        needs=("store", "token"),
        after=("identity",),
    ),
    Check(name="bucket-location", asks="where is the bucket?", look=_location, needs=("reachable",)),
    Check(
        name="head", asks="can the user's head be read, and how old is what it names?", look=_head, needs=("reachable",)
    ),
    Check(
        name="writable",
        asks="on a laptop: can an object be put under the user's prefix, and deleted?",
        look=_writable,
        needs=("reachable",),
    ),
    Check(
        name="bucket-permissions",
        asks="does the bucket grant what uploads, or on a VM downloads, need?",
        look=_permissions,
        needs=("reachable",),
        after=("head", "writable"),
    ),
    Check(
        name="scripts", asks="are the machines' set-up scripts in their place?", look=_scripts, needs=("keys", "token")
    ),
)
