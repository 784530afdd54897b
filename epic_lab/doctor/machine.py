"""Checks of this very machine: its clock, the programs on it, and on a VM what makes it one of the lab's.

Invariant: programs are asked for their version or state and for nothing else.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from email.utils import parsedate_to_datetime
from pathlib import Path
from shlex import quote

from epic_lab.doctor.case import Case
from epic_lab.doctor.finding import Check, Finding, cannot_tell, not_applicable, ok, wrong
from epic_lab.errors import LabError

LARGEST_SKEW_SECONDS = 60
LEAST_FREE_BYTES = 2 * 10**9
SERVICE = "epic-lab.service"

_ONLY_ON_A_VM = "only on a VM"
_SET_CLOCK = {"darwin": "sudo sntp -sS time.apple.com", "win32": "w32tm /resync"}
_HOOK = re.compile(
    r"^\s*(?:from\s+epic_lab\.ipython_startup\s+import\b|import\s+epic_lab\.ipython_startup\b)", re.MULTILINE
)
_EXTENSION = re.compile(r"""^[^#\n]*extensions\b[^#\n]*["']epic_lab["']""", re.MULTILINE)


def _clock(case: Case) -> Finding:
    try:
        if case.bucket is None:
            return not_applicable("the store is a folder")
    except LabError:
        pass  # the store's own check says so, and a wrong clock may matter all the same
    answer = case.ask_storage("/", anonymously=True)
    try:
        at = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return cannot_tell("the storage did not say what time it is")
    ahead = round(answer.at_seconds - at)
    if abs(ahead) <= LARGEST_SKEW_SECONDS:
        return ok(f"within {max(1, abs(ahead))} s of the storage's", ahead_seconds=ahead)
    return wrong(
        f"{abs(ahead):,} s {'ahead of' if ahead > 0 else 'behind'} the storage's; Google refuses logins from such a machine",
        remedy=_SET_CLOCK.get(sys.platform, "sudo timedatectl set-ntp true"),
        ahead_seconds=ahead,
    )


def _git(case: Case) -> Finding:
    version = _version_of("git", case)
    if isinstance(version, Finding):
        return version
    if version is None:
        if case.is_vm:
            return not_applicable("not installed, and not needed on a VM")
        remedy = "Install it from https://git-scm.com/downloads; until then uploads work, more slowly."
        return wrong("git is not installed, or not on the PATH", remedy=remedy)
    return ok(version, version=version)


def _gcloud(case: Case) -> Finding:
    if case.is_vm:
        return not_applicable("only on a laptop")
    version = _version_of("gcloud", case)
    if isinstance(version, Finding):
        return version
    if version is None:
        remedy = (
            "Install it as https://cloud.google.com/sdk/docs/install says; `epic-notebook ssh` and logging in need it."
        )
        detail = "gcloud is not installed, or not on the PATH"
        return (
            wrong(detail, remedy=remedy) if _needs_gcloud(case) else not_applicable(f"{detail}, and not needed so far")
        )
    return ok(version, version=version)


def _needs_gcloud(case: Case) -> bool:
    try:
        return case.has_project or (case.bucket is not None and not case.has_emulator)
    except LabError:
        return True


def _version_of(program: str, case: Case) -> str | Finding | None:
    """Return the first line of what *program* says of its version; ``None`` where there is no such program."""
    path = shutil.which(program)
    if path is None:
        return None
    ran = _run([path, "--version"], case)
    if isinstance(ran, Finding):
        return ran
    line = next(iter(ran.stdout.splitlines()), "").strip()
    if ran.returncode != 0 or not line:
        said = " ".join((ran.stderr or ran.stdout).split())[:200]
        return wrong(
            f"{path} --version failed: {said or f'exit code {ran.returncode}'}", remedy=f"Install {program} anew."
        )
    return line


def _run(words: list[str], case: Case) -> subprocess.CompletedProcess[str] | Finding:
    try:
        return subprocess.run(  # noqa: S603 - a program that was found by its name, and words of ours
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=case.patience_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return cannot_tell(f"`{' '.join(words)}` said nothing within {case.patience_seconds:g} s")
    except OSError as error:
        return wrong(f"{words[0]} cannot be run: {error.strerror or error}", remedy="Install it anew.")


def _kernel_hook(case: Case) -> Finding:
    if not case.is_vm:
        return not_applicable(_ONLY_ON_A_VM)
    profile = (case.lab.environment.ipython_folder or case.lab.environment.home / ".ipython") / "profile_default"
    startup = profile / "startup"
    for file in sorted((*startup.glob("*.py"), *startup.glob("*.ipy"))):
        if _HOOK.search(_text_of(file)):
            return ok(f"{file}", file=str(file))
    for name in ("ipython_config.py", "ipython_kernel_config.py"):
        if _EXTENSION.search(_text_of(profile / name)):
            return ok(f"{profile / name}", file=str(profile / name))
    file = startup / "00-epic-lab.py"
    return wrong(
        f"no file in {startup} imports epic_lab.ipython_startup, so kernels do not synchronise",
        remedy=f"mkdir -p {quote(str(startup))}\necho 'from epic_lab.ipython_startup import *' > {quote(str(file))}",
    )


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _service(case: Case) -> Finding:
    if not case.is_vm:
        return not_applicable(_ONLY_ON_A_VM)
    systemctl = shutil.which("systemctl")
    return not_applicable("there is no systemd") if systemctl is None else _service_state(systemctl, case)


def _service_state(systemctl: str, case: Case) -> Finding:
    ran = _run([systemctl, "show", SERVICE, "--property=LoadState,ActiveState,SubState"], case)
    if isinstance(ran, Finding):
        return ran
    states = dict(line.partition("=")[::2] for line in ran.stdout.splitlines() if "=" in line)
    if ran.returncode != 0 or "LoadState" not in states:
        return cannot_tell(f"systemd does not answer: {' '.join(ran.stderr.split())[:200] or ran.returncode}")
    if states["LoadState"] == "not-found":
        return not_applicable(f"there is no {SERVICE}: this machine was not set up by the lab")
    state = f"{states.get('ActiveState', '')} ({states.get('SubState', '')})"
    if states.get("ActiveState") != "active" or states["LoadState"] != "loaded":
        remedy = f"sudo systemctl restart {SERVICE}\njournalctl --unit {SERVICE} --lines 50"
        return wrong(f"{SERVICE} is {states['LoadState']}, {state}", remedy=remedy, states=states)
    return ok(f"{SERVICE} is {state}", states=states)


def _disk(case: Case) -> Finding:
    if not case.is_vm:
        return not_applicable(_ONLY_ON_A_VM)
    home = case.lab.environment.home
    usage = shutil.disk_usage(home)
    return disk_finding(home, free_bytes=usage.free, total_bytes=usage.total)


def disk_finding(home: Path, *, free_bytes: int, total_bytes: int) -> Finding:
    """Say whether the disk of *home* has room."""
    room = f"{free_bytes / 1e9:.1f} GB of {total_bytes / 1e9:.0f} GB are free at {home}"
    facts = {"free_bytes": free_bytes, "total_bytes": total_bytes}
    if free_bytes < LEAST_FREE_BYTES:
        remedy = f"du -xh {quote(str(home))} | sort -h | tail\nOr a larger disk, from the laptop: epic-notebook resize NAME DISK_GB"
        return wrong(f"only {room}", remedy=remedy, **facts)
    return ok(room, **facts)


CHECKS = (
    Check(name="clock", asks="is this machine's clock right?", look=_clock, after=("configuration",)),
    Check(name="git", asks="is git there, and which version?", look=_git, after=("configuration",)),
    Check(
        name="gcloud", asks="on a laptop: is gcloud there, and which version?", look=_gcloud, after=("configuration",)
    ),
    Check(
        name="kernel-hook",
        asks="on a VM: do its kernels synchronise when they start?",
        look=_kernel_hook,
        needs=("configuration",),
    ),
    Check(
        name="unit",
        asks=f"on a VM: does `{SERVICE}` run, where there is one?",
        look=_service,
        needs=("configuration",),
    ),
    Check(name="disk", asks="on a VM: is there room on the disk?", look=_disk, needs=("configuration",)),
)
