"""A new user's first day: a laptop is set up and checked, its code uploaded, and a VM checked, by `epic-lab` alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from actors import Actor, Lab, Said

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.vm


def epic_lab(actor: Actor, *words: str) -> Said:
    ran = subprocess.run(
        [sys.executable, "-m", "epic_lab.cli.lab", *words],
        env={**actor.environment, "PYTHONPATH": str(ROOT)},
        cwd=actor.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ran.stderr + ran.stdout, ran.stderr
    return Said(ran.returncode, ran.stdout, ran.stderr)


def marks(actor: Actor) -> dict[str, str]:
    document: dict[str, Any] = epic_lab(actor, "doctor", "--json").document
    return {check["name"]: check["mark"] for check in document["checks"]}


def test_from_nothing_to_a_vm_that_runs_the_code(lab: Lab, tmp_path: Path) -> None:
    laptop = Actor(tmp_path / "new-laptop", dict(lab.store.variables))
    repo = laptop.home / "code" / "alpha"
    repo.mkdir(parents=True)
    laptop.git("init", "-q", at=repo)
    (repo / "core.py").write_text("answer = 42\n")

    before = epic_lab(laptop, "doctor")
    assert before.code == 1
    assert "to do: epic-lab init\n" in before.out

    options = ("--base-url", lab.store.url, "--username", "new", "--code-base", "~/code", "--repos", "alpha")
    assert epic_lab(laptop, "init", *options).code == 0
    found = marks(laptop)
    needed = ("configuration", "keys", "store", "repositories", "reachable", "head", "git")
    assert {found[name] for name in needed} == {"ok"}
    assert epic_lab(laptop, "synccode", "upload").code == 0
    assert marks(laptop)["writable"] == "ok"

    machine = Actor(tmp_path / "new-machine", dict(lab.store.variables))
    configure = ("synccode", "configure-vm", "--base-url", lab.store.url, "--username", "new")
    assert epic_lab(machine, *configure).code == 0
    found = marks(machine)
    assert (found["head"], found["kernel-hook"]) == ("ok", "wrong")
    startup = machine.home / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-epic-lab.py").write_text("from epic_lab.ipython_startup import *\n")
    assert marks(machine)["kernel-hook"] == "ok"
    assert epic_lab(machine, "synccode", "download").code == 0
    assert (machine.home / "synccode" / "alpha" / "core.py").read_text() == "answer = 42\n"
    assert [name for name in lab.store.names() if "probe-" in name] == []
