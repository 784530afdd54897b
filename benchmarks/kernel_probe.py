"""Start a real IPython kernel in this process up to the moment at which it would answer, and leave.

    python -m benchmarks.kernel_probe CONNECTION_FILE REPORT [--profile]

The report says how long the profile's startup files took and how often the store was asked; with ``--profile`` also what of it went where,
which costs a little itself: figures of a start and of its profile are never taken from the same process.

Invariant: the kernel is ipykernel's own, configured as Jupyter configures it; its event loop alone is not begun.
"""

from __future__ import annotations

import builtins
import json
import os
import socket
import ssl
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import IPKernelApp

_NOT_COUNTED = "one thread waits for another"


class Profile:
    """Where time goes, by kinds that exclude one another: a kind that begins inside another interrupts it.

    Attributes:
        seconds: by kind, over all threads.
        is_on: whether anything is counted.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.is_on = False
        self._stacks = threading.local()

    def watch(self, owner: Any, name: str, kind: str) -> None:
        """Let the time in *owner*'s function count as *kind*."""
        inner: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            if not self.is_on:
                return inner(*arguments, **named)
            stack = self._enter(kind)
            try:
                return inner(*arguments, **named)
            finally:
                self._leave(stack)

        setattr(owner, name, timed)

    def _enter(self, kind: str) -> list[tuple[str, float]]:
        stack: list[tuple[str, float]] = self._stacks.__dict__.setdefault("stack", [])
        now = time.perf_counter()
        if stack:
            outer, since = stack[-1]
            self.seconds[outer] += now - since
        stack.append((kind, now))
        return stack

    def _leave(self, stack: list[tuple[str, float]]) -> None:
        now = time.perf_counter()
        kind, since = stack.pop()
        self.seconds[kind] += now - since
        if stack:
            stack[-1] = (stack[-1][0], now)


def _watch_all(profile: Profile) -> None:
    """Watch the places through which every synchronisation goes; modules of ours as soon as they are imported.

    The hook runs inside an import, of `epic_lab.ipython_startup`, so what it calls counts as something else from there on.
    """
    profile.watch(ssl, "create_default_context", "certificates")
    profile.watch(socket, "create_connection", "connect")
    profile.watch(ssl.SSLSocket, "do_handshake", "TLS")
    ours = {
        "synccore.backends.gcs_tokens": [("Tokens", "current", "token")],
        "synccore.backends.http1": [("", "read_response", "wait")],
        "synccore.catchup": [("", "catch_up", "apply")],
        "epic_lab.kernel.hook": [("", "start", "other")],
        "epic_lab.kernel.attempt": [("Attempt", "wait", _NOT_COUNTED), ("Attempt", "_run", "other")],
    }
    imported = builtins.__import__

    def importing(name: str, *arguments: Any, **named: Any) -> Any:
        module = imported(name, *arguments, **named)
        for known in [it for it in ours if it in sys.modules and not _is_being_imported(it)]:
            for owner, function, kind in ours.pop(known):
                found = sys.modules[known]
                profile.watch(getattr(found, owner) if owner else found, function, kind)
        return module

    builtins.__import__ = importing
    profile.watch(builtins, "__import__", "imports")
    timed = builtins.__import__

    def importing_ours(name: str, *arguments: Any, **named: Any) -> Any:
        if name != "epic_lab.ipython_startup":
            return timed(name, *arguments, **named)
        profile.is_on = True
        try:
            return timed(name, *arguments, **named)
        finally:
            profile.is_on = False

    builtins.__import__ = importing_ours


def _is_being_imported(name: str) -> bool:
    return bool(getattr(getattr(sys.modules[name], "__spec__", None), "_initializing", False))


class ProbedKernel(IPKernelApp):
    """The kernel, with a clock around its startup files.

    Attributes:
        startup_seconds: what those took.
        profile: where it went, if that is asked.
    """

    startup_seconds = 0.0
    profile_of_startup: Profile | None = None

    def init_code(self) -> None:
        """Run the startup files, as always, between two looks at the clock."""
        if self.profile_of_startup is not None:
            _watch_all(self.profile_of_startup)
        began = time.perf_counter()
        super().init_code()  # type: ignore[no-untyped-call]  # ipykernel's own
        self.startup_seconds = time.perf_counter() - began


def main(arguments: list[str]) -> None:
    """Start, report, and leave at once."""
    connection_file, report, *options = arguments
    kernel = ProbedKernel.instance()
    if "--profile" in options:
        kernel.profile_of_startup = Profile()
    kernel.initialize(["-f", connection_file, "--log-level=40"])  # type: ignore[no-untyped-call]  # ipykernel's own
    profile = kernel.profile_of_startup
    content = {
        "startup_seconds": kernel.startup_seconds,
        "profile": {kind: it for kind, it in profile.seconds.items() if kind != _NOT_COUNTED} if profile else {},
        "calls": dict(hook.kernel_code().calls) if (hook := sys.modules.get("epic_lab.kernel.hook")) else {},
    }
    Path(report).write_text(json.dumps(content), encoding="utf-8")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
