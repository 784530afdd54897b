"""The cloud's refusals as people can act on them: one message and one remedy each, with the cloud's own code for searching.

Invariant: pure, and every `Sort` of refusal has its explanation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.refusal import Refusal, Sort
from synccore.errors import BackendError, ErrorKind

VIEWER = "roles/compute.viewer"
ADMIN = "roles/compute.instanceAdmin.v1"
_ACCOUNT_USER = "roles/iam.serviceAccountUser"

_MISSING = re.compile(r"does not exist|Unknown zone")
_NOUNS = {"machineTypes": "machine type", "acceleratorTypes": "GPU", "diskTypes": "disk type"}
_READING = re.compile(r"compute\.[A-Za-z]+\.(get|list)[A-Za-z]*")
_ROLES = {
    "iam.serviceAccounts.actAs": _ACCOUNT_USER,
    "compute.images.useReadOnly": "roles/compute.imageUser",
    "compute.subnetworks.use": "roles/compute.networkUser",
    "compute.subnetworks.useExternalIp": "roles/compute.networkUser",
    "serviceusage.services.use": "roles/serviceusage.serviceUsageConsumer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was being done when the cloud refused.

    Attributes:
        doing: as the beginning of a sentence: ``launching ana-gpu in us-central1-a``.
        project: in which project.
        machine: which machine it was about, if it was about one.
        changes: whether something was to be changed, so that an answer that never came may have been a yes.
    """

    doing: str
    project: str
    machine: str | None = None
    changes: bool = False


def explain(refusal: Refusal, attempt: Attempt) -> LabError | BackendError:
    """Return the error that tells of *refusal*."""
    explanations: dict[Sort, Callable[[Refusal, Attempt], LabError | BackendError]] = {
        Sort.QUOTA: _quota,
        Sort.STOCK_OUT: _stock_out,
        Sort.PERMISSION: _permission,
        Sort.API_DISABLED: _api_disabled,
        Sort.CREDENTIALS: _credentials,
        Sort.NAME_TAKEN: _name_taken,
        Sort.NOT_FOUND: _not_found,
        Sort.STATE: _state,
        Sort.RATE: _rate,
        Sort.UNAVAILABLE: _unavailable,
        Sort.UNREACHABLE: _unreachable,
        Sort.OTHER: _other,
    }
    return explanations[refusal.sort](refusal, attempt)


def role_for(permission: str | None) -> str:
    """Return a role that grants *permission*, the least usual one first."""
    if permission is None:
        return ADMIN
    if permission in _ROLES:
        return _ROLES[permission]
    return VIEWER if _READING.fullmatch(permission) else ADMIN


def quota_error(
    said: Mapping[str, object],
    *,
    doing: str,
    project: str,
    metric: str,
    limit: float | None,
    region: str | None,
    used: float | None,
) -> LabError:
    """Say which limit is used up.

    Args:
        said: the facts of the refusal.
        doing: what was being done.
        project: whose limit it is.
        metric: what is limited, as ``N2_CPUS``.
        limit: how much is allowed, if that is known.
        region: where, or ``None`` for the project as a whole.
        used: how much is in use, if that is known.
    """
    where = f"in {region}" if region else "as a whole"
    allowed = "" if limit is None else f": limit {limit:g}"
    in_use = "" if used is None else f", in use {used:g}"
    return LabError(
        LabErrorKind.QUOTA_EXCEEDED,
        f"{doing} needs more {metric} than project {project} may have {where}{allowed}{in_use} ({said['code']})",
        hint="Suspend or terminate what is not needed (`epic-notebook list`), choose a smaller machine type, or ask for more; look for "
        f"{metric} at\n  https://console.cloud.google.com/iam-admin/quotas?project={project}",
        doing=doing,
        project=project,
        metric=metric,
        limit=limit,
        region=region,
        used=used,
        **_of_the_cloud(said),
    )


def with_usage(error: LabError, used: float) -> LabError:
    """Return the error of a quota with how much of it is in use."""
    known = ("doing", "project", "metric", "limit", "region")
    facts: dict[str, Any] = {name: error.facts[name] for name in known}
    return quota_error(error.facts, used=used, **facts)


