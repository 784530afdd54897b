"""`epic-notebook` as people run it: what it says of itself, of mistakes, and of machines."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from epic_lab.cli import boundary
from epic_lab.cli.notebook import COMMANDS, PROG_NAME, group
from epic_lab.testing.compute.faults import EndIn
from epic_lab.testing.compute.refusals import quota_exceeded
from epic_lab.testing.compute_server import ComputeServer

Machine = Any

HEAVY = {"google", "rich", "dulwich", "requests", "asyncio", "concurrent.futures", "msgpack", "zstandard", "hypothesis"}
NET = {"socket", "ssl", "http.client", "urllib.request", "subprocess"}
WITHOUT_JSON = {"logs_f", "ssh", "ssh_raw"}


@pytest.fixture
def compute() -> Iterator[ComputeServer]:
    with ComputeServer("proj1") as server:
        server.service.seconds_a_look = 10.0
        yield server
        server.check()


@dataclass
class Desk:
    """A home in which commands run in this very process, so that Google's library is imported once and not by each of them."""

    home: Path
    variables: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    @property
    def config_path(self) -> Path:
        return self.home / ".epic" / "lab"

    def configure(self, *lines: str) -> None:
        self.config_path.parent.mkdir(exist_ok=True)
        self.config_path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def notebook(self, *arguments: str) -> Said:
        self.captured.readouterr()
        self.variables.setattr(sys, "argv", ["epic-notebook", *arguments])
        code = boundary.run_group(group, PROG_NAME)
        out, err = self.captured.readouterr()
        return Said(code, out.replace("\r\n", "\n"), err)


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@pytest.fixture
def ann(
    tmp_path: Path, compute: ComputeServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Desk:
    """Return the laptop of Ann, who has a lab in a project of her own."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("EPIC_LAB_CONFIG", raising=False)
    desk = Desk(tmp_path, monkeypatch, capfd)
    configure(desk, compute.url)
    return desk


def configure(machine: Any, endpoint: str, *more: str) -> None:
    machine.configure(
        "SYNCCODE_USERNAME=ann",
        "GCP_PROJECT_ID=proj1",
        "GCP_ZONE=us-central1-a,us-central1-b",
        "GCP_GCS_SCRIPTS_BASE_PATH=gs://lab-bucket/vmsetup",
        "GCP_PROXY_DOMAIN=lab.example.org",
        f"GCP_COMPUTE_ENDPOINT={endpoint}",
        *more,
    )


# -- what it says of itself --------------------------------------------------------------------------------------------


def test_the_version_is_one_line(machine: Machine) -> None:
    assert machine.notebook("--version").out == "epic-notebook 0.1.0\n"


def test_the_groups_help_lists_commands_and_exit_codes(machine: Machine) -> None:
    done = machine.notebook("--help")
    assert done.code == 0
    assert all(f"\n  {name} " in done.out for name in COMMANDS)
    assert "    130  interrupted\n" in done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_teaches_with_a_paragraph_examples_and_where_exit_codes_are(machine: Machine, name: str) -> None:
    done = machine.notebook(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: epic-notebook {name} ")
    assert f"epic-notebook {name}" in done.out.split("Examples:")[1]
    assert done.out.endswith("Exit codes: see `epic-notebook --help`.\n")
    assert ("--json" in done.out) is (name not in WITHOUT_JSON)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["launch", "--help"],
        ["nonsense"],
        ["launch"],
        ["launch", "Gpu"],
        ["launch", "gpu", "--dry-run"],
        ["launch", "gpu", "--zone", "here"],
        ["list"],
        ["terminate", "gpu"],
        ["ssh", "gpu"],
    ],
    ids=" ".join,
)
def test_help_mistakes_and_what_asks_for_nothing_load_nothing_heavy(machine: Machine, arguments: list[str]) -> None:
    configure(machine, "http://127.0.0.1:9")
    if arguments in [["list"], ["terminate", "gpu"], ["ssh", "gpu"]]:
        machine.configure("GCP_PROJECT_ID=Not A Project", "SYNCCODE_USERNAME=ann")
    modules = machine.loaded(*arguments, program="epic_lab.cli.notebook")
    assert not modules & (HEAVY | NET - ({"subprocess"} if arguments[0] == "ssh" else set()))


def test_one_command_does_not_load_another(machine: Machine) -> None:
    modules = machine.loaded("suspend", "--help", program="epic_lab.cli.notebook")
    commands = {lazy.module for lazy in COMMANDS.values()}
    assert modules & commands == {"epic_lab.cli.notebook.suspend"}


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lanch"], "no such command 'lanch'; did you mean launch?"),
        (["launch"], "Missing argument 'NAME'."),
        (["launch", "gpu", "n2-standard-4", "big"], "Invalid value for '[DISK_GB]': 'big' is not a valid integer range."),
        (["launch", "gpu", "--zone", "Iowa"], "expected zones like europe-west1-b, found 'Iowa'"),
        (["launch", "gpu", "n2-standard-4", "200", "cheap"], "Invalid value for '[spot|nospot]': 'cheap' is not one of 'spot', 'nospot'."),
        (["resize", "gpu"], "give a MACHINE_TYPE, or --disk GB, or both"),
        (["logs", "gpu", "-f", "--json"], "--follow has no end, and --json is one document"),
        (["launch", "GPU"], "'GPU' cannot be a machine's name: expected 1 to 59 small letters, digits and hyphens, the last one no hyphen"),
        (["launch", "gpu", "--gpu", "l4", "n1-standard-4"], "n1-standard-4 cannot have nvidia-l4"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)  # fmt: skip
def test_a_mistake_is_a_usage_error_and_asks_for_nothing(
    ann: Desk, compute: ComputeServer, arguments: list[str], message: str
) -> None:
    done = ann.notebook(*arguments)
    assert done.code == 2
    shown = done.out if "--json" in arguments else done.err
    assert message in shown
    assert compute.log == []


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("GCP_PROJECT_ID", "GCP_PROJECT_ID=Our Lab"),
        ("GCP_ZONE", "GCP_ZONE=Iowa"),
        ("GCP_GCS_SCRIPTS_BASE_PATH", "GCP_GCS_SCRIPTS_BASE_PATH=gs://lab-bucket/$(rm)"),
        ("GCP_GCS_SCRIPTS_BASE_PATH", "GCP_GCS_SCRIPTS_BASE_PATH=file:///scripts"),
        ("GCP_PROXY_DOMAIN", "GCP_PROXY_DOMAIN=https://lab.example.org/"),
        ("GCP_COMPUTE_ENDPOINT", "GCP_COMPUTE_ENDPOINT=compute.googleapis.com"),
        ("SYNCCODE_USERNAME", "SYNCCODE_USERNAME=1"),
    ],
)
def test_a_value_that_cannot_be_meant_is_one_line_that_names_it(machine: Machine, key: str, line: str) -> None:
    configure(machine, "http://127.0.0.1:9", line)
    done = machine.notebook("launch", "gpu", "--dry-run")
    assert done.code in {1, 2}
    assert key in done.err
    assert done.err.startswith("error: ")


def test_a_missing_key_is_named_with_what_to_write(machine: Machine) -> None:
    machine.configure("SYNCCODE_USERNAME=ann")
    done = machine.notebook("list")
    assert done.code == 1
    assert done.err == (
        "error: HOME/.epic/lab: expected GCP_PROJECT_ID (the Google Cloud project), but the key is missing\n"
        "hint: Add this line to HOME/.epic/lab:\n  GCP_PROJECT_ID=my-lab-123456\n"
    )


def test_a_dead_network_is_one_message(machine: Machine) -> None:
    configure(machine, "http://127.0.0.1:9")
    done = machine.notebook("list")
    assert done.code == 5
    assert done.err.startswith("error: listing the machines failed: no connection to the cloud could be made (")
    assert len(done.err.splitlines()) == 2


# -- machines ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_request_and_the_price_and_asks_for_nothing(ann: Desk, compute: ComputeServer) -> None:
    done = ann.notebook("launch", "gpu", "--gpu", "t4", "--dry-run")
    assert done.code == 0
    first, *rest = done.out.splitlines()
    assert first == "POST projects/proj1/zones/us-central1-a/instances"
    body = json.loads("\n".join(line for line in rest if not line.startswith("#")))
    assert body["name"] == "ann-gpu"
    assert rest[-1].startswith("# $0.76 an hour running · $0.027 stopped  (an estimate: list prices of us-central1, ")
    assert rest[-2] == "# and where us-central1-a has none left, in turn: us-central1-b"
    assert compute.log == []


def test_a_dry_run_is_a_document_too(ann: Desk) -> None:
    document = ann.notebook("launch", "gpu", "n2-standard-8", "500", "spot", "--dry-run", "--json").document
    assert document["dry_run"] is True
    assert document["zones"] == ["us-central1-a", "us-central1-b"]
    assert document["request"]["disks"][0]["initializeParams"]["diskSizeGb"] == "500"
    assert document["request"]["scheduling"]["provisioningModel"] == "SPOT"
    assert document["price"]["estimate"] is True


def test_a_launch_says_the_price_first_and_what_was_made_last(ann: Desk, compute: ComputeServer) -> None:
    compute.service.stocked_out.add("us-central1-a")
    done = ann.notebook("launch", "cpu")
    assert done.code == 0
    said = done.err.splitlines()
    assert said[0].startswith(
        "note: ann-cpu is n2-standard-4: $0.23 an hour running · $0.031 suspended · $0.027 stopped"
    )
    assert said[-1] == "creating ann-cpu in us-central1-b"
    made, next_step = done.out.splitlines()
    assert made.startswith("ann-cpu  n2-standard-4  us-central1-b  made in ")
    assert made.endswith("  without stock: us-central1-a")
    assert next_step == "  it boots now; `epic-notebook wait ann-cpu` says when its JupyterLab answers"


def test_a_launch_names_what_runs_already(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "old")
    compute.service.timeline.pass_time(60)
    done = ann.notebook("launch", "new")
    [note] = [line for line in done.err.splitlines() if "also running" in line]
    assert note.startswith("note: also running: ann-old (")
    assert note.endswith(" old, $0.23 an hour); suspend what is not needed")
    assert ann.notebook("launch", "third", "--json").document["also_running"] == ["ann-new", "ann-old"]


def test_a_launch_that_waits_ends_with_the_address(ann: Desk, compute: ComputeServer) -> None:
    compute.service.seconds_a_look = 60.0
    done = ann.notebook("launch", "cpu", "--wait")
    assert done.code == 0
    assert "ann-cpu  ready after " in done.out
    assert done.out.endswith("  https://lab.example.org/ann-cpu\n")


def test_the_list_has_everybodys_machines_and_what_they_cost_together(ann: Desk) -> None:
    assert (
        ann.notebook("list").out == "the lab has no machine in project proj1; `epic-notebook launch NAME` makes one\n"
    )
    ann.notebook("launch", "cpu")
    ann.notebook("launch", "gpu", "n1-standard-8", "--gpu", "t4")
    configure(
        ann,
        next(line.split("=")[1] for line in ann.config_path.read_text().splitlines() if "ENDPOINT" in line),
        "SYNCCODE_USERNAME=bob",
    )
    ann.notebook("launch", "mine")
    done = ann.notebook("list")
    head, *rows, total = done.out.splitlines()
    assert head.split() == ["NAME", "STATE", "MACHINE", "ZONE", "AGE", "NOW/H", "SUSPENDED/H", "WHO", "URL"]
    assert [row.split()[0] for row in rows] == ["ann-cpu", "ann-gpu", "bob-mine"]
    assert "n1-standard-8, 1 nvidia-tesla-t4" in rows[1]
    assert rows[1].split()[-3:] == ["-", "ann", "https://lab.example.org/ann-gpu"]
    assert total.startswith("3 machines, $")
    assert "an estimate" in total
    mine = ann.notebook("list", "--mine", "--json").document
    assert [machine["name"] for machine in mine["machines"]] == ["bob-mine"]


def test_the_status_of_a_running_machine_says_how_far_its_set_up_has_come(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(300)
    done = ann.notebook("status", "cpu")
    facts = {line.split()[0]: line for line in done.out.splitlines()}
    assert facts["state"].split() == ["state", "running"]
    assert facts["set-up"].split() == ["set-up", "ready"]
    assert facts["disk"].split() == ["disk", "200", "GB"]
    assert facts["url"].endswith("https://lab.example.org/ann-cpu")
    assert "(an estimate: list prices of us-central1, " in facts["price"]


def test_each_step_of_a_life_says_what_the_machine_was(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(60)
    assert "suspended after " in (said := ann.notebook("suspend", "cpu").out)
    assert "; it was running; $0.031 an hour now  (an estimate" in said
    assert ann.notebook("suspend", "cpu").out == "ann-cpu  is suspended already; nothing to do\n"
    assert "; it was suspended; $0.23 an hour now" in ann.notebook("resume", "cpu").out
    compute.service.timeline.pass_time(60)
    stopped = ann.notebook("stop", "cpu", "--json").document
    assert (stopped["before"], stopped["after"], stopped["done"]) == ("running", "stopped", "stop")
    refused = ann.notebook("suspend", "cpu")
    assert refused.code == 3
    assert "ann-cpu is stopped and cannot be suspended" in refused.err
    assert "; it was stopped" in ann.notebook("terminate", "cpu", "--yes").out
    missing = ann.notebook("status", "cpu")
    assert missing.code == 4
    assert "there is no machine ann-cpu in project proj1" in missing.err


def test_a_machine_is_not_terminated_unasked(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    done = ann.notebook("terminate", "cpu")
    assert done.code == 1
    assert "the end of ann-cpu must be confirmed, and there is no terminal to ask on; nothing was changed" in done.err
    assert "instances.delete" not in compute.calls


def test_a_running_machine_changes_its_type_only_with_a_restart(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(60)
    refused = ann.notebook("resize", "cpu", "n2-standard-8")
    assert refused.code == 3
    assert "epic-notebook resize ann-cpu n2-standard-8 --restart" in refused.err
    done = ann.notebook("resize", "cpu", "n2-standard-8", "--restart", "--disk", "300")
    assert done.code == 0
    assert done.out.startswith("ann-cpu  n2-standard-4 -> n2-standard-8, disk 200 GB -> 300 GB; it is ")
    again = ann.notebook("resize", "cpu", "--disk", "300")
    assert again.out.startswith("ann-cpu  has that size already; nothing to do; it is ")


def test_a_type_that_the_zone_has_not_stops_no_machine(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(60)
    missing = ann.notebook("resize", "cpu", "n2-standard-5", "--restart")
    assert missing.code == 4
    assert (
        "there is no machine type n2-standard-5 in us-central1-a, where ann-cpu is; nothing was changed" in missing.err
    )
    assert ann.notebook("resize", "cpu", "spot", "--restart").code == 2
    assert "instances.stop" not in compute.calls


def test_a_type_that_is_refused_leaves_the_machine_running_as_it_did(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(60)
    compute.inject(EndIn(quota_exceeded("N2_CPUS", limit=4)), call="instances.setMachineType")
    refused = ann.notebook("resize", "cpu", "n2-standard-8", "--restart")
    assert refused.code == 5
    assert "limit 4" in refused.err
    assert compute.calls["instances.start"] == 1
    machine = ann.notebook("status", "cpu", "--json").document["machine"]
    assert machine["machine_type"] == "n2-standard-4"
    assert machine["state"] in {"provisioning", "staging", "running"}


def test_a_machine_that_ends_by_itself_says_so(ann: Desk) -> None:
    ann.notebook("launch", "cpu", "--max-run", "90m")
    assert "\n  ends     stops by itself, after 90 min\n" in ann.notebook("status", "cpu").out


def test_the_address_is_printed_and_without_a_domain_the_tunnel_is_explained(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(60)
    assert ann.notebook("open", "cpu", "--print").out == "https://lab.example.org/ann-cpu\n"
    lines = [line for line in ann.config_path.read_text().splitlines() if "DOMAIN" not in line]
    ann.configure(*lines)
    done = ann.notebook("open", "cpu")
    assert done.code == 1
    assert "epic-notebook ssh ann-cpu -- -N -L 8888:localhost:8888" in done.err


def test_a_console_goes_on_where_it_was_left(ann: Desk, compute: ComputeServer) -> None:
    ann.notebook("launch", "cpu")
    first = ann.notebook("logs", "cpu")
    compute.service.timeline.pass_time(300)
    position = first.err.split("--start ")[1].strip()
    second = ann.notebook("logs", "cpu", "--start", position)
    assert first.out.startswith("SeaBIOS")
    assert second.out.endswith("Finished running startup scripts.\n")
    assert "SeaBIOS" not in second.out
    whole = ann.notebook("logs", "cpu", "--json").document
    assert whole["text"].replace("\r\n", "\n") == first.out + second.out
    assert whole["missed_bytes"] == 0


def test_a_console_is_followed_until_the_machine_stops(ann: Desk, compute: ComputeServer) -> None:
    compute.service.seconds_a_look = 60.0
    ann.notebook("launch", "cpu", "--wait")
    ann.notebook("stop", "cpu")
    done = ann.notebook("logs_f", "cpu")
    assert done.code == 0
    assert done.out.count("epic-lab: step ") == 9
    assert "note: ann-cpu does not run any more" in done.err


@pytest.mark.skipif(os.name == "nt", reason="the gcloud of the tests is a shell script")
def test_ssh_runs_gcloud_and_ends_with_what_it_ends_with(ann: Desk, compute: ComputeServer, tmp_path: Path) -> None:
    program = tmp_path / "gcloud"
    program.write_text('#!/bin/sh\n[ "$2" = start-iap-tunnel ] && echo SSH-2.0 && exit\necho "$*"\nexit 255\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    ann.variables.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(60)
    done = ann.notebook("ssh", "cpu", "--", "-N", "--json")
    assert done.code == 255
    where = "--project=proj1 --zone=us-central1-a --tunnel-through-iap"
    assert done.out == f"compute ssh jupyter@ann-cpu {where} -- -N --json\n"
    assert "the account needs the roles roles/iap.tunnelResourceAccessor" in done.err
    assert ann.notebook("ssh_raw", "cpu").out == f"compute ssh ann-cpu {where}\n"


def test_ssh_without_gcloud_says_where_it_comes_from(ann: Desk, compute: ComputeServer, tmp_path: Path) -> None:
    ann.notebook("launch", "cpu")
    compute.service.timeline.pass_time(60)
    ann.variables.setenv("PATH", str(tmp_path))
    done = ann.notebook("ssh", "cpu")
    assert done.code == 1
    assert done.err.startswith("error: gcloud is not on the PATH")
