"""What stands between and behind the tools: the bucket, and the network to it, each in a process of its own.

Invariant: no process outlives the ``with``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from benchmarks.certificates import Certificates, make_certificates
from benchmarks.object_server import BUCKET

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BUCKET", "ROOT", "Network", "Traffic"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a command cost beyond its time.

    Attributes:
        requests: to bucket and git host, by operation.
        connections: that were opened.
        bytes_up: sent, protocols and encryption included.
        bytes_down: received, likewise.
        served_seconds: of processor time that server and network took for it.
    """

    requests: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    served_seconds: float = 0.0


class _Process:
    """A process that is asked by lines and answers by lines of JSON."""

    def __init__(self, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.first = self._read()

    def ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Network:
    """The bucket, and a host of git repositories, behind a network.

    Attributes:
        certificates: of the run.
        rtt_seconds: of connections made from now on.
        past: address of the bucket without TLS, past the network.
        http: without TLS, beyond the network.
        https: with TLS.
        google: with TLS, at port 443 of an address that no other process takes, for a tool that cannot be told another port;
            ``None`` where this user may not listen there.
        git: of the git host, with TLS.
        git_folder: where its repositories are.
    """

    def __init__(self, folder: Path, rtt_seconds: float) -> None:
        """Start all of it, with its files under *folder*."""
        self.certificates: Certificates = make_certificates(folder)
        self.rtt_seconds = rtt_seconds
        self.git_folder = folder / "git"
        self.git_folder.mkdir(exist_ok=True)
        files = ("--certificate", str(self.certificates.server), "--repositories", str(self.git_folder))
        self._server = _Process("benchmarks.object_server", *files)
        self.past: str = self._server.first["http"]
        secure = self._server.first["https"]
        routes = [f"127.0.0.1:0={self._server.first[it]}" for it in ("http", "https", "git")]
        self.google: str | None = None
        alone = f"127.{64 + (os.getpid() >> 16) % 64}.{(os.getpid() >> 8) % 256}.{os.getpid() % 256}"
        if _may_listen((alone, 443)):
            self.google = alone
            routes.append(f"{alone}:443={secure}")
        self._proxy = _Process("benchmarks.latency_proxy", "--rtt-ms", f"{rtt_seconds * 1000:g}", *routes)
        self.http, self.https, self.git = map(str, self._proxy.first["listening"][:3])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._proxy.end()
        self._server.end()

    def set_rtt(self, rtt_seconds: float) -> None:
        """Let connections that are made from now on have another round trip."""
        self.rtt_seconds = rtt_seconds
        self._proxy.ask(f"rtt-ms {rtt_seconds * 1000:g}")

    def empty(self) -> None:
        """Delete all that is stored."""
        self._server.ask("empty")

    def seed(self, folder: Path) -> None:
        """Store the files of *folder* as the tools would have that can be seeded."""
        self._server.ask("empty")
        self._server.ask(f"seed {folder}")

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[Traffic]]:
        """Append to the list that is given, at the end of the ``with``, what went over the network meanwhile."""
        traffic: list[Traffic] = []
        before = self._served_seconds("reset")
        yield traffic
        proxy, server = self._proxy.ask("counts"), self._server.ask("counts")
        traffic.append(
            Traffic(
                requests=Counter(server["requests"]),
                connections=proxy["connections"],
                bytes_up=proxy["bytes_up"],
                bytes_down=proxy["bytes_down"],
                served_seconds=proxy["cpu_seconds"] + server["cpu_seconds"] - before,
            )
        )

    def _served_seconds(self, command: str) -> float:
        return float(self._proxy.ask(command)["cpu_seconds"] + self._server.ask(command)["cpu_seconds"])


def _may_listen(address: tuple[str, int]) -> bool:
    try:
        socket.create_server(address).close()
    except OSError:
        return False
    return True
