"""A command on a terminal of its own, with somebody at it who types ahead."""

from __future__ import annotations

import os
import subprocess
from typing import Any

Machine = Any


def on_terminal(machine: Machine, *command: str, typed: str = "") -> tuple[int, str]:
    """Run *command* on a terminal of its own and return its exit code and everything that appeared."""
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, env=machine.environment(), cwd=machine.home, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        shown = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not data:
                break
            shown += data
        os.close(ours)
    return process.returncode, shown.decode().replace(str(machine.home), "HOME")
