"""Checks of the project: is it there, is what the lab uses enabled, and may we do what `epic-notebook` does?

Invariant: nothing is changed; a permission is asked for by name and never tried.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from epic_lab.doctor.case import Case
from epic_lab.doctor.finding import Check, Finding, cannot_tell, not_applicable, ok, wrong
from epic_lab.gcp.apis import RESOURCE_MANAGER, SERVICE_USAGE, Answer
from synccore.backends.gcs_api import FORBIDDEN, NOT_FOUND

SERVICES = ("storage.googleapis.com", "compute.googleapis.com", "iap.googleapis.com")

_MACHINES = "roles/compute.instanceAdmin.v1"
_TUNNEL = "roles/iap.tunnelResourceAccessor"
_ACT_AS = "iam.serviceAccounts.actAs"


class Needed(NamedTuple):
    """A permission, what the lab does with it, and the smallest usual role that grants it."""

    permission: str
    used_for: str
    role: str


PERMISSIONS = (
    Needed("compute.instances.create", "launch", _MACHINES),
    Needed("compute.disks.create", "launch", _MACHINES),
    Needed("compute.subnetworks.use", "launch", _MACHINES),
    Needed("compute.instances.setMetadata", "launch", _MACHINES),
    Needed(_ACT_AS, "launch", "roles/iam.serviceAccountUser"),
    Needed("compute.instances.list", "list", _MACHINES),
    Needed("compute.instances.get", "status", _MACHINES),
    Needed("compute.instances.getSerialPortOutput", "logs", _MACHINES),
    Needed("compute.instances.suspend", "suspend", _MACHINES),
    Needed("compute.instances.resume", "resume", _MACHINES),
    Needed("compute.instances.stop", "stop", _MACHINES),
    Needed("compute.instances.start", "start", _MACHINES),
    Needed("compute.instances.setMachineType", "resize", _MACHINES),
    Needed("compute.instances.delete", "terminate", _MACHINES),
    Needed("iap.tunnelInstances.accessViaIAP", "ssh", _TUNNEL),
)


def _none_configured(case: Case) -> Finding | None:
    return None if case.has_project else not_applicable("no GCP_PROJECT_ID is configured, which only machines need")


def _unasked(answer: Answer, api: str, project: str) -> Finding | None:
    """Return the finding where *api* itself could not be asked, whatever the question was."""
    if answer.reason in {"SERVICE_DISABLED", "accessNotConfigured"}:
        remedy = f"gcloud services enable {api} --project {project}"
        return cannot_tell(f"{api}, which could tell, is not enabled in {project}", remedy=remedy)
    if answer.reason == "USER_PROJECT_DENIED":
        remedy = f"Ask whoever runs the lab for roles/serviceusage.serviceUsageConsumer on the project {project}."
        return cannot_tell(f"asking {api} on the account of {project} is not allowed", remedy=remedy)
    return None


def _project(case: Case) -> Finding:
    if (none := _none_configured(case)) is not None:
        return none
    project = case.config.require_project()
    answer = case.google.ask(RESOURCE_MANAGER, f"/v3/projects/{quote(project, safe='')}")
    if (unasked := _unasked(answer, "cloudresourcemanager.googleapis.com", project)) is not None:
        return unasked
    if answer.status in {FORBIDDEN, NOT_FOUND}:
        return wrong(
            f"there is no project {project}, or it is not {case.identity or 'ours'} to see: {answer.said}",
            remedy="gcloud projects list\nshows those that you may see; epic-lab init --project ID configures one",
            project=project,
        )
    if not answer.is_ok:
        return cannot_tell(f"cloudresourcemanager.googleapis.com answered {answer.said}", project=project)
    state = str(answer.document.get("state", ""))
    if state != "ACTIVE":
        remedy = f"gcloud projects undelete {project}\nor configure another: epic-lab init --project ID"
        return wrong(
            f"the project {project} is {state or 'in no known state'}", remedy=remedy, project=project, state=state
        )
    return ok(f"{project} ({answer.document.get('displayName') or 'without a name'})", project=project, state=state)


def _services(case: Case) -> Finding:
    if (none := _none_configured(case)) is not None:
        return none
    project = case.config.require_project()
    names = tuple(("names", f"projects/{project}/services/{service}") for service in SERVICES)
    answer = case.google.ask(SERVICE_USAGE, f"/v1/projects/{quote(project, safe='')}/services:batchGet", query=names)
    if (unasked := _unasked(answer, "serviceusage.googleapis.com", project)) is not None:
        return unasked
    if not answer.is_ok:
        return cannot_tell(
            f"serviceusage.googleapis.com answered {answer.said}",
            remedy=f"Ask whoever runs the lab for roles/serviceusage.serviceUsageViewer on the project {project}."
            if answer.status == FORBIDDEN
            else None,
        )
    found = {str(it.get("name", "")).rpartition("/")[2]: it.get("state") for it in answer.document.get("services", ())}
    states = {service: str(found.get(service, "STATE_UNSPECIFIED")) for service in SERVICES}
    disabled = [service for service, state in states.items() if state != "ENABLED"]
    if disabled:
        remedy = f"gcloud services enable {' '.join(disabled)} --project {project}"
        return wrong(f"not enabled in {project}: {', '.join(disabled)}", remedy=remedy, services=states)
    return ok(f"enabled: {', '.join(SERVICES)}", services=states)


def _permissions(case: Case) -> Finding:
    if case.is_vm:
        return not_applicable("machines are launched from laptops")
    if (none := _none_configured(case)) is not None:
        return none
    project = case.config.require_project()
    asked = [needed.permission for needed in PERMISSIONS]
    path = f"/v3/projects/{quote(project, safe='')}:testIamPermissions"
    answer = case.google.ask(RESOURCE_MANAGER, path, method="POST", body={"permissions": asked})
    if (unasked := _unasked(answer, "cloudresourcemanager.googleapis.com", project)) is not None:
        return unasked
    if not answer.is_ok:
        return cannot_tell(f"cloudresourcemanager.googleapis.com answered {answer.said}")
    return _judged(case, project, granted=set(answer.document.get("permissions", ())))


def _judged(case: Case, project: str, *, granted: set[str]) -> Finding:
    """Say what is missing of what `epic-notebook` needs, and what grants it."""
    facts = {needed.permission: needed.permission in granted for needed in PERMISSIONS}
    missing = [needed for needed in PERMISSIONS if needed.permission not in granted]
    if not missing:
        return ok(f"all {len(facts)} that epic-notebook uses", permissions=facts)
    said = "missing: " + ", ".join(f"{needed.permission} ({needed.used_for})" for needed in missing)
    remedy = "\n".join(
        f"gcloud projects add-iam-policy-binding {project} --member {case.member} --role {role}"
        for role in dict.fromkeys(needed.role for needed in missing)
    )
    if [needed.permission for needed in missing] == [_ACT_AS]:
        return cannot_tell(f"{said}, unless the machines' service account grants it", remedy=remedy, permissions=facts)
    return wrong(said, remedy=remedy, permissions=facts)


CHECKS = (
    Check(
        name="project",
        asks="does the project exist, and may we see it?",
        look=_project,
        needs=("keys", "token"),
        after=("identity",),
    ),
    Check(
        name="apis",
        asks="are the APIs that the lab uses enabled in the project?",
        look=_services,
        needs=("project",),
    ),
    Check(
        name="project-permissions",
        asks="on a laptop: does the project grant what `epic-notebook` needs?",
        look=_permissions,
        needs=("project",),
    ),
)
