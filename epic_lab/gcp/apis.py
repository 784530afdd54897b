"""One question to one of Google's APIs, over the standard library.

Invariant: an access token goes only where it was meant to go: redirections are not followed, and nothing here ever puts a token into
a message.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from synccore.errors import ErrorKind, UnavailableError

if TYPE_CHECKING:
    from synccore.backends.gcs_tokens import Tokens

RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com"
SERVICE_USAGE = "https://serviceusage.googleapis.com"
OAUTH2 = "https://www.googleapis.com"

_LONGEST_SAYING = 300
_LONGEST_ANSWER_BYTES = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP.
        headers: by lower-case name.
        document: the JSON object, empty where there was none.
        at_seconds: this machine's clock in the middle of the question, in seconds since 1970.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    at_seconds: float = 0.0

    @property
    def is_ok(self) -> bool:
        """Whether the question was answered."""
        return self.status == http.client.OK

    @property
    def reason(self) -> str | None:
        """The machine's word for why not, such as ``SERVICE_DISABLED``, or ``None``."""
        error = self._error
        for detail in error.get("details") or ():
            if isinstance(detail, dict) and isinstance(detail.get("reason"), str):
                return str(detail["reason"])
        return error["status"] if isinstance(error.get("status"), str) else None

    @property
    def said(self) -> str:
        """What the service said for people, as one line: ``403 (The caller does not have permission)``."""
        line = " ".join(str(self._error.get("message") or self.document.get("error_description") or "").split())
        if len(line) > _LONGEST_SAYING:
            line = line[:_LONGEST_SAYING] + "…"
        return f"{self.status} ({line})" if line else str(self.status)

    @property
    def _error(self) -> Mapping[str, Any]:
        error = self.document.get("error")
        return error if isinstance(error, dict) else {}


class GoogleApis:
    """Asks Google's APIs as one identity.

    Args:
        tokens: as whom; ``None`` asks as nobody.
        endpoint: what stands in for all of them, or ``None``.
        patience_seconds: how long nothing may come.
        quota_project: on whose account a user's questions go, which Google wants to know of people and not of machines.
    """

    def __init__(
        self,
        *,
        tokens: Tokens | None,
        endpoint: str | None,
        patience_seconds: float,
        quota_project: str | None = None,
    ) -> None:
        self._tokens = tokens
        self._endpoint = endpoint
        self._patience_seconds = patience_seconds
        self._quota_project = quota_project

    def ask(
        self,
        service: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        method: str = "GET",
        body: object = None,
    ) -> Answer:
        """Ask the API at the URL *service* and return its answer, whatever its status.

        Raises:
            BackendError: there are no credentials, or they were refused.
            UnavailableError: nobody answers, or nothing that makes sense.
        """
        url = (self._endpoint or service) + path + (f"?{urlencode(query)}" if query else "")
        request = urllib.request.Request(url, method=method)  # noqa: S310 - its scheme was judged with the configuration
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        elif method == "POST":
            request.data = b""  # or its length, none, would not be sent, which is refused
        if self._tokens is not None:
            request.add_header("Authorization", f"Bearer {self._tokens.current().text}")
        if self._quota_project is not None:
            request.add_header("x-goog-user-project", self._quota_project)
        return self._send(request, self._endpoint or service)

    def _send(self, request: urllib.request.Request, service: str) -> Answer:
        began = time.time()
        try:
            with self._opener().open(request, timeout=self._patience_seconds) as response:
                status, headers, data = response.status, response.headers, response.read(_LONGEST_ANSWER_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                status, headers, data = error.code, error.headers, _rest_of(error)
        except (OSError, http.client.HTTPException) as error:
            raise _unreachable(service, error) from error
        try:
            document = json.loads(data or b"{}")
        except ValueError:
            document = {}
        return Answer(
            status=status,
            headers={name.lower(): value for name, value in headers.items()},
            document=document if isinstance(document, dict) else {},
            at_seconds=(began + time.time()) / 2,
        )

    def _opener(self) -> urllib.request.OpenerDirector:
        from synccore.trust import trusted_context

        return urllib.request.build_opener(_StayHere, urllib.request.HTTPSHandler(context=trusted_context()))


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Take a redirection for the answer that it is: the usual handler would carry the token along."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


def _rest_of(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(_LONGEST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException):
        return b""


def _unreachable(service: str, error: Exception) -> UnavailableError:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    said = getattr(cause, "strerror", None) or str(cause)
    why = "no answer came in time" if isinstance(cause, TimeoutError) else " ".join(said.split())
    return UnavailableError(
        ErrorKind.UNREACHABLE, f"{service} does not answer: {why or type(cause).__name__}", ambiguous=False
    )
