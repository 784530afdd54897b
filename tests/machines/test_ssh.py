"""The way into a machine, with a gcloud of the tests' own on the PATH."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import ssh
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.ssh import Answer, Way

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the gcloud of the tests is a shell script")

MACHINE = Machine(name="ana-1", zone="us-central1-a", state=State.RUNNING, machine_type="n2-standard-4")
Gcloud = Callable[[str], Way]


@pytest.fixture
def gcloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gcloud:
    """Return how to put a gcloud that runs a shell script on the PATH; it writes down its arguments first."""

    def install(script: str) -> Way:
        program = tmp_path / "gcloud"
        program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n{script}\n', encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return ssh.way_to(MACHINE, "proj1")

    return install


def test_a_session_goes_through_the_tunnel_as_the_jupyter_user(gcloud: Gcloud) -> None:
    program, *arguments = gcloud("exit 0").command(user=ssh.USER)
    assert Path(program).name == "gcloud"
    assert arguments == [
        "compute",
        "ssh",
        "jupyter@ana-1",
        "--project=proj1",
        "--zone=us-central1-a",
        "--tunnel-through-iap",
    ]


def test_what_stands_after_the_dashes_goes_to_ssh_as_it_is(gcloud: Gcloud) -> None:
    command = gcloud("exit 0").command(user=None, flags=["-L", "8888:localhost:8888", "echo 'a b'"])
    assert command[3] == "ana-1"
    assert command[-4:] == ["--", "-L", "8888:localhost:8888", "echo 'a b'"]


def test_a_session_ends_with_what_ssh_ends_with(gcloud: Gcloud) -> None:
    assert ssh.run(gcloud("exit 7").command(user=ssh.USER)) == 7


def test_without_gcloud_it_is_said_where_it_comes_from_and_which_roles_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError) as missing:
        ssh.way_to(MACHINE, "proj1")
    assert missing.value.kind is LabErrorKind.NO_GCLOUD
    assert "https://cloud.google.com/sdk/docs/install" in missing.value.hint
    assert "roles/iap.tunnelResourceAccessor" in missing.value.hint


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("echo SSH-2.0-OpenSSH_9.6; cat > /dev/null", Answer.OPEN),
        ("echo \"ERROR: Error while connecting [4003: 'failed to connect to backend'].\" >&2; exit 1", Answer.NOT_YET),
        ("echo \"ERROR: Error while connecting [4033: 'not authorized'].\" >&2; exit 1", Answer.NOT_ALLOWED),
        ("echo 'ERROR: something else' >&2; exit 1", Answer.UNKNOWN),
        ("exit 0", Answer.UNKNOWN),
    ],
)
def test_the_tunnel_is_tried_without_a_key(gcloud: Gcloud, tmp_path: Path, script: str, answer: Answer) -> None:
    assert gcloud(script).try_tunnel() is answer
    asked = (tmp_path / "asked").read_text(encoding="utf-8")
    assert asked.startswith("compute start-iap-tunnel ana-1 22 --listen-on-stdin --project=proj1 --zone=us-central1-a")


def test_a_tunnel_that_says_nothing_is_given_up(gcloud: Gcloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_ONE_TRY_SECONDS", 0.2)
    assert gcloud("exec sleep 600").try_tunnel() is Answer.UNKNOWN
