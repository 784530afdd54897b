"""Google's APIs for projects, services and identities, as far as `epic-lab doctor` asks them.

    with ControlServer() as server:
        ...  # GCP_API_ENDPOINT=server.url in the configuration
        assert server.alarms == []

Invariant: every request and every successful answer is held against Google's own description, and what is wrong with one stands in
`ControlServer.alarms`.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from epic_lab.testing.descriptions import CONTROL, Method, answer_alarms, method_of, request_alarms
from synccore.backends.gcs_api import OK
from synccore.testing.http_serving import HttpServer, Request, Response, json_response

NUMBER = "415104041262"
_OAUTH = "oauth2.tokeninfo"
_APIS = {"cloudresourcemanager": "cloudresourcemanager.googleapis.com", "serviceusage": "serviceusage.googleapis.com"}


@dataclass(kw_only=True)
class Project:
    """A project.

    Attributes:
        state: ``ACTIVE`` or ``DELETE_REQUESTED``.
        enabled: the services that are.
        denied: the permissions that the caller has not.
    """

    name: str = "Our lab"
    state: str = "ACTIVE"
    enabled: set[str] = field(
        default_factory=lambda: {"storage.googleapis.com", "compute.googleapis.com", "iap.googleapis.com"}
    )
    denied: set[str] = field(default_factory=set)


class ControlServer(HttpServer):
    """Serve one project to one caller.

    Attributes:
        projects: by id.
        email: whose every token is; ``None`` for credentials that do not say it.
        scopes: what every token is good for.
        tokens: the bearer tokens that are taken; ``None`` takes any, but not none.
        switched_off: the control APIs that are not enabled themselves, such as ``serviceusage.googleapis.com``.
        refusals: the answer that each method gives in the place of its own, as ``{"serviceusage.services.batchGet": 403}``.
        requests: how often each method was asked.
        alarms: what was wrong with a request or an answer.
        headers: of the requests, by method: the last ones.
    """

    name = "control"

    def __init__(self, project: str = "our-lab-123456") -> None:
        super().__init__()
        self.projects = {project: Project()}
        self.email: str | None = "ana@lab.example"
        self.scopes = (
            "https://www.googleapis.com/auth/cloud-platform",
            "https://www.googleapis.com/auth/userinfo.email",
        )
        self.tokens: set[str] | None = None
        self.switched_off: set[str] = set()
        self.refusals: dict[str, int] = {}
        self.requests: Counter[str] = Counter()
        self.alarms: list[str] = []
        self.headers: dict[str, Mapping[str, str]] = {}
        self._state = threading.Lock()

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.method == "POST" and "content-length" not in request.headers:
            return Response(status=411)
        method = method_of(CONTROL, request.method, f"/{'/'.join(request.segments)}")
        if method is None:
            with self._state:
                self.alarms.append(f"nobody knows {request.method} /{'/'.join(request.segments)}")
            return _refusal(404, "NOT_FOUND", "Method not found.")
        body = json.loads(request.body) if request.body else None
        with self._state:
            self.requests[method.name] += 1
            self.headers[method.name] = request.headers
            self.alarms += request_alarms(method, parameters=request.parameters, body=body)
        status, content = self._content(method, request, body)
        if status == OK:
            with self._state:
                self.alarms += answer_alarms(method, content)
        return json_response(status, content)

    def _content(self, method: Method, request: Request, body: object) -> tuple[int, dict[str, object]]:
        if method.name in self.refusals:
            return _refused(self.refusals[method.name], "PERMISSION_DENIED", "The caller does not have permission")
        if method.name == _OAUTH:
            return self._tokeninfo(request.query.get("access_token", ""))
        name = next(iter(method.path.values())).removeprefix("projects/")
        refused = self._refused(method, request, name)
        return refused or (OK, self._granted(method, request, name, body))

    def _refused(self, method: Method, request: Request, project: str) -> tuple[int, dict[str, object]] | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token or (self.tokens is not None and token not in self.tokens):
            return _refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        api = _APIS[method.name.split(".", maxsplit=1)[0]]
        if api in self.switched_off:
            return _service_disabled(api)
        if project not in self.projects:
            return _refused(403, "PERMISSION_DENIED", "The caller does not have permission")
        return None

    def _granted(self, method: Method, request: Request, name: str, body: object) -> dict[str, object]:
        project = self.projects[name]
        if method.name == "cloudresourcemanager.projects.get":
            return {
                "name": f"projects/{NUMBER}",
                "projectId": name,
                "displayName": project.name,
                "state": project.state,
                "createTime": "2025-11-20T10:00:00.000Z",
            }
        if method.name == "cloudresourcemanager.projects.testIamPermissions":
            assert isinstance(body, dict)
            granted = [it for it in body["permissions"] if it not in project.denied]
            return {"permissions": granted} if granted else {}
        names = [value.rpartition("/")[2] for it, value in request.parameters if it == "names"]
        return {"services": [_service(it, is_enabled=it in project.enabled) for it in names]}

    def _tokeninfo(self, token: str) -> tuple[int, dict[str, object]]:
        if not token or (self.tokens is not None and token not in self.tokens):
            return 400, {"error": "invalid_token", "error_description": "Invalid Value"}
        who: dict[str, object] = {"email": self.email, "verified_email": True} if self.email else {}
        return OK, {
            "issued_to": "1234.apps.googleusercontent.com",
            "audience": "1234.apps.googleusercontent.com",
            "scope": " ".join(self.scopes),
            "expires_in": 3599,
            **who,
        }


def _service(name: str, *, is_enabled: bool) -> dict[str, object]:
    return {
        "name": f"projects/{NUMBER}/services/{name}",
        "parent": f"projects/{NUMBER}",
        "config": {"name": name},
        "state": "ENABLED" if is_enabled else "DISABLED",
    }


def _service_disabled(api: str) -> tuple[int, dict[str, object]]:
    said = f"{api} has not been used in project {NUMBER} before or it is disabled."
    detail: dict[str, object] = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {"service": api, "consumer": f"projects/{NUMBER}"},
    }
    return _refused(403, "PERMISSION_DENIED", said, detail)


def _refused(status: int, name: str, said: str, *details: dict[str, object]) -> tuple[int, dict[str, object]]:
    error: dict[str, object] = {"code": status, "message": said, "status": name}
    return status, {"error": {**error, "details": list(details)} if details else error}


def _refusal(status: int, name: str, said: str) -> Response:
    return json_response(*_refused(status, name, said))
