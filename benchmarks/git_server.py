"""Git over HTTPS, as hosts of repositories serve it: ``git http-backend`` behind a small server.

Invariant: a request is one run of git's own program; nothing of its answer is changed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks.programs import output_of
from synccore.testing.http_serving import HttpServer, Request, Response


class GitServer(HttpServer):
    """Serve the repositories in a folder to anybody, for reading and writing.

    Attributes:
        requests: how many there have been.
    """

    name = "git"

    def serve(self, folder: Path) -> None:
        """Say where the repositories are, before the first request."""
        self._folder = folder
        self._program = Path(output_of(["git", "--exec-path"]).strip()) / "git-http-backend"
        self.requests = 0

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        self.requests += 1
        variables = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self._folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REQUEST_METHOD": request.method,
            "PATH_INFO": "/" + "/".join(request.segments),
            "QUERY_STRING": "&".join(f"{key}={value}" for key, value in request.query.items()),
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "REMOTE_USER": "ann",
            "REMOTE_ADDR": "127.0.0.1",
            **_forwarded(request.headers),
        }
        ran = subprocess.run([self._program], input=request.body, env=variables, capture_output=True, check=False)
        head, _, body = ran.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200" if ran.returncode == 0 else "500").split()[0])
        return Response(status=status, headers=headers, body=body)


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell the program of two headers, where they came."""
    names = {"content-encoding": "HTTP_CONTENT_ENCODING", "git-protocol": "HTTP_GIT_PROTOCOL"}
    return {variable: headers[header] for header, variable in names.items() if header in headers}
