"""Whatever goes wrong, a kernel starts, says so in one line and runs the code that is there."""

import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from epic_lab.testing.kernels import Machine
from synccore.testing.gcs_faults import Refuse, Stall
from synccore.testing.gcs_server import GcsServer

# For root, too, permissions hold then.
WITHOUT_PRIVILEGE = """
import ctypes
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
sets = (ctypes.c_uint32 * 6)()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.capget(header, sets) == 0
sets[0] &= ~0b110
sets[1] &= ~0b110
assert libc.capset(header, sets) == 0
"""

SLOW_NAMES = """
import socket, threading
def lookup(*_, **__):
    threading.Event().wait()
socket.getaddrinfo = lookup
"""

INTERRUPTED = """
import signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
"""

RAISING = """
import synccore.pull
def pull(*_, **__):
    raise {}
synccore.pull.pull = pull
"""


def line_of_a_start(machine: Machine, expected: str) -> str:
    """Start a kernel that must run, with the code that is there, and say one line that matches *expected*; return it."""
    with machine.notebook() as notebook:
        ran = notebook.run("1 + 1")
        assert (ran.result, ran.error, ran.stderr) == ("2", None, "")
        assert re.fullmatch(r"synccode: .*\n", ran.stdout)
        assert re.search(expected, ran.stdout), ran.stdout
        here = machine.code_home / "alpha"
        if here.is_dir():
            assert notebook.run("import alpha; alpha.X").result == "1"
    return ran.stdout


def with_code(machine: Machine) -> Machine:
    """Let *machine* have version 1 and the store version 2."""
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    machine.pull()
    machine.upload("alpha", {"alpha.py": "X = 2\n"})
    return machine


# What the user can mend


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, r"not updated \(there is no configuration file .*/\.epic/lab; on a VM run `epic-synccode configure-vm"),
        ("SYNCCODE_USERNAME=ada\n", r"expected SYNCCODE_GCS_BASE_URL"),
        ("SYNCCODE_GCS_BASE_URL=ftp://x\nSYNCCODE_USERNAME=ada\n", r"line 1: SYNCCODE_GCS_BASE_URL is 'ftp://x'"),
        ("what is this\n", r"lab, line 1: expected KEY=value"),
        ("SYNCCODE_GCS_BASE_URL=file:///nowhere/at/all\nSYNCCODE_USERNAME=ada\n", r"file:///nowhere/at/all"),
    ],
    ids=["none", "no-url", "bad-url", "no-assignment", "no-folder"],
)
def test_a_configuration_that_does_not_serve(machine: Machine, config: str | None, expected: str) -> None:
    with_code(machine).write_config(config)
    line = line_of_a_start(machine, expected)
    assert re.search(r": alpha@[0-9a-f]{7} uploaded just now, last checked just now\n", line)


def test_a_new_machine_without_a_configuration(machine: Machine) -> None:
    machine.write_config(None)
    line_of_a_start(machine, r"no configuration file .*: no code is here yet\n")


def test_a_user_who_has_uploaded_nothing(cloud: Machine) -> None:
    line_of_a_start(cloud, r"user ada has uploaded nothing to gs://lab/code yet.*: no code is here yet\n")


def test_an_unknown_bucket(cloud: Machine) -> None:
    with_code(cloud).write_config("SYNCCODE_GCS_BASE_URL=gs://another\nSYNCCODE_USERNAME=ada\n")
    line_of_a_start(cloud, r"not updated \(.*another.*SYNCCODE_GCS_BASE_URL.*alpha@")


def test_a_bucket_that_may_not_be_read(cloud: Machine, server: GcsServer) -> None:
    with_code(cloud)
    server.denied_permissions = {"storage.objects.get"}
    line_of_a_start(cloud, r"not updated \(.*storage\.objects\.get.*roles/storage\.objectUser")


def test_a_machine_without_credentials(cloud: Machine) -> None:
    with_code(cloud)
    cloud.variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(cloud.folder / "none.json"), "NO_GCE_CHECK": "true"}
    line_of_a_start(
        cloud, r"not updated \(there are no usable Google credentials.*gcloud auth application-default login"
    )


# What is damaged


def test_a_head_of_a_newer_format(machine: Machine, tmp_path: Path) -> None:
    with_code(machine)
    spoil_head(tmp_path, lambda data: data[:5] + b"\x02" + data[6:])
    line_of_a_start(machine, r"not updated \(.*pip install --upgrade epic-lab")


def test_a_damaged_head(machine: Machine, tmp_path: Path) -> None:
    with_code(machine)
    spoil_head(tmp_path, lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    line_of_a_start(machine, r"not updated \(.*head ada/head.*Nothing was written from it")


def spoil_head(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    [head] = (tmp_path / "store" / "ada").glob("head*")
    head.write_bytes(spoil(head.read_bytes()))


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"\xff" * 2000])
def test_a_damaged_state_is_found_out_anew_and_nothing_is_lost(machine: Machine, damage: bytes) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    machine.pull()
    (machine.code_home / ".synccode" / "state").write_bytes(damage)
    line_of_a_start(machine, r"synccode: alpha@[0-9a-f]{7} · ")


