"""Machines to run commands on: a clean home, a clean environment, and the real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

_LOADING = """
import sys
sys.argv = {argv}
from {program} import main
try:
    main()
except SystemExit:
    pass
names = sorted(sys.modules)
import json
print(json.dumps(names))
"""


@dataclass(frozen=True)
class Result:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass
class Machine:
    """A user's home on some machine; the home is shown as HOME in what commands say."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def config_path(self) -> Path:
        return self.home / ".epic" / "lab"

    def configure(self, *lines: str) -> None:
        self.config_path.parent.mkdir(exist_ok=True)
        self.config_path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def environment(self) -> dict[str, str]:
        kept = {
            name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "COVERAGE_PROCESS_START") if name in os.environ
        }
        home = str(self.home)
        told = {"HOME": home, "USERPROFILE": home, "PYTHONPATH": str(ROOT), "TZ": "UTC", "COLUMNS": "100"}
        return {**kept, **told, "PYTHONWARNINGS": "error", **self.variables}

    def run(
        self, *arguments: str, stdin: str = "", cwd: Path | None = None, program: str = "epic_lab.cli.synccode"
    ) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", program, *arguments],
            env=self.environment(),
            cwd=cwd or self.home,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        home = str(self.home)
        return Result(done.returncode, done.stdout.replace(home, "HOME"), done.stderr.replace(home, "HOME"))

    def lab(self, *arguments: str, stdin: str = "", cwd: Path | None = None) -> Result:
        """Run ``epic-lab``."""
        return self.run(*arguments, stdin=stdin, cwd=cwd, program="epic_lab.cli.lab")

    def python(self, code: str) -> str:
        """Run *code* in a process of this machine and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment(),
            cwd=self.home,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=True,
        )
        return done.stdout

    def loaded(self, *arguments: str, program: str = "epic_lab.cli.synccode") -> set[str]:
        """Return the modules that are loaded when a command has run."""
        out = self.python(_LOADING.format(argv=[program, *arguments], program=program))
        return set(json.loads(out.splitlines()[-1]))

    def notebook(self, *arguments: str, stdin: str = "") -> Result:
        """Run ``epic-notebook``."""
        return self.run(*arguments, stdin=stdin, program="epic_lab.cli.notebook")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with nothing on it."""
    home = tmp_path / "home"
    home.mkdir()
    return Machine(home)


@pytest.fixture
def laptop(machine: Machine) -> Machine:
    """Return a laptop with the repositories alpha and beta, and a store that does not exist yet."""
    for repo in ("alpha", "beta"):
        (machine.home / "code" / repo).mkdir(parents=True)
    machine.configure(
        f"SYNCCODE_GCS_BASE_URL={(machine.home.parent / 'store').as_uri()}",
        "SYNCCODE_USERNAME=ana",
        "SYNCCODE_LOCAL_CODE_BASE=~/code",
        "SYNCCODE_REPOS=alpha,beta",
    )
    return machine
