"""What a kernel's start may cost, counted in a real kernel."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from epic_lab.testing.kernels import Machine, Notebook
from synccore.backends.opening import Access
from synccore.testing.gcs_server import GcsServer

# Runs before our line. An audit hook hears of whatever Python opens or lists, in every thread.
WATCH = """
import os, sys
watched = []
def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes)):
        watched.append([event, os.fsdecode(arguments[0])])
sys.addaudithook(watch)
loaded_before = set(sys.modules)
"""

# Runs in the first cell, so before it nothing but our line has.
SEEN = """
import json
loaded = sorted(set(sys.modules) - loaded_before)
print("SEEN" + json.dumps([watched, loaded]))
"""

HEAVY = {
    "asyncio",
    "certifi",
    "click",
    "concurrent",
    "cryptography",
    "difflib",
    "dulwich",
    "google",
    "msgpack",
    "numpy",
    "pandas",
    "pathspec",
    "pdb",
    "pyfastcdc",
    "requests",
    "rich",
    "subprocess",
    "urllib3",
    "xxhash",
    "zstandard",
}


@pytest.fixture
def server() -> Iterator[GcsServer]:
    with GcsServer("lab") as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, server: GcsServer) -> Machine:
    return Machine(
        tmp_path / "lab",
        base_url="gs://lab/code",
        access=Access(emulator_host=server.url, deadline_seconds=20),
        variables={"STORAGE_EMULATOR_HOST": server.url},
    )


def repos(count: int, x: int = 1) -> dict[str, dict[str, str]]:
    return {
        f"repo{n:02}": {
            f"module{n:02}.py": f"X = {x}\n",
            "data/deep/table.csv": "1,2\n",
            ".synccode_sub_paths": ".\ndata\n",
        }
        for n in range(count)
    }


def seen(notebook: Notebook) -> tuple[list[tuple[str, str]], set[str]]:
    """Return what was opened and listed since the start began, and which modules were loaded."""
    [text] = [line for line in notebook.run(SEEN).stdout.splitlines() if line.startswith("SEEN")]
    watched, loaded = json.loads(text.removeprefix("SEEN"))
    return [(event, path) for event, path in watched], set(loaded)


@pytest.mark.parametrize("count", [1, 12])
def test_an_unchanged_start_is_one_conditional_get_and_opens_no_file_of_a_tree(
    machine: Machine, server: GcsServer, count: int
) -> None:
    machine.upload_all(repos(count))
    machine.pull()
    for file in machine.code_home.glob("*/.synccode_sub_paths"):
        os.utime(file, (10**9, 10**9))  # what has just been written is read twice, lest a second change be missed
    with machine.notebook() as notebook:
        notebook.run("1")
    machine.prepare(WATCH)
    server.forget()
    with machine.notebook() as notebook:
        watched, loaded = seen(notebook)
    [get] = server.log
    assert (get.operation, get.status, get.bytes_out) == ("get_media", 304, 0)
    assert "ifGenerationNotMatch" in get.query
    trees = [str(machine.code_home / repo) for repo in repos(count)]
    assert [entry for entry in watched if entry[1].startswith(tuple(trees))] == []
    assert ("open", str(machine.code_home / ".synccode" / "state")) in watched
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_a_start_after_an_everyday_edit_is_one_get_and_writes_only_those_files(
    machine: Machine, server: GcsServer
) -> None:
    before = repos(3)
    machine.upload_all(before)
    machine.pull()
    times = {path: path.stat().st_mtime_ns for path in machine.code_home.glob("repo*/**/*") if path.is_file()}
    after = repos(3)
    after["repo01"]["module01.py"] = "X = 2\n"
    machine.upload_all(after)
    server.forget()
    with machine.notebook() as notebook:
        ran = notebook.run("import module00, module01, sys; module00.X, module01.X, 'google' in sys.modules")
    assert ran.result == "(1, 2, False)"
    assert " · 1 file changed · " in ran.stdout
    assert [(it.operation, it.status) for it in server.log] == [("get_media", 200)]
    changed = [path.name for path, time in times.items() if path.stat().st_mtime_ns != time]
    assert changed == ["module01.py"]


def test_a_check_in_a_running_kernel_is_one_conditional_get(machine: Machine, server: GcsServer) -> None:
    machine.upload_all(repos(2))
    with machine.notebook() as notebook:
        notebook.run("1")
        server.forget()
        assert "up to date" in notebook.run("%synccode").stdout
    assert [(it.operation, it.status) for it in server.log] == [("get_media", 304)]


def test_a_machine_without_a_network_loads_nothing_heavy_either(machine: Machine) -> None:
    machine.upload_all(repos(1))
    machine.pull()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    machine.prepare(WATCH)
    with machine.notebook(STORAGE_EMULATOR_HOST=address) as notebook:
        _, loaded = seen(notebook)
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_a_start_in_a_terminal_asks_without_the_standard_librarys_client(machine: Machine, server: GcsServer) -> None:
    # Jupyter's kernels have it for reasons of their own, so there it would not be seen.
    machine.upload_all(repos(1))
    machine.pull()
    server.forget()
    cell = 'import sys; print([it for it in ("http.client", "email", "encodings.idna", "stringprep") if it in sys.modules])'
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", cell],
        env=machine.environment({"TERM": "dumb"}),
        capture_output=True,
        text=True,
        check=False,
        cwd=machine.home,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert [(it.operation, it.status) for it in server.log] == [("get_media", 304)]
