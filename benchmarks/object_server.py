"""The bucket that all tools talk to, over HTTP and over HTTPS, and a host of git repositories, in a process of their own.

    python -m benchmarks.object_server --certificate server.pem --repositories DIR

prints the addresses as a line of JSON and then answers each line of its standard input with a line of JSON: ``counts``, ``reset`` and
``empty`` (both begin the counts anew), or ``seed`` and a folder, whose files it stores as if ``gsutil``, ``gcloud`` or ``rclone`` had brought them, until that ends.

Invariant: both fronts show the same objects.
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.git_server import GitServer
from benchmarks.trees import files_of
from synccore.testing.gcs_server import GcsServer

BUCKET = "lab"
SEEDED_PREFIX = "code"


def main(arguments: list[str] | None = None) -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.object_server", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--certificate", type=Path, required=True, help="a file with a certificate and its private key")
    parser.add_argument("--repositories", type=Path, required=True, help="the folder of the git repositories")
    chosen = parser.parse_args(arguments)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chosen.certificate)
    repositories = GitServer(tls=tls)
    repositories.serve(chosen.repositories)
    with GcsServer(BUCKET) as plain, GcsServer(None, tls=tls) as secure, repositories:
        secure.service = plain.service
        fronts = (plain, secure)
        _say({"http": plain.host, "https": secure.host, "git": repositories.host})
        for line in sys.stdin:
            word, _, value = line.rstrip("\n").partition(" ")
            if word == "seed":
                _seed(plain, Path(value))
            if word in {"empty", "reset"}:
                if word == "empty":
                    plain.service.buckets[BUCKET].clear()
                for front in fronts:
                    front.forget()
                repositories.requests = 0
            _say(
                {
                    "requests": sum((front.requests for front in fronts), Counter(git=repositories.requests)),
                    "cpu_seconds": time.process_time(),
                }
            )
    return 0


def _seed(server: GcsServer, folder: Path) -> None:
    for file in files_of(folder):
        metadata = {"metadata": _times(file.stat().st_mtime_ns)}
        name = f"{SEEDED_PREFIX}/{file.relative_to(folder).as_posix()}"
        server.service.insert(BUCKET, name, file.read_bytes(), metadata, {})


def _times(mtime_ns: int) -> dict[str, str]:
    """Return how Google's tools, and how rclone, note a file's time."""
    seconds, nanoseconds = divmod(mtime_ns, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {"goog-reserved-file-mtime": str(seconds), "mtime": f"{text}.{nanoseconds:09}Z"}


def _say(content: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
