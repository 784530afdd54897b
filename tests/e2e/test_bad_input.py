"""What is wrong is named in one line, with what was expected and what to do; nothing is half done."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from actors import Actor, Lab, Said, files_below


def refused(said: Said, code: int, *parts: str) -> None:
    """Check that a command ended with *code* and one line of error that has all of *parts*, and a hint."""
    assert said.code == code, said
    lines = said.err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1, said.err
    for part in parts:
        assert part in errors[0], said.err
    assert any(line.startswith("hint: ") for line in lines), said.err


@pytest.fixture
def uploaded(lab: Lab) -> Lab:
    (lab.code(lab.laptop) / "a.py").write_text("a = 1\n")
    lab.laptop.report("upload")
    return lab


def head(lab: Lab) -> bytes:
    return lab.store.read("ann/head")


def test_no_configuration(tmp_path: Path) -> None:
    nobody = Actor(tmp_path / "nobody")
    for command in (["upload"], ["download"], ["status"], ["log"]):
        refused(nobody.run(*command), 1, str(nobody.home / ".epic" / "lab"))


def test_a_repository_that_does_not_exist(local: Lab) -> None:
    local.configure(local.laptop, "alpha,beta")
    refused(local.laptop.run("upload"), 4, "beta", str(local.code(local.laptop, "beta")))
    assert not (local.folder / "store").exists()


def test_a_repository_that_vanished_or_is_empty_is_guarded(uploaded: Lab) -> None:
    before = head(uploaded)
    (uploaded.code(uploaded.laptop) / "a.py").unlink()
    refused(uploaded.laptop.run("upload"), 3, "alpha", "0 files")
    assert head(uploaded) == before
    assert uploaded.laptop.run("upload", "--force").code == 0
    assert head(uploaded) != before


def test_a_repository_that_is_empty_from_the_beginning_is_named(local: Lab) -> None:
    said = local.laptop.run("upload")
    assert said.code == 0, said
    assert f"{local.code(local.laptop)} has no file that takes part" in said.err
    assert local.laptop.run("upload").err == ""


def test_an_unknown_bucket(cloud: Lab) -> None:
    cloud.configure(cloud.laptop, "alpha", SYNCCODE_GCS_BASE_URL="gs://no-such-bucket/code")
    (cloud.code(cloud.laptop) / "a.py").write_text("a = 1\n")
    refused(cloud.laptop.run("upload"), 4, "no-such-bucket")


def test_refused_permission(cloud: Lab) -> None:
    server = cloud.store.server
    assert server is not None
    server.forbidden_prefixes.add("code/ann")
    (cloud.code(cloud.laptop) / "a.py").write_text("a = 1\n")
    refused(cloud.laptop.run("upload"), 5, "gs://lab/code/ann/head")
    refused(cloud.machine.run("download"), 5, "gs://lab/code/ann/head")


def test_a_store_that_does_not_answer(cloud: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    cloud.machine.variables["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{port}"
    refused(cloud.machine.run("download"), 5, "gs://lab/code")


def test_a_socket_and_a_pipe_are_left_out_and_named(local: Lab) -> None:
    code = local.code(local.laptop)
    (code / "a.py").write_text("a = 1\n")
    os.mkfifo(code / "pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(code)  # a socket's path is short
        try:
            listening.bind("sock")
        finally:
            os.chdir(here)
        said = local.laptop.run("upload")
    assert said.code == 0, said
    assert "sock is a socket" in said.err
    assert "pipe is a named pipe" in said.err
    local.machine.report("download")
    assert files_below(local.tree(local.machine)) == {"a.py": b"a = 1\n"}


def test_a_name_that_is_not_utf_8_is_left_out_and_named(local: Lab) -> None:
    code = local.code(local.laptop)
    (code / "a.py").write_text("a = 1\n")
    Path(os.fsdecode(os.fsencode(code) + b"/caf\xe9.py")).write_text("x")
    said = local.laptop.run("upload")
    assert said.code == 0, said
    assert r"caf\xe9.py" in said.err
    assert local.machine.report("download")["repos"][0]["files"] == 1


def test_paths_that_differ_only_by_case_are_carried_and_named(local: Lab) -> None:
    code = local.code(local.laptop)
    (code / "Model.py").write_text("a = 1\n")
    (code / "model.py").write_text("a = 2\n")
    said = local.laptop.run("upload")
    assert said.code == 0, said
    assert "Model.py" in said.err
    assert "model.py" in said.err
    local.machine.report("download")
    assert files_below(local.tree(local.machine)) == files_below(code)


def test_a_link_that_leaves_the_tree_is_carried_and_named(local: Lab) -> None:
    code = local.code(local.laptop)
    (code / "data").symlink_to("/mnt/data")
    said = local.laptop.run("upload")
    assert said.code == 0, said
    assert "data is a link to '/mnt/data'" in said.err
    local.machine.report("download")
    assert files_below(local.tree(local.machine)) == {"data": "/mnt/data"}


def test_a_file_that_keeps_changing_stops_the_upload(uploaded: Lab) -> None:
    before = head(uploaded)
    busy = uploaded.code(uploaded.laptop) / "busy.log"
    with busy.open("wb") as file:
        file.truncate(96 * 2**20)  # takes longer to read than any machine lets the writer wait
    stop = threading.Event()

    def keep_changing() -> None:
        with busy.open("r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(8))

    writer = threading.Thread(target=keep_changing)
    writer.start()
    try:
        refused(uploaded.laptop.run("upload"), 1, "alpha", "busy.log", "changed")
    finally:
        stop.set()
        writer.join()
    assert head(uploaded) == before
    assert uploaded.laptop.run("upload").code == 0


def test_a_store_of_a_newer_format(uploaded: Lab) -> None:
    data = bytearray(head(uploaded))
    data[5] = 2
    uploaded.store.write("ann/head", bytes(data))
    refused(uploaded.machine.run("download"), 1, "ann/head", "version 2", "version 1")
    (uploaded.code(uploaded.laptop) / "b.py").write_text("b = 1\n")
    refused(uploaded.laptop.run("upload"), 1, "ann/head", "version 2", "version 1")
    assert head(uploaded) == bytes(data)


@pytest.mark.parametrize("kind", ["head", "bundles", "manifests"])
def test_a_damaged_object(lab: Lab, kind: str) -> None:
    code = lab.code(lab.laptop)
    for number in range(700):
        (code / f"m{number}.py").write_bytes(os.urandom(500))
    lab.laptop.report("upload")
    name = next(name for name in lab.store.names() if name.startswith(f"ann/{kind}"))
    data = bytearray(lab.store.read(name))
    data[len(data) // 2] ^= 1
    lab.store.write(name, bytes(data))
    refused(lab.machine.run("download"), 6, name)
    assert files_below(lab.tree(lab.machine)) == {}
