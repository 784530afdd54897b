"""^C in the middle of a command: exit code 130, one line, nothing left over; the same command again completes the work."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from actors import Actor, Lab, files_below

from synccore.testing.gcs_faults import Fault, Reset, Stall
from synccore.testing.gcs_server import GcsServer

SAID = ["error: interrupted", "hint: Run the command again: it goes on where this one stopped."]


@pytest.fixture
def server(cloud: Lab) -> GcsServer:
    assert cloud.store.server is not None
    return cloud.store.server


def lay(lab: Lab, *, files: int, size_bytes: int = 2000) -> None:
    """Lay out files that do not compress: many of them go into a bundle, a few into the head."""
    for number in range(files):
        (lab.code(lab.laptop) / f"m{number}.bin").write_bytes(os.urandom(size_bytes))


def interrupt(actor: Actor, command: str, server: GcsServer, **request: str) -> None:
    """Interrupt *command* as soon as it has made the *request*."""
    server.forget()
    with subprocess.Popen(
        [str(actor.program), command],
        env=actor.environment,
        cwd=actor.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        server.wait_for(**request)  # type: ignore[arg-type]
        process.send_signal(signal.SIGINT)
        # Less than the 30 s for which the command would wait for the storage.
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert err.splitlines()[-2:] == SAID
    assert "Traceback" not in out + err


def left_over(actor: Actor) -> list[Path]:
    """Return what looks unfinished in the home of *actor*."""
    return [
        path
        for path in actor.home.rglob("*")
        if path.suffix == ".tmp" or path.name.startswith(("staging-", ".synccode-tmp-"))
    ]


@pytest.mark.parametrize("fault", [Stall(), Reset()], ids=["while it waits", "while it pauses before the next try"])
@pytest.mark.parametrize("files", [3, 100], ids=["for the head", "for a bundle"])
def test_an_upload(cloud: Lab, server: GcsServer, files: int, fault: Fault) -> None:
    lay(cloud, files=files)
    server.inject(fault, operation="put", times=10**6)
    interrupt(cloud.laptop, "upload", server, operation="put")
    assert left_over(cloud.laptop) == []
    server.heal()
    assert cloud.laptop.run("upload").code == 0
    cloud.machine.report("download")
    assert files_below(cloud.tree(cloud.machine)) == files_below(cloud.code(cloud.laptop))
    assert [line["sequence"] for line in cloud.laptop.report("log")["uploads"]] == [1]


@pytest.mark.vm
def test_an_upload_that_other_processes_help_with(cloud: Lab, server: GcsServer) -> None:
    lay(cloud, files=2200, size_bytes=10_000)
    server.inject(Stall(), operation="put", times=10**6)
    server.forget()
    with subprocess.Popen(
        [str(cloud.laptop.program), "upload"],
        env=cloud.laptop.environment,
        cwd=cloud.laptop.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        server.wait_for(operation="put")
        # As a terminal does it.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.splitlines()[-2:]) == (130, "", SAID)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    server.heal()
    assert cloud.laptop.run("upload").code == 0
    cloud.machine.report("download")
    assert files_below(cloud.tree(cloud.machine)) == files_below(cloud.code(cloud.laptop))


@pytest.mark.parametrize("fault", [Stall(), Reset()], ids=["while it waits", "while it pauses before the next try"])
@pytest.mark.parametrize("kind", ["first", "first, with help", "later"])
def test_a_download(cloud: Lab, server: GcsServer, kind: str, fault: Fault) -> None:
    if kind == "later":
        lay(cloud, files=3)
        cloud.laptop.report("upload")
        cloud.machine.report("download")
    lay(cloud, files=4500 if kind == "first, with help" else 100)
    cloud.laptop.report("upload")
    (bundle,) = [name for name in cloud.store.names() if "/bundles/" in name]
    server.inject(fault, name=bundle, times=10**6)
    interrupt(cloud.machine, "download", server, name=bundle)
    assert left_over(cloud.machine) == []
    server.heal()
    assert cloud.machine.run("download").code == 0
    assert files_below(cloud.tree(cloud.machine)) == files_below(cloud.code(cloud.laptop))
