"""Somebody with machines in the cloud: a home, a configuration, and the installed ``epic-notebook``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actors import Actor, Said

from epic_lab.testing.compute_server import ComputeServer

ZONE = "us-central1-a"


@dataclass
class Researcher(Actor):
    """A laptop from which machines are asked for."""

    @property
    def program(self) -> Path:
        return Path(sys.executable).with_name("epic-notebook")

    def configure(self, endpoint: str, **changes: str) -> None:
        """Write the configuration; a change to nothing leaves the key out."""
        values = {
            "GCP_PROJECT_ID": "proj1",
            "GCP_ZONE": ZONE,
            "GCP_GCS_SCRIPTS_BASE_PATH": "gs://lab-bucket/vmsetup",
            "GCP_COMPUTE_ENDPOINT": endpoint,
            "SYNCCODE_USERNAME": "ann",
            **changes,
        }
        path = self.home / ".epic" / "lab"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{key}={value}\n" for key, value in values.items() if value), encoding="utf-8")

    def refused(self, kind: str, code: int, *words: str) -> tuple[str, str]:
        """Run a command, expect that it is refused for that reason, and return message and hint."""
        said = self.run(*words, "--json")
        assert said.code == code, said
        error = said.document["error"]
        assert (error["kind"], error["exit_code"]) == (kind, code), said
        return str(error["message"]), str(error["hint"])

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and let it run."""
        return subprocess.Popen(
            [str(self.program), *words],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )


def finished(process: subprocess.Popen[str]) -> Said:
    """Wait for a command to end."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return Said(process.returncode, out, err)


def researcher(folder: Path, server: ComputeServer, **changes: str) -> Researcher:
    """Return Ann, at her laptop."""
    ann = Researcher(folder / "laptop")
    ann.configure(server.url, **changes)
    return ann


def in_order(text: str, words: Sequence[str]) -> bool:
    """Tell whether *words* stand in *text* one after the other."""
    at = 0
    for word in words:
        at = text.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return True
