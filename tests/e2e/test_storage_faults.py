"""A storage that fails, as somebody at a terminal meets it: the command gets over it, or says so in one line and exits with 5."""

from __future__ import annotations

import pytest
from actors import Actor, Lab, Said, files_below

from synccore.testing.gcs_faults import Damage, Fault, LoseAnswer, Redirect, Refuse, Reset, Truncate
from synccore.testing.gcs_server import GcsServer


@pytest.fixture
def server(cloud: Lab) -> GcsServer:
    assert cloud.store.server is not None
    (cloud.code(cloud.laptop) / "a.py").write_text("a = 1\n")
    cloud.laptop.report("upload")
    cloud.machine.report("download")
    (cloud.code(cloud.laptop) / "a.py").write_text("a = 2\n")
    cloud.store.server.forget()
    return cloud.store.server


def sequences(laptop: Actor) -> list[int]:
    return [line["sequence"] for line in laptop.report("log")["uploads"]]


def arrived(lab: Lab) -> bool:
    lab.machine.report("download")
    return files_below(lab.tree(lab.machine)) == files_below(lab.code(lab.laptop))


@pytest.mark.parametrize("fault", [Refuse(503), Refuse(429), Reset(), LoseAnswer(), LoseAnswer(503)], ids=repr)
def test_an_upload_gets_over_it_and_the_head_moves_once(cloud: Lab, server: GcsServer, fault: Fault) -> None:
    server.inject(fault, operation="put")
    up = cloud.laptop.report("upload")
    assert up["repos"][0]["outcome"] == "published"
    assert sequences(cloud.laptop) == [2, 1]
    assert arrived(cloud)


@pytest.mark.parametrize("fault", [Refuse(503), Truncate(20), Damage()], ids=repr)
def test_a_download_gets_over_it(cloud: Lab, server: GcsServer, fault: Fault) -> None:
    cloud.laptop.report("upload")
    server.inject(fault, operation="get_media")
    assert arrived(cloud)


def refused(said: Said) -> str:
    """Check that a command gave up with one line and a hint, and return the line."""
    assert said.code == 5, said
    lines = [line for line in said.err.splitlines() if line]
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], said.err
    return lines[0]


@pytest.mark.parametrize(
    "fault", [Refuse(401, "authError", "Invalid Credentials"), Redirect("http://127.0.0.1:1/")], ids=repr
)
def test_what_does_not_pass_is_said_and_nothing_has_changed(cloud: Lab, server: GcsServer, fault: Fault) -> None:
    before = cloud.store.read("ann/head")
    server.inject(fault, times=10**6)
    assert "gs://lab/code/ann/head" in refused(cloud.laptop.run("upload"))
    assert "gs://lab/code/ann/head" in refused(cloud.machine.run("download"))
    server.heal()
    assert cloud.store.read("ann/head") == before
    assert files_below(cloud.tree(cloud.machine)) == {"a.py": b"a = 1\n"}
    cloud.laptop.report("upload")
    assert arrived(cloud)


def test_an_upload_over_what_this_laptop_never_saw_says_who_when_and_what(cloud: Lab, server: GcsServer) -> None:
    other = cloud.new_laptop("other")
    (cloud.code(other) / "a.py").write_text("a = 3\n")
    (cloud.code(other) / "b.py").write_text("b = 3\n")
    said = other.run("upload")
    assert said.code == 3, said
    (uploaded,) = cloud.laptop.report("log")["uploads"]
    assert f"ann uploaded from {uploaded['author']['host']} at " in said.err
    assert " UTC and which this machine has never seen" in said.err
    assert "replace 1 of its files, delete 0 and add 1" in said.err
    assert server.requests["put"] == 0
    assert other.run("upload", "--force").code == 0
    assert sequences(cloud.laptop) == [2, 1]
