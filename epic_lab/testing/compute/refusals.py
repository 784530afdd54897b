"""The errors of Compute Engine, as it writes them.

Each is told in two ways: at once, as the HTTP answer to the request, or later, as what an operation ends with. The bodies follow what the
service has been seen to answer; where nobody has published one, the text is a guess in its style, and the docstring says so. No client may
depend on a text.

Invariant: `Refusal.response` and `Refusal.operation_error` say the same with the same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from synccore.testing.http_serving import Response, json_response

_SERVICE = "compute.googleapis.com"
_HELP = {
    "links": [
        {"description": "Troubleshooting documentation", "url": "https://cloud.google.com/compute/docs/resource-error"}
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One way of the service to say no.

    Attributes:
        status: of HTTP.
        reason: the word in an immediate answer, as ``quotaExceeded``.
        code: the word in an operation's error, as ``QUOTA_EXCEEDED``; empty where none is known.
        message: for people.
        domain: which part of Google says it.
        item_details: ``errorDetails`` of the error, as messages of the API.
        details: of the whole answer, each with its ``@type``.
        told_code: whether the immediate answer has the code and the item's details, too.
        rpc_status: the canonical name beside the status, where the front end and not the service answers.
    """

    status: int
    reason: str
    message: str
    code: str = ""
    domain: str = "global"
    item_details: Sequence[Mapping[str, Any]] = ()
    details: Sequence[Mapping[str, Any]] = ()
    told_code: bool = False
    rpc_status: str = ""

    def response(self) -> Response:
        """Return the HTTP answer."""
        item: dict[str, Any] = {"message": self.message, "domain": self.domain, "reason": self.reason}
        if self.told_code:
            item |= {"code": self.code, "errorDetails": list(self.item_details)}
        error: dict[str, Any] = {"code": self.status, "message": self.message, "errors": [item]}
        if self.rpc_status:
            error["status"] = self.rpc_status
        if self.details:
            error["details"] = list(self.details)
        return json_response(self.status, {"error": error})

    def operation_error(self) -> dict[str, Any]:
        """Return the fields of an operation that ended so."""
        item: dict[str, Any] = {"code": self.code or self.reason, "message": self.message}
        if self.item_details:
            item["errorDetails"] = list(self.item_details)
        phrase = HTTPStatus(self.status).phrase.upper()
        return {"error": {"errors": [item]}, "httpErrorStatusCode": self.status, "httpErrorMessage": phrase}