def test_an_update_that_breaks_off_is_said_to_be_half_done_and_completed_later(
    cloud: Machine, server: GcsServer
) -> None:
    cloud.upload("alpha", {"alpha.py": "X = 1\n", "table.txt": "".join(map(str, range(100_000)))})
    cloud.pull()
    cloud.upload("alpha", {"alpha.py": "X = 2\n", "table.txt": "".join(map(str, range(100_001)))})
    server.forbidden_prefixes = {"code/ada/bundles"}
    line_of_a_start(cloud, r"not updated \(.*; alpha may be half updated until the next check succeeds\n")
    server.forbidden_prefixes = set()
    with cloud.notebook() as notebook:
        ran = notebook.run("import alpha; alpha.X")
    assert ran.result == "2"
    assert " · 2 files changed · " in ran.stdout


def test_an_output_that_knows_few_characters(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", "import alpha; print(alpha.X)"],
        env=machine.environment({"TERM": "dumb", "PYTHONIOENCODING": "ascii"}),
        capture_output=True,
        text=True,
        check=False,
        cwd=machine.home,
    )
    assert re.fullmatch(r"synccode: alpha@\w{7} \? 1 file downloaded \? .*\n1\n", done.stdout)


# What the machine refuses


def test_a_read_only_disk(machine: Machine) -> None:
    with_code(machine).prepare(WITHOUT_PRIVILEGE)
    folders = [machine.code_home, *(path for path in machine.code_home.rglob("*") if path.is_dir())]
    for path in machine.code_home.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
    for folder in folders:
        folder.chmod(0o555)
    try:
        line_of_a_start(machine, r"not updated \(.*Permission denied.*alpha@")
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_something_else_in_the_place_of_the_code(machine: Machine) -> None:
    machine.upload("alpha", {"alpha.py": "X = 1\n"})
    machine.code_home.write_text("mine")
    line_of_a_start(machine, r"not updated \(.*synccode.*: no code is here yet\n")
    assert machine.code_home.read_text() == "mine"


def test_a_library_that_is_missing(machine: Machine) -> None:
    with_code(machine).prepare("import sys; sys.modules['msgpack'] = None")
    line_of_a_start(machine, r"not updated \(this installation of epic-lab is incomplete .*msgpack.*alpha@")


def test_an_installation_without_half_of_itself(machine: Machine) -> None:
    with_code(machine).prepare("import sys; sys.modules['epic_lab.kernel.code'] = None")
    with machine.notebook() as notebook:
        ran = notebook.run("1 + 1")
    assert ran.result == "2"
    assert re.fullmatch(r"synccode: the start is incomplete \(ModuleNotFoundError: .*\n", ran.stdout)


def test_an_interrupt_during_the_start(cloud: Machine, server: GcsServer) -> None:
    with_code(cloud).prepare(INTERRUPTED)
    server.inject(Stall(), operation="get_media", times=10)
    line_of_a_start(cloud, r"not updated \(interrupted\): alpha@")


def test_too_little_memory(machine: Machine) -> None:
    with_code(machine).prepare(RAISING.format("MemoryError"))
    line_of_a_start(machine, r"not updated \(there is not enough memory\): alpha@")


@pytest.mark.parametrize("error", ["RuntimeError('never\\nseen')", "SystemExit(3)"])
def test_a_bug_is_a_line_that_names_the_file_with_its_traceback(machine: Machine, error: str) -> None:
    with_code(machine).prepare(RAISING.format(error))
    line = line_of_a_start(
        machine, r"not updated \(this is a bug in epic-lab: (RuntimeError: never seen|SystemExit: 3); "
    )
    [saved] = re.findall(r"the details are in (\S+?)\)", line)
    assert "in pull" in Path(saved).read_text()


# Who does not answer


def offline(machine: Machine, url: str, expected: str) -> None:
    machine.variables = {"STORAGE_EMULATOR_HOST": url}
    line_of_a_start(
        machine, rf"synccode: offline \({expected}.*\): alpha@\w+ uploaded just now, last checked just now\n"
    )


NO_ANSWER = r"no answer from gs://lab/code within 2 s"


def test_a_port_where_nobody_listens(cloud: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    offline(with_code(cloud), f"http://127.0.0.1:{port}", r"getting gs://lab/code/ada/head .*Connection refused")


def test_a_server_that_never_answers(cloud: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        offline(with_code(cloud), f"http://127.0.0.1:{listener.getsockname()[1]}", NO_ANSWER)


def test_a_host_that_swallows_every_packet(cloud: Machine) -> None:
    # A full queue of connections makes the system drop further ones, as a firewall does.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for it in waiting:
                it.setblocking(False)
                it.connect_ex(address)
            offline(with_code(cloud), f"http://127.0.0.1:{address[1]}", NO_ANSWER)
        finally:
            for it in waiting:
                it.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                it.close()


def test_a_name_server_that_never_answers(cloud: Machine) -> None:
    with_code(cloud).prepare(SLOW_NAMES)
    offline(cloud, "http://storage.invalid", NO_ANSWER)


def test_an_answer_that_stalls_after_its_beginning(cloud: Machine, server: GcsServer) -> None:
    with_code(cloud)
    server.inject(Stall(after_bytes=20), operation="get_media", times=10)
    offline(cloud, server.url, r"getting gs://lab/code/ada/head .*no answer came in time")


def test_a_service_that_is_down(cloud: Machine, server: GcsServer) -> None:
    with_code(cloud)
    server.inject(Refuse(503), operation="get_media", times=100)
    offline(cloud, server.url, r"(getting gs://lab/code/ada/head .*503|gs://lab/code answered and then took too long)")