def stock_out_error(
    said: Mapping[str, object], *, wanted: str, tried: Sequence[str], elsewhere: Sequence[str]
) -> LabError:
    """Say that no zone has the hardware left.

    Args:
        said: the facts of the last zone's refusal.
        wanted: the machine, as ``n2-standard-4``.
        tried: the zones that were asked.
        elsewhere: zones nearby that offer such machines, which were not asked.
    """
    others = f"These zones offer it too: --zone {','.join(elsewhere)}. " if elsewhere else ""
    return LabError(
        LabErrorKind.OUT_OF_STOCK,
        f"no zone that was tried has {wanted} left now: {', '.join(tried)} ({said['code']})",
        hint=f"{others}Or try another machine type, such as one of n2d, e2 or n1, or try again later; spot machines and GPUs run out first.",
        tried=tuple(tried),
        elsewhere=tuple(elsewhere),
        **_of_the_cloud(said),
    )


def stock_out_at_home(error: LabError, machine: Machine) -> LabError:
    """Return the error of a stock-out for *machine*, which is bound to the zone that its disk is in."""
    another = (
        f"or give it another type, for example `epic-notebook resize {machine.name} n2d-standard-4`, and start that"
        if machine.state is State.STOPPED
        else "its memory is kept meanwhile"
    )
    return LabError(
        error.kind,
        f"{machine.zone} has no {machine.machine_type} left now for {machine.name}, which stays {machine.state.said} "
        f"({error.facts['code']})",
        hint=f"Its disk is in that zone, so it can run nowhere else. Try again later, {another}.",
        machine=machine.name,
        zone=machine.zone,
        **_of_the_cloud(error.facts),
    )


def _quota(refusal: Refusal, attempt: Attempt) -> LabError:
    return quota_error(
        _facts(refusal),
        doing=attempt.doing,
        project=attempt.project,
        metric=refusal.quota_metric or "of something",
        limit=refusal.quota_limit,
        region=refusal.quota_region,
        used=None,
    )


def _stock_out(refusal: Refusal, _attempt: Attempt) -> LabError:
    zone = refusal.facts.get("zone") or _zone_in(refusal.message) or "the zone"
    proposed = [each for each in refusal.facts.get("zonesAvailable", "").split(",") if each]
    wanted = refusal.facts.get("vmType") or "such a machine"
    return stock_out_error(_facts(refusal), wanted=wanted, tried=[zone], elsewhere=proposed)


def _permission(refusal: Refusal, attempt: Attempt) -> LabError:
    permission = refusal.permission
    role = role_for(permission)
    account = re.search(r"service account '([^']+)'", refusal.message)
    if permission == "iam.serviceAccounts.actAs" and account:
        lacks = f"the right to act as service account {account[1]} ({permission})"
    else:
        lacks = f"the permission {permission}" if permission else "a permission"
    said = "" if permission else f": {refusal.message}"
    return LabError(
        LabErrorKind.NO_PERMISSION,
        f"{attempt.doing} was refused, because the account lacks {lacks} in project {attempt.project} ({refusal.code}){said}",
        hint=f"Whoever runs the lab can grant it with the role {role}:\n  gcloud projects add-iam-policy-binding {attempt.project} "
        f"--member=user:YOU@EXAMPLE.ORG --role={role}",
        permission=permission,
        role=role,
        project=attempt.project,
        **_facts(refusal),
    )


def _api_disabled(refusal: Refusal, attempt: Attempt) -> LabError:
    return LabError(
        LabErrorKind.API_DISABLED,
        f"Compute Engine is not enabled in project {attempt.project} ({refusal.code})",
        hint=f"Enable it, then wait a minute or two:\n  gcloud services enable compute.googleapis.com --project={attempt.project}",
        project=attempt.project,
        **_facts(refusal),
    )


def _credentials(refusal: Refusal, attempt: Attempt) -> BackendError:
    return BackendError(
        ErrorKind.NO_CREDENTIALS,
        f"{attempt.doing} was refused, because Google does not take the credentials ({refusal.code})",
        **_facts(refusal),
    )


def _name_taken(refusal: Refusal, attempt: Attempt) -> LabError:
    name = attempt.machine or "of that name"
    return LabError(
        LabErrorKind.NAME_TAKEN,
        f"there is a machine {name} already ({refusal.code})",
        hint=f"`epic-notebook status {name}` shows it; launch under another name, or terminate that one first.",
        machine=attempt.machine,
        **_facts(refusal),
    )


def _not_found(refusal: Refusal, attempt: Attempt) -> LabError:
    resource = re.search(r"'((?:projects/)?[^']+)'", refusal.message)
    what = resource[1] if resource else "what was asked for"
    return LabError(
        LabErrorKind.NO_SUCH_RESOURCE,
        f"{attempt.doing} failed: the cloud has no {what} ({refusal.code})",
        hint=_remedy_for_missing(what),
        resource=what,
        **_facts(refusal),
    )