class RefusalError(Exception):
    """The request is answered with a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def quota_exceeded(metric: str = "CPUS", *, limit: float = 24.0, region: str | None = "us-central1") -> Refusal:
    """A limit of the project in a region, or of the project as a whole if *region* is ``None``."""
    where = f"in region {region}" if region else "globally"
    info = {
        "metricName": f"{_SERVICE}/{metric.lower()}",
        "limitName": f"{metric.replace('_', '-')}-per-project{'-region' if region else ''}",
        "dimensions": {"region": region} if region else {"global": "global"},
        "limit": limit,
    }
    return Refusal(
        status=403,
        reason="quotaExceeded",
        code="QUOTA_EXCEEDED",
        domain="usageLimits",
        message=f"Quota '{metric}' exceeded.  Limit: {limit:.1f} {where}.",
        item_details=({"quotaInfo": info},),
        told_code=True,
    )


def stock_out(
    project: str, zone: str, *, machine_type: str = "n2-standard-4", attachment: str = "", elsewhere: Sequence[str] = ()
) -> Refusal:
    """The zone has no such hardware left; *elsewhere* are the zones that the service proposes."""
    what = f"A {machine_type} VM instance" + (
        f" with {attachment.replace(':', ' ')} accelerator(s)" if attachment else ""
    )
    advice = (
        f" Consider trying your request in the {', '.join(elsewhere)} zone(s), which currently has capacity to accommodate your request."
        if elsewhere
        else ""
    )
    localized = f"{what} is currently unavailable in the {zone} zone.{advice} For more information, see the troubleshooting documentation."
    metadata = {"vmType": machine_type, "zone": zone, "attachment": attachment, "zonesAvailable": ",".join(elsewhere)}
    return Refusal(
        status=503,
        reason="backendError",
        code="ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        message=(
            f"The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the request.  "
            "'(resource type:compute)'."
        ),
        item_details=(
            {"help": _HELP},
            {"localizedMessage": {"locale": "en-US", "message": localized}},
            {"errorInfo": {"reason": "resource_availability", "domain": _SERVICE, "metadatas": metadata}},
        ),
        told_code=True,
    )


def permission_denied(permission: str, resource: str) -> Refusal:
    """The caller lacks *permission* for *resource*, a path as ``projects/p/zones/z/instances/n``."""
    message = f"Required '{permission}' permission for '{resource}'"
    return Refusal(status=403, reason="forbidden", code="FORBIDDEN", message=message)


def service_account_denied(account: str) -> Refusal:
    """The caller may make machines, but not hand them that service account."""
    message = (
        f"The user does not have access to service account '{account}'.  User: 'somebody@example.com'.  Ask a project owner to grant you "
        "the iam.serviceAccountUser role on the service account"
    )
    return Refusal(
        status=400, reason="SERVICE_ACCOUNT_ACCESS_DENIED", code="SERVICE_ACCOUNT_ACCESS_DENIED", message=message
    )


def api_disabled(project_number: str = "123456789012") -> Refusal:
    """Compute Engine is not enabled in the project."""
    url = f"https://console.developers.google.com/apis/api/{_SERVICE}/overview?project={project_number}"
    message = (
        f"Compute Engine API has not been used in project {project_number} before or it is disabled. Enable it by visiting {url} then retry. "
        "If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    metadata = {
        "consumer": f"projects/{project_number}",
        "service": _SERVICE,
        "serviceTitle": "Compute Engine API",
        "activationUrl": url,
        "containerInfo": project_number,
    }
    link = {"description": "Google developers console API activation", "url": url}
    return Refusal(
        status=403,
        reason="accessNotConfigured",
        code="SERVICE_DISABLED",
        domain="usageLimits",
        message=message,
        rpc_status="PERMISSION_DENIED",
        details=(
            {"@type": "type.googleapis.com/google.rpc.Help", "links": [link]},
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
                "metadata": metadata,
            },
        ),
    )


def unauthenticated() -> Refusal:
    """The token is missing, out of date or wrong."""
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    return Refusal(
        status=401, reason="authError", message=message, rpc_status="UNAUTHENTICATED", code="UNAUTHENTICATED"
    )


def rate_limited(project_number: str = "123456789012") -> Refusal:
    """Too many requests in a while; the same request may do later."""
    message = (
        f"Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service '{_SERVICE}' for consumer "
        f"'project_number:{project_number}'."
    )
    return Refusal(
        status=403, reason="rateLimitExceeded", code="RATE_LIMIT_EXCEEDED", domain="usageLimits", message=message
    )


def operation_rate_exceeded(resource: str = "the resource") -> Refusal:
    """Too many changes to one resource, as an operation's end. The text is a guess."""
    message = f"Operation rate exceeded for resource '{resource}'. Too frequent operations from the source resource."
    return Refusal(
        status=403,
        reason="rateLimitExceeded",
        code="RESOURCE_OPERATION_RATE_EXCEEDED",
        domain="usageLimits",
        message=message,
    )


def unavailable(status: int = 503) -> Refusal:
    """The service is out of order, for a while."""
    broken = status == HTTPStatus.INTERNAL_SERVER_ERROR
    return Refusal(
        status=status,
        reason="internalError" if broken else "backendError",
        code="INTERNAL_ERROR",
        message="Internal error. Please try again." if broken else "The service is currently unavailable.",
    )


def not_found(resource: str) -> Refusal:
    """There is no such resource."""
    message = f"The resource '{resource}' was not found"
    return Refusal(status=404, reason="notFound", code="RESOURCE_NOT_FOUND", message=message)


def no_such_address() -> Refusal:
    """The API has nothing at that path."""
    return Refusal(status=404, reason="notFound", message="Not Found")


def already_exists(resource: str) -> Refusal:
    """The name is taken."""
    message = f"The resource '{resource}' already exists"
    return Refusal(status=409, reason="alreadyExists", code="RESOURCE_ALREADY_EXISTS", message=message)


def not_ready(resource: str) -> Refusal:
    """Something else is being done to the resource."""
    message = f"The resource '{resource}' is not ready"
    return Refusal(status=400, reason="resourceNotReady", code="RESOURCE_NOT_READY", message=message)


def invalid_state(resource: str, why: str) -> Refusal:
    """The machine is not in a state from which that can be done. The text is a guess."""
    message = f"Invalid resource state for '{resource}': {why}"
    return Refusal(status=400, reason="invalidState", code="INVALID_STATE", message=message)


def invalid(message: str) -> Refusal:
    """The request cannot be meant so."""
    return Refusal(status=400, reason="invalid", code="INVALID_USAGE", message=message)


def invalid_field(name: str, value: object, why: str) -> Refusal:
    """A field of the request has a value that cannot be."""
    return invalid(f"Invalid value for field '{name}': '{value}'. {why}")


def condition_not_met() -> Refusal:
    """A fingerprint is out of date."""
    message = "Labels fingerprint either invalid or resource labels have changed"
    return Refusal(status=412, reason="conditionNotMet", code="CONDITION_NOT_MET", message=message)
