"""What the cloud says when it says no, read from an answer or from an operation that ended badly.

Invariant: pure. A refusal is sorted by the codes that the service gives, not by its sentences, except where only the sentence has a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

# An answer that never came.
NO_ANSWER = 0

_SERVER_ERROR = 500
_REQUEST_TIMEOUT = 408


class Sort(str, Enum):
    """What there is to do about a refusal."""

    QUOTA = "quota"
    STOCK_OUT = "stock-out"
    PERMISSION = "permission"
    API_DISABLED = "api-disabled"
    CREDENTIALS = "credentials"
    NAME_TAKEN = "name-taken"
    NOT_FOUND = "not-found"
    STATE = "state"
    RATE = "rate"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    OTHER = "other"


_SORTS = {
    "QUOTA_EXCEEDED": Sort.QUOTA,
    "quotaExceeded": Sort.QUOTA,
    "ZONE_RESOURCE_POOL_EXHAUSTED": Sort.STOCK_OUT,
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": Sort.STOCK_OUT,
    "RESOURCE_POOL_EXHAUSTED": Sort.STOCK_OUT,
    "STOCKOUT": Sort.STOCK_OUT,
    "SERVICE_DISABLED": Sort.API_DISABLED,
    "accessNotConfigured": Sort.API_DISABLED,
    "forbidden": Sort.PERMISSION,
    "FORBIDDEN": Sort.PERMISSION,
    "IAM_PERMISSION_DENIED": Sort.PERMISSION,
    "PERMISSIONS_ERROR": Sort.PERMISSION,
    "SERVICE_ACCOUNT_ACCESS_DENIED": Sort.PERMISSION,
    "authError": Sort.CREDENTIALS,
    "UNAUTHENTICATED": Sort.CREDENTIALS,
    "ACCESS_TOKEN_EXPIRED": Sort.CREDENTIALS,
    "alreadyExists": Sort.NAME_TAKEN,
    "RESOURCE_ALREADY_EXISTS": Sort.NAME_TAKEN,
    "notFound": Sort.NOT_FOUND,
    "RESOURCE_NOT_FOUND": Sort.NOT_FOUND,
    "resourceNotReady": Sort.STATE,
    "RESOURCE_NOT_READY": Sort.STATE,
    "invalidState": Sort.STATE,
    "INVALID_STATE": Sort.STATE,
    "rateLimitExceeded": Sort.RATE,
    "userRateLimitExceeded": Sort.RATE,
    "RATE_LIMIT_EXCEEDED": Sort.RATE,
    "RESOURCE_OPERATION_RATE_EXCEEDED": Sort.RATE,
}
_SORTS_BY_STATUS = {
    401: Sort.CREDENTIALS,
    403: Sort.PERMISSION,
    404: Sort.NOT_FOUND,
    409: Sort.NAME_TAKEN,
    429: Sort.RATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One way of the cloud to say no.

    Attributes:
        status: of HTTP; `NO_ANSWER` where there was none.
        codes: the service's own words for it, the most telling first; empty where it gave none.
        message: its sentence.
        quota: the limit that is used up, as the service describes it.
        facts: further named values that the service gave.
        is_unreachable: whether no connection could be made, so that nothing was asked.
        is_final: whether an operation ended so: what was asked for was not done, and was not tried again.
    """

    status: int
    message: str
    codes: tuple[str, ...] = ()
    quota: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    is_unreachable: bool = False
    is_final: bool = False

    @property
    def code(self) -> str:
        """The word to search for."""
        return self.codes[0] if self.codes else (f"HTTP {self.status}" if self.status else "no answer")

    @property
    def sort(self) -> Sort:
        """What there is to do about it."""
        if self.is_unreachable:
            return Sort.UNREACHABLE
        for code in self.codes:
            if code in _SORTS:
                return _SORTS[code]
        if self.status in {NO_ANSWER, _REQUEST_TIMEOUT} or self.status >= _SERVER_ERROR:
            return Sort.UNAVAILABLE
        return _SORTS_BY_STATUS.get(self.status, Sort.OTHER)

    @property
    def may_pass(self) -> bool:
        """Tell whether the same request may succeed in a moment."""
        return self.sort in {Sort.RATE, Sort.UNAVAILABLE, Sort.UNREACHABLE}

    @property
    def permission(self) -> str | None:
        """The permission that was missing, as ``compute.instances.create``."""
        found = re.search(r"'([a-z]+(?:\.[A-Za-z]+){2,})'", self.message)
        if found:
            return found[1]
        return (
            "iam.serviceAccounts.actAs"
            if "SERVICE_ACCOUNT_ACCESS_DENIED" in self.codes
            else self.facts.get("permission")
        )

    @property
    def quota_metric(self) -> str | None:
        """The limit that is used up, as the lists of limits call it: ``N2_CPUS``."""
        found = re.search(r"Quota '([A-Za-z0-9_]+)'", self.message)
        if found:
            return found[1]
        name = str(self.quota.get("metricName", ""))
        return name.rpartition("/")[2].upper() or None

    @property
    def quota_limit(self) -> float | None:
        """How much the limit allows."""
        if "limit" in self.quota:
            return float(self.quota["limit"])
        found = re.search(r"Limit: (\d+(?:\.\d+)?)", self.message)
        return float(found[1]) if found else None

    @property
    def quota_region(self) -> str | None:
        """The region whose limit it is, or ``None`` for one of the whole project."""
        named = self.quota.get("dimensions", {}).get("region")
        found = re.search(r"in region ([a-z0-9-]+)", self.message)
        return str(named) if named else (found[1] if found else None)


