"""Where a service account changes a signed request for an access token, as at Google's ``/token``.

Invariant: every token is another one, so that a test can tell how often one was made.
"""

from __future__ import annotations

import threading

from synccore.testing.http_serving import HttpServer, Request, Response, json_response


class TokenEndpoint(HttpServer):
    """Hand out ``issued-1``, ``issued-2`` and so on.

    Attributes:
        issued: how many tokens there have been.
        status: what is answered; anything but 200 refuses.
    """

    name = "tokens"

    def __init__(self) -> None:
        super().__init__()
        self.issued = 0
        self.status = 200
        self._state = threading.Lock()

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        assert b"assertion=" in request.body
        if self.status != 200:
            return json_response(self.status, {"error": "invalid_grant", "error_description": "Account deleted"})
        with self._state:
            self.issued += 1
        return json_response(200, {"access_token": f"issued-{self.issued}", "expires_in": 3600, "token_type": "Bearer"})
