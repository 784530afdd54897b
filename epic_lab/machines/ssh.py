"""The way into a machine: gcloud's SSH through the tunnel of the identity-aware proxy.

Invariant: the terminal is SSH's own while it runs; what is tried before that asks for nothing and leaves nothing behind, no key either.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines.machine import Machine

USER = "jupyter"
PORT = 22
TUNNEL_ROLE = "roles/iap.tunnelResourceAccessor"
ROLES = (TUNNEL_ROLE, "roles/compute.instanceAdmin.v1", "roles/iam.serviceAccountUser")
# What OpenSSH, and so gcloud, ends with where no session came about.
NO_SESSION = 255

_GREETING = b"SSH-"
_ONE_TRY_SECONDS = 40.0
_LAST_BREATH_SECONDS = 5.0
# Codes of the proxy: https://cloud.google.com/iap/docs/faq
_NOT_ALLOWED = re.compile(rb"\b4033\b|not authorized|permission", re.IGNORECASE)
_NOT_YET = re.compile(
    rb"\b(?:4003|4010|4047)\b|failed to connect to (?:backend|port)|failed to lookup instance", re.IGNORECASE
)


class Answer(str, Enum):
    """What became of trying the tunnel."""

    OPEN = "open"
    NOT_YET = "not yet"
    NOT_ALLOWED = "not allowed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The way into one machine.

    Attributes:
        gcloud: the program.
        project: whose machine it is.
        zone: where it is.
        name: what it is called.
    """

    gcloud: str
    project: str
    zone: str
    name: str

    def command(self, *, user: str | None, flags: Sequence[str] = ()) -> list[str]:
        """Return the command that opens a session as *user*, or as gcloud's own choice; *flags* are for SSH."""
        target = f"{user}@{self.name}" if user else self.name
        where = [f"--project={self.project}", f"--zone={self.zone}", "--tunnel-through-iap"]
        return [self.gcloud, "compute", "ssh", target, *where, *(["--", *flags] if flags else [])]

    def try_tunnel(self) -> Answer:
        """Find out whether the machine's SSH answers through the tunnel, by waiting for its greeting."""
        where = [f"--project={self.project}", f"--zone={self.zone}", "--verbosity=error"]
        command = [self.gcloud, "compute", "start-iap-tunnel", self.name, str(PORT), "--listen-on-stdin", *where]
        with subprocess.Popen(  # noqa: S603 - gcloud, with arguments that were judged
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            # Who does not answer at all must not hold us: the reading below ends when the process does.
            timer = threading.Timer(_ONE_TRY_SECONDS, process.kill)
            timer.start()
            try:
                assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - they are pipes
                if process.stdout.read(len(_GREETING)) == _GREETING:
                    return Answer.OPEN
                said = process.stderr.read()
            finally:
                timer.cancel()
                _end(process)
        if _NOT_YET.search(said):
            return Answer.NOT_YET
        return Answer.NOT_ALLOWED if _NOT_ALLOWED.search(said) else Answer.UNKNOWN


def way_to(machine: Machine, project: str) -> Way:
    """Return the way into *machine*.

    Raises:
        LabError: gcloud is not installed.
    """
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise LabError(
            LabErrorKind.NO_GCLOUD,
            "gcloud is not on the PATH: it makes the tunnel through which machines are reached",
            hint="Install it (https://cloud.google.com/sdk/docs/install), then `gcloud auth login`. Your account needs the roles "
            f"{', '.join(ROLES)}.",
            roles=ROLES,
        )
    return Way(gcloud=gcloud, project=project, zone=machine.zone, name=machine.name)


def run(command: Sequence[str]) -> int:
    """Run *command* on this terminal and return what it ends with; ^C is for it alone."""
    with _deaf_to_interrupts():
        return subprocess.call(command)  # noqa: S603 - gcloud, with what the user wants to hand to it


def not_allowed(name: str, project: str) -> LabError:
    """Say that the account may not use the tunnel."""
    return LabError(
        LabErrorKind.NO_PERMISSION,
        f"the tunnel to {name} was refused, because the account may not use it in project {project} (4033)",
        hint=f"Whoever runs the lab can grant it with the role {TUNNEL_ROLE}:\n  gcloud projects add-iam-policy-binding {project} "
        f"--member=user:YOU@EXAMPLE.ORG --role={TUNNEL_ROLE}",
        permission="iap.tunnelInstances.accessViaIAP",
        role=TUNNEL_ROLE,
        project=project,
    )


def no_tunnel(name: str) -> LabError:
    """Say that a machine's SSH did not answer in time."""
    return LabError(
        LabErrorKind.NO_TUNNEL,
        f"the SSH of {name} did not answer through the tunnel in time (4003)",
        hint=f"The machine may still be starting: `epic-notebook logs {name}`. If it is not, the project's firewall must let "
        f"35.235.240.0/20 reach port {PORT}.",
        machine=name,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()  # which is how the tunnel is told to end
    try:
        process.wait(_LAST_BREATH_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where handlers cannot be set
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