def of_answer(status: int, body: object) -> Refusal:
    """Read a refusal from the JSON *body* of an answer with *status*; a body that says nothing is put up with."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return Refusal(status=status, message=f"the answer was HTTP {status} without an explanation")
    items = [item for item in error.get("errors", ()) if isinstance(item, Mapping)]
    details = [detail for detail in error.get("details", ()) if isinstance(detail, Mapping)]
    infos = [detail for detail in details if "reason" in detail]
    codes = [*_strings(items, "code"), *_strings(infos, "reason"), *_strings(items, "reason")]
    message = str(error.get("message") or next(iter(_strings(items, "message")), f"HTTP {status}"))
    within = [detail for item in items for detail in item.get("errorDetails", ())]
    return Refusal(
        status=status,
        message=" ".join(message.split()),
        codes=tuple(dict.fromkeys(codes)),
        quota=_quota(within),
        facts={
            **_metadata(within),
            **{key: str(value) for info in infos for key, value in info.get("metadata", {}).items()},
        },
    )


def of_operation(operation: Mapping[str, Any]) -> Refusal | None:
    """Read from an operation that is done why it failed, or ``None`` where it did not."""
    errors = [error for error in operation.get("error", {}).get("errors", ()) if isinstance(error, Mapping)]
    status = int(operation.get("httpErrorStatusCode") or 0)
    if not errors and not status:
        return None
    details = [detail for error in errors for detail in error.get("errorDetails", ())]
    message = next(iter(_strings(errors, "message")), str(operation.get("httpErrorMessage", "")))
    return Refusal(
        status=status or _SERVER_ERROR,
        message=" ".join(message.split()),
        codes=tuple(dict.fromkeys(_strings(errors, "code"))),
        quota=_quota(details),
        facts=_metadata(details),
        is_final=True,
    )


def _strings(items: list[Mapping[str, Any]], name: str) -> list[str]:
    return [str(item[name]) for item in items if item.get(name)]


def _quota(details: list[Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next((detail["quotaInfo"] for detail in details if "quotaInfo" in detail), {})
    return found


def _metadata(details: list[Any]) -> dict[str, str]:
    return {key: str(value) for key, value in _pairs(details)}


def _pairs(details: list[Any]) -> Iterator[tuple[str, object]]:
    for detail in details:
        yield from detail.get("errorInfo", {}).get("metadatas", {}).items()
