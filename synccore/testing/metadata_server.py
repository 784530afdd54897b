"""A machine's metadata server, as far as somebody asks it for access tokens.

Invariant: as with Google's, nothing is answered to whoever does not send ``Metadata-Flavor: Google``, and every answer
carries that header.
"""

from __future__ import annotations

import threading
from collections import Counter

from synccore.testing.http_serving import HttpServer, Request, Response, json_response

_FLAVOUR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_ROOT = "computeMetadata/v1"
_ACCOUNT = "lab@project.iam.gserviceaccount.com"


class MetadataServer(HttpServer):
    """Serve tokens to the machine's service account.

    Attributes:
        token: what is handed out next; ``None`` means that the machine has no service account.
        expires_in: for how many seconds a token is said to hold.
        requests: how often each path was asked for, whatever the answer.
    """

    name = "metadata"

    def __init__(self, *, token: str | None = "token-1", expires_in: int = 3599) -> None:  # noqa: S107  # of a test
        super().__init__()
        self.token = token
        self.expires_in = expires_in
        self.requests: Counter[str] = Counter()
        self._state = threading.Lock()

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        with self._state:
            self.requests["/".join(request.segments)] += 1
        if request.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in request.headers:
            return Response(status=403, headers=_FLAVOUR, body=b"Missing Metadata-Flavor:Google header.")
        content = self._content("/".join(request.segments))
        if content is None:
            return Response(status=404, headers=_FLAVOUR)
        if isinstance(content, str):
            return Response(status=200, headers=_FLAVOUR, body=content.encode())
        return json_response(200, content, _FLAVOUR)

    def _content(self, path: str) -> str | dict[str, object] | None:
        root, _, account = path.partition("/instance/service-accounts/")
        if not account or self.token is None:
            paths = {"": "computeMetadata/\n", f"{_ROOT}/project/project-id": "project"}
            return {**paths, f"{_ROOT}/universe/universe-domain": "googleapis.com"}.get(path)
        who, _, what = account.partition("/")
        if root != _ROOT or who not in {"default", _ACCOUNT}:
            return None
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        contents: dict[str, str | dict[str, object]] = {
            "token": {"access_token": self.token, "expires_in": self.expires_in, "token_type": "Bearer"},
            "email": _ACCOUNT,
            "": {"aliases": ["default"], "email": _ACCOUNT, "scopes": scopes},
        }
        return contents.get(what)
