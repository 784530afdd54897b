"""Where a service account changes a signed request for an access token, as at Google's ``/token``.

Invariant: every token is another one, so that a test can tell how often one was made.
"""

from __future__ import annotations

import base64
import json
import threading
from urllib.parse import parse_qs

from synccore.testing.http_serving import HttpServer, Request, Response, json_response


class TokenEndpoint(HttpServer):
    """Hand out ``issued-1``, ``issued-2`` and so on.

    Attributes:
        issued: how many tokens there have been.
        claims: what each request that got one said of itself.
        status: what is answered; anything but 200 refuses.
    """

    name = "tokens"

    def __init__(self) -> None:
        super().__init__()
        self.issued = 0
        self.claims: list[dict[str, object]] = []
        self.status = 200
        self._state = threading.Lock()

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        (assertion,) = parse_qs(request.body.decode())["assertion"]
        claims = assertion.split(".")[1]
        if self.status != 200:
            return json_response(self.status, {"error": "invalid_grant", "error_description": "Account deleted"})
        with self._state:
            self.issued += 1
            self.claims.append(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))))
        return json_response(200, {"access_token": f"issued-{self.issued}", "expires_in": 3600, "token_type": "Bearer"})
