"""What each command loads: nothing that it does not need."""

from __future__ import annotations

from typing import Any

import pytest

from synccore.testing.gcs_server import GcsServer

Machine = Any

HEAVY = {"google", "rich", "dulwich", "requests", "asyncio", "concurrent.futures", "IPython", "hypothesis", "pytest"}
ENGINE = {
    "zstandard",
    "xxhash",
    "msgpack",
    "pyfastcdc",
    "synccore.push",
    "synccore.pull",
    "synccore.store",
    "synccore.backends",
}
NET = {"socket", "ssl", "http.client", "urllib.request"}
# What is left out of the everyday path because its import is felt: 8, 2 and 10 ms.
LEFT_OUT = {"http", "http.client", "email", "encodings.idna", "stringprep", "dataclasses", "inspect"}
RARE = {"difflib", "json", "tempfile", "traceback"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["upload", "--help"], ["nonsense"], ["upload"], ["path"]], ids=" ".join
)
def test_help_and_mistakes_load_no_engine(machine: Machine, arguments: list[str]) -> None:
    assert not machine.loaded(*arguments) & (HEAVY | ENGINE | NET)


def test_the_path_of_a_laptop_loads_no_engine(laptop: Machine) -> None:
    assert not laptop.loaded("path") & (HEAVY | ENGINE | NET | RARE)


@pytest.mark.parametrize("word", ["upload", "up", "download", "dn"])
def test_what_is_typed_every_day_loads_no_parser(laptop: Machine, word: str) -> None:
    if word in {"download", "dn"}:
        laptop.configure(*laptop.config_path.read_text().splitlines()[:2])
    modules = laptop.loaded(word)
    assert "synccore.backends.opening" in modules
    assert "click" not in modules


def test_configuring_a_vm_loads_no_engine(machine: Machine) -> None:
    arguments = ("configure-vm", "--base-url", "gs://lab-bucket", "--username", "ana")
    assert not machine.loaded(*arguments) & (HEAVY | ENGINE | NET)


def test_one_command_does_not_load_another(laptop: Machine) -> None:
    modules = laptop.loaded("path")
    assert {name for name in modules if name.startswith("epic_lab.cli.synccode.")} == {
        "epic_lab.cli.synccode.group",
        "epic_lab.cli.synccode.path",
    }


def test_everyday_work_on_a_bucket_loads_neither_google_nor_rich(laptop: Machine, tmp_path_factory: Any) -> None:
    (laptop.home / "code" / "alpha" / "a.py").write_text("1\n")
    (laptop.home / "code" / "beta" / "b.py").write_text("1\n")
    vm = type(laptop)(tmp_path_factory.mktemp("vm"))
    with GcsServer("lab-bucket") as server:
        for machine in (laptop, vm):
            machine.variables["STORAGE_EMULATOR_HOST"] = server.url
        settings = laptop.config_path.read_text().splitlines()
        laptop.configure("SYNCCODE_GCS_BASE_URL=gs://lab-bucket/synccode", *settings[1:])
        vm.configure("SYNCCODE_GCS_BASE_URL=gs://lab-bucket/synccode", "SYNCCODE_USERNAME=ana")
        assert laptop.run("upload").code == 0
        assert vm.run("download").code == 0
        (laptop.home / "code" / "alpha" / "a.py").write_text("22\n")
        server.forget()
        connections = server.connections_made
        assert not laptop.loaded("upload") & (HEAVY | LEFT_OUT)
        assert server.requests == {"put": 1}
        assert server.connections_made == connections + 1
        assert not vm.loaded("download") & (HEAVY | LEFT_OUT)
        unchanged = vm.loaded("download")
        assert server.requests == {"put": 1, "get_media": 2}
        assert (vm.home / "synccode" / "alpha" / "a.py").read_text() == "22\n"
    assert not unchanged & (
        HEAVY | LEFT_OUT | {"zstandard", "msgpack", "pyfastcdc", "synccore.push", "synccore.catchup"}
    )