def _state(refusal: Refusal, attempt: Attempt) -> LabError:
    what = attempt.machine or "the machine"
    return LabError(
        LabErrorKind.WRONG_STATE,
        f"{attempt.doing} was refused, because {what} is not in a state for it ({refusal.code}): {refusal.message}",
        hint=f"`epic-notebook status {what}` shows what it is doing; wait until that is done.",
        machine=attempt.machine,
        **_facts(refusal),
    )


def _rate(refusal: Refusal, attempt: Attempt) -> LabError:
    waited = "" if refusal.is_final else ", and waiting did not help"
    return LabError(
        LabErrorKind.RATE_LIMITED,
        f"{attempt.doing} was refused for too many requests{waited} ({refusal.code})",
        hint="Somebody or something in the project asks very often; wait a minute and run the command again.",
        **_facts(refusal),
    )


def _unavailable(refusal: Refusal, attempt: Attempt) -> LabError:
    in_doubt = attempt.changes and not refusal.is_final
    unsure = f" It may have been done all the same: `epic-notebook status {attempt.machine}`." if in_doubt else ""
    said = "failed in the cloud" if refusal.is_final else "got no useful answer from the cloud, after several tries"
    return LabError(
        LabErrorKind.CLOUD_UNAVAILABLE,
        f"{attempt.doing} {said} ({refusal.code}): {refusal.message}",
        hint=f"Run the command again in a while; https://status.cloud.google.com knows of larger trouble.{unsure}",
        **_facts(refusal),
    )


def _unreachable(refusal: Refusal, attempt: Attempt) -> LabError:
    return LabError(
        LabErrorKind.CLOUD_UNREACHABLE,
        f"{attempt.doing} failed: no connection to the cloud could be made ({refusal.message})",
        hint="Check the network, and any VPN or proxy, and run the command again; nothing was asked.",
        **_facts(refusal),
    )


def _other(refusal: Refusal, attempt: Attempt) -> LabError:
    if _MISSING.search(refusal.message):
        found = re.search(r"zones/([^/']+)/([a-zA-Z]+)/([^/']+)'", refusal.message)
        missing = f"there is no {_NOUNS.get(found[2], found[2])} {found[3]} in {found[1]}" if found else refusal.message
        return LabError(
            LabErrorKind.NO_SUCH_RESOURCE,
            f"{attempt.doing} failed: {missing} ({refusal.code})",
            hint=_remedy_for_missing(f"{found[2]}/" if found else "zones/" if "zone" in refusal.message else ""),
            **_facts(refusal),
        )
    if "suspend" in refusal.message.lower():
        return LabError(
            LabErrorKind.CANNOT_SUSPEND,
            f"{attempt.doing} was refused ({refusal.code}): {refusal.message}",
            hint=f"`epic-notebook stop {attempt.machine}` keeps its disk, though not its memory.",
            machine=attempt.machine,
            **_facts(refusal),
        )
    return LabError(
        LabErrorKind.CLOUD_REFUSED,
        f"{attempt.doing} was refused ({refusal.code}): {refusal.message}",
        hint="The cloud will say the same again; the message says what it objected to.",
        **_facts(refusal),
    )


def _remedy_for_missing(what: str) -> str:
    remedies = (
        (
            "machineTypes/",
            "`gcloud compute machine-types list --zones ZONE` shows what a zone has; another --zone may have it.",
        ),
        (
            "acceleratorTypes/",
            "`gcloud compute accelerator-types list` shows which zone has which GPU; choose with --zone.",
        ),
        ("images/", "`epic-notebook launch --help` names the image profiles."),
        (
            "subnetworks/",
            "The lab's machines use the network called default; make one: `gcloud compute networks create default`.",
        ),
        ("instances/", "`epic-notebook list` shows the lab's machines."),
        ("zones/", "Correct GCP_ZONE in ~/.epic/lab, or --zone; `gcloud compute zones list` shows what there is."),
        ("projects/", "Correct GCP_PROJECT_ID in ~/.epic/lab; `gcloud projects list` shows yours."),
    )
    return next((remedy for part, remedy in remedies if part in what), "Correct the name that the message has.")


def _zone_in(message: str) -> str | None:
    found = re.search(r"zones/([a-z0-9-]+)", message)
    return found[1] if found else None


def _of_the_cloud(facts: Mapping[str, object]) -> dict[str, object]:
    return {name: facts[name] for name in ("code", "status", "said")}


def _facts(refusal: Refusal) -> dict[str, object]:
    return {"code": refusal.code, "status": refusal.status, "said": refusal.message}
