"""What a kernel's start costs with the hook: beside a start without it, in turns, over TLS.

Invariant: every kernel is a fresh process of a real ipykernel; the laptop uploads by the installed command between two of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.certificates import STORAGE_HOST
from benchmarks.network import BUCKET, ROOT, Network
from benchmarks.programs import found, output_of
from benchmarks.results import machine
from benchmarks.tools.ours import PROGRAM, python_path
from benchmarks.trees import Tree
from synccore.testing.metadata_server import MetadataServer

_KINDS = ("imports", "token", "certificates", "connect", "TLS", "wait", "apply", "other")
_STARTUP = "from epic_lab.ipython_startup import *\n"
_IN_NAMESPACE = 'mount --bind "$0" /etc/hosts && exec "$@"'
_ROUND_TRIPS = 3  # of a fresh connection: TCP, TLS 1.3, the request
NOTHING, EDIT = "nothing changed", "one file edited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A kernel that has started.

    Attributes:
        whole_seconds: from the launch of its process until it would answer.
        startup_seconds: of that, for the startup files.
        calls: how often the store was asked, by kind.
        profile: of those seconds, by kind.
    """

    whole_seconds: float
    startup_seconds: float
    calls: dict[str, int]
    profile: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A laptop with repositories and a machine with an IPython profile.

    Attributes:
        folder: of both.
        network: to the bucket.
        metadata_host: of the machine's metadata server, which gives it tokens.
    """

    folder: Path
    network: Network
    metadata_host: str

    @property
    def code(self) -> Path:
        """The laptop's repositories."""
        return self.folder / "laptop" / "code"

    @property
    def startup(self) -> Path:
        """The file of the machine's IPython profile that synchronises."""
        return self.folder / "machine" / ".ipython" / "profile_default" / "startup" / "00-epic-lab.py"

    def lay_out(self, repos: Sequence[str]) -> None:
        """Write both configurations."""
        for home in ("laptop", "machine"):
            (self.folder / home / ".epic").mkdir(parents=True)
        self.startup.parent.mkdir(parents=True)
        store = f"SYNCCODE_GCS_BASE_URL=gs://{BUCKET}/synccode\nSYNCCODE_USERNAME=ann\n"
        (self.folder / "machine" / ".epic" / "lab").write_text(store)
        (self.folder / "laptop" / ".epic" / "lab").write_text(
            f"{store}SYNCCODE_LOCAL_CODE_BASE={self.code}\nSYNCCODE_REPOS={','.join(repos)}\n"
        )
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.network.google} {STORAGE_HOST}\n")

    @property
    def has_tokens(self) -> bool:
        """Whether kernels can be made to believe that the bucket is Google's, tokens and all: that takes the rights of root."""
        return self.network.google is not None and found("unshare") is not None and os.geteuid() == 0

    def upload(self) -> None:
        """Upload, without waiting for any network."""
        rtt_seconds = self.network.rtt_seconds
        self.network.set_rtt(0)
        variables = {**self._variables("laptop"), "STORAGE_EMULATOR_HOST": f"https://{self.network.https}"}
        output_of([PROGRAM, "upload"], variables, self.folder)
        self.network.set_rtt(rtt_seconds)

    def start(self, *, hook: bool, profiled: bool = False) -> Started:
        """Start a kernel on the machine and end it."""
        if hook:
            self.startup.write_text(_STARTUP)
        else:
            self.startup.unlink(missing_ok=True)
        report = self.folder / "report.json"
        words = [sys.executable, "-Xfrozen_modules=off", "-m", "benchmarks.kernel_probe"]
        words += [str(self.folder / "kernel.json"), str(report), *["--profile"] * profiled]
        variables = self._variables("machine")
        if self.has_tokens:
            words = ["unshare", "--mount", "sh", "-c", _IN_NAMESPACE, str(self.folder / "hosts"), *words]
            variables["GCE_METADATA_HOST"] = self.metadata_host
        else:
            variables["STORAGE_EMULATOR_HOST"] = f"https://{self.network.https}"
        (self.folder / "kernel.json").unlink(missing_ok=True)
        began = time.perf_counter()
        output_of(words, variables, ROOT)
        whole = time.perf_counter() - began
        content = json.loads(report.read_text(encoding="utf-8"))
        if bool(content["calls"]) is not hook:
            raise SystemExit(f"the kernel asked the store {content['calls']}, with the hook {hook}")
        return Started(
            whole_seconds=whole,
            startup_seconds=content["startup_seconds"],
            calls=content["calls"],
            profile=content["profile"],
        )

    def _variables(self, home: str) -> dict[str, str]:
        return {
            "HOME": str(self.folder / home),
            "IPYTHONDIR": str(self.folder / home / ".ipython"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            **self.network.certificates.variables,
            **python_path(),
        }


def measure(
    tree: Tree, *, rtts_ms: Sequence[int], times: int, large: int, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure three repositories that are copies of *tree*, and one of *large* small files."""
    content: dict[str, Any] = {"machine": machine(folder), "times": times, "cases": []}
    labs: dict[str, Callable[[Path], None]] = {
        f"3 repositories of {tree.files:,} files": lambda code: _three_copies(tree, code),
        f"1 repository of {large:,} files": lambda code: write_many(code / "large", large),
    }
    for name, write in labs.items():
        with (
            tempfile.TemporaryDirectory(prefix="epic-bench-", dir=folder) as made,
            Network(Path(made), 0) as network,
            MetadataServer() as metadata,
        ):
            lab = Lab(folder=Path(made), network=network, metadata_host=metadata.host)
            lab.code.mkdir(parents=True)
            write(lab.code)
            lab.lay_out(sorted(it.name for it in lab.code.iterdir()))
            lab.upload()
            lab.start(hook=True)  # the first download, which nobody waits for here
            content["has_tokens"] = lab.has_tokens
            for rtt_ms in rtts_ms:
                network.set_rtt(rtt_ms / 1000)
                for what in (NOTHING, EDIT):
                    case = _case(lab, what, times)
                    content["cases"].append({"trees": name, "rtt_ms": rtt_ms, "what": what, **case})
                    say(f"{name}, {rtt_ms} ms, {what}: {1000 * statistics.median(case['added']):.0f} ms more")
    return content


def _case(lab: Lab, what: str, times: int) -> dict[str, Any]:
    file = min(it for it in lab.code.rglob("*.py") if it.stat().st_size < 100_000)
    plain: list[Started] = []
    hooked: list[Started] = []
    profiles: list[Started] = []
    connections: list[int] = []
    for turn in range(times):
        for profiled in (False, True):
            if what == EDIT:
                with file.open("a", encoding="utf-8") as stream:
                    stream.write(f"\n# {time.time_ns()} {turn}\n")
                lab.upload()
            with lab.network.counting() as traffic:
                started = lab.start(hook=True, profiled=profiled)
            connections.append(traffic[0].connections)
            (profiles if profiled else hooked).append(started)
        plain.append(lab.start(hook=False))
    base = statistics.median(it.startup_seconds for it in plain)
    return {
        "plain": [it.whole_seconds for it in plain],
        "hooked": [it.whole_seconds for it in hooked],
        "added": [with_hook.startup_seconds - base for with_hook in hooked],
        "added_whole": statistics.median(it.whole_seconds for it in hooked)
        - statistics.median(it.whole_seconds for it in plain),
        "connections": max(connections),
        "calls": hooked[-1].calls,
        "profile": {kind: statistics.median(it.profile.get(kind, 0.0) for it in profiles) for kind in _KINDS},
    }


def _three_copies(tree: Tree, code: Path) -> None:
    for number in range(3):
        subprocess.run(["cp", "-a", str(tree.path), str(code / f"repo{number}")], check=True)


def write_many(root: Path, number: int) -> None:
    """Write so many small modules, a hundred to a folder."""
    for start in range(0, number, 100):
        folder = root / f"package{start // 10_000}" / f"part{start // 100 % 100}"
        folder.mkdir(parents=True)
        for place in range(start, min(start + 100, number)):
            (folder / f"module{place}.py").write_text(f'"""Module {place}."""\n\nNUMBER = {place}\n')


def section(content: dict[str, Any]) -> list[str]:
    """Return the section of the page."""
    rows: list[tuple[str, ...]] = []
    for case in content["cases"]:
        added = statistics.median(case["added"])
        trips = _ROUND_TRIPS
        rows.append(
            (
                f"{case['trees']}, {case['what']}",
                f"{case['rtt_ms']} ms",
                f"{statistics.median(case['plain']):.2f} s",
                f"{statistics.median(case['hooked']):.2f} s",
                f"{added * 1000:.0f} ms ({len(case['added'])})",
                f"{trips} = {trips * case['rtt_ms']} ms",
                f"{(added - trips * case['rtt_ms'] / 1000) * 1000:.0f} ms",
            )
        )
    header = ("", "round trip", "without", "with", "startup file (runs)", "trips of a fresh connection", "beyond them")
    lines = [
        "## The start of a kernel",
        "",
        "A real ipykernel, from its launch until it would answer, with and without the hook, in turns.",
        "A fresh connection costs three round trips: TCP, TLS, the request.",
        "",
        *tables.markdown(header, rows),
        "Where the startup file's time goes: medians, with the clocks on; kinds exclude one another.",
        "`TLS` contains TCP's round trip, which the network charges with the first bytes.",
        "",
    ]
    rows = [
        (
            f"{case['trees']}, {case['what']}, {case['rtt_ms']} ms",
            *[f"{case['profile'][kind] * 1000:.1f} ms" for kind in _KINDS],
        )
        for case in content["cases"]
    ]
    lines += tables.markdown(("", *_KINDS), rows)
    if not content.get("has_tokens"):
        lines += ["Measured without the rights of root, so without tokens.", ""]
    return lines
