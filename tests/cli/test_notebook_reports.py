"""How the commands of machines word what they found and did, and the documents that docs/reference/notebook.md shows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from epic_lab.cli.notebook import launch, listing, opening, resize, status, terminate, wait, wording
from epic_lab.machines import launch as launches
from epic_lab.machines.cloud import Access, Cloud
from epic_lab.machines.machine import Disk, Machine, State
from epic_lab.machines.machine_types import Gpus
from epic_lab.machines.serial import Setup
from epic_lab.machines.states import Request
from epic_lab.notebook import Changed, Found, Notebooks
from epic_lab.notebook_launch import Launched
from epic_lab.notebook_watch import Heard, Readiness, Waited

LAB = Notebooks(cloud=Cloud(Access(project="my-lab-123456")), username="ana", domain="lab.example.org")
CPU = Machine(
    name="ana-cpu",
    zone="europe-west1-b",
    state=State.RUNNING,
    machine_type="n2-standard-4",
    disks=(Disk(name="ana-cpu", size_gb=200, is_boot=True),),
    created_seconds=1782914580.0,
    started_seconds=1782914580.0,
    address="203.0.113.7",
    labels={"project": "folding"},
    tags=("epic-lab", "epic-lab-notebooks"),
)
GPU = dataclasses.replace(
    CPU, name="bob-gpu", machine_type="n1-standard-8", gpus=Gpus("nvidia-tesla-t4", 1), labels={}, is_spot=True
)
SLEEPING = dataclasses.replace(CPU, state=State.SUSPENDED, address=None)
READY = Setup(has_booted=True, step=9, steps=9, doing="the service", is_ready=True)
SUSPENDED = Changed(
    machine=SLEEPING, before=State.RUNNING, after=State.SUSPENDED, done=Request.SUSPEND, elapsed_seconds=41.0
)
WANTED = launches.judged(LAB.name("cpu"), scripts="gs://lab-bucket/scripts")
LAUNCHED = Launched(machine=CPU, without_stock=("europe-west1-c",), beside=(), elapsed_seconds=23.0)
WAITED = Waited(machine=CPU, readiness=Readiness.READY, elapsed_seconds=212.4)


@pytest.mark.parametrize(
    ("dollars", "said"),
    [(None, "?"), (0.0, "$0.00"), (0.0412, "$0.041"), (0.1, "$0.10"), (0.2286, "$0.23"), (12.345, "$12.35")],
)
def test_money_has_the_digits_that_matter(dollars: float | None, said: str) -> None:
    assert wording.money(dollars) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86399, "23 h"), (86400 * 3.5, "3 d")],
)
def test_an_age_is_in_the_unit_that_suits_it(seconds: float, said: str) -> None:
    assert wording.age(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200.0, "3 min 20 s")]
)
def test_a_wait_is_said_to_the_second(seconds: float, said: str) -> None:
    assert wording.elapsed(seconds) == said


def test_a_change_says_what_was_and_what_it_costs_now() -> None:
    [line] = wording.changed_lines(LAB, SUSPENDED)
    said, estimate = line.rsplit("  (", 1)
    assert said == "ana-cpu  suspended after 41 s; it was running; $0.031 an hour now"
    assert estimate == "an estimate: list prices of europe-west1, 2026-02-12)"


def test_what_comes_next_is_said() -> None:
    started = dataclasses.replace(SUSPENDED, machine=CPU, after=State.STAGING, done=Request.START)
    assert wording.changed_lines(LAB, started)[1:] == [
        "  it boots now; `epic-notebook wait ana-cpu` says when its JupyterLab answers"
    ]
    resumed = dataclasses.replace(started, after=State.RUNNING, done=Request.RESUME)
    assert wording.changed_lines(LAB, resumed)[1:] == ["  https://lab.example.org/ana-cpu"]
    assert wording.changed_lines(dataclasses.replace(LAB, domain=None), resumed)[1:] == []


def test_what_was_so_already_is_said() -> None:
    already = dataclasses.replace(SUSPENDED, before=State.SUSPENDED, done=None)
    assert wording.changed_lines(LAB, already) == ["ana-cpu  is suspended already; nothing to do"]
    meanwhile = dataclasses.replace(SUSPENDED, before=State.SUSPENDING, done=None)
    assert wording.changed_lines(LAB, meanwhile) == ["ana-cpu  was suspending and is suspended; nothing to do"]


def test_what_is_gone_costs_nothing() -> None:
    gone = dataclasses.replace(SUSPENDED, machine=CPU, after=None, done=Request.DELETE)
    assert wording.changed_lines(LAB, gone) == ["ana-cpu  terminated after 41 s; it was running"]


def test_a_spot_machine_costs_at_most_what_is_said() -> None:
    found = listing.lines(LAB, [CPU, SLEEPING, GPU], mine=False)
    assert found[1].startswith("ana-cpu  running    n2-standard-4 ")
    assert "n1-standard-8, 1 nvidia-tesla-t4, spot" in found[3]
    said = wording.price_line(launch.prices.of_machine(GPU), spot=True)
    assert said.startswith("at most $0.")
    assert "suspended" not in said


def test_a_machine_of_unknown_price_is_counted_as_such() -> None:
    strange = dataclasses.replace(CPU, machine_type="x4-megamem-960-metal")
    assert (
        "2 machines, $0.25 an hour now, without 1 machine of unknown price"
        in listing.lines(LAB, [CPU, strange], mine=False)[-1]
    )
    assert " ? " in listing.lines(LAB, [strange], mine=False)[1]


def test_without_a_domain_there_is_no_column_for_addresses() -> None:
    assert "URL" not in listing.lines(dataclasses.replace(LAB, domain=None), [CPU], mine=False)[0]


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        (Setup(), "booting"),
        (Setup(step=3, steps=9, doing="conda"), "step 3/9: conda"),
        (READY, "ready"),
        (Setup(step=3, steps=9, doing="conda", failure="no space left"), "failed at step 3/9: conda: no space left"),
        (Setup(has_ended=True), "ended, and says nothing of JupyterLab"),
    ],
)
def test_how_far_a_set_up_has_come(setup: Setup, said: str) -> None:
    assert status.setup_words(setup) == said


def test_a_launch_ends_with_the_address() -> None:
    assert launch.lines(LAB, LAUNCHED, WAITED) == [
        "ana-cpu  n2-standard-4  europe-west1-b  made in 23 s  without stock: europe-west1-c",
        "ana-cpu  ready after 3 min 32 s",
        "  https://lab.example.org/ana-cpu",
    ]


def test_a_set_up_that_says_nothing_is_not_called_ready() -> None:
    unknown = dataclasses.replace(WAITED, readiness=Readiness.UNKNOWN)
    assert wait.lines(LAB, unknown)[0] == "ana-cpu  runs; its set-up has ended and says nothing of JupyterLab"


# The examples of docs/reference/notebook.md are these reports.

REPORTS: dict[str, Any] = {
    "launch": lambda: launch.document(LAB, LAUNCHED, WAITED),
    "launch-dry-run": lambda: launch.dry_document(LAB, WANTED, ["europe-west1-b", "europe-west1-c"]),
    "list": lambda: listing.document(LAB, [SLEEPING, GPU], Found((SLEEPING, GPU), ())),
    "status": lambda: status.document(LAB, CPU, READY),
    "open": lambda: opening.document(LAB, CPU, "https://lab.example.org/ana-cpu"),
    "suspend": lambda: wording.changed_document("suspend", LAB, SUSPENDED),
    "terminate": lambda: terminate.document(
        LAB, dataclasses.replace(SUSPENDED, machine=SLEEPING, before=State.SUSPENDED, after=None, done=Request.DELETE)
    ),
    "resize": lambda: resize.document(
        LAB, CPU, dataclasses.replace(CPU, machine_type="n2-standard-8"), elapsed_seconds=74.0
    ),
    "wait": lambda: wait.document(LAB, WAITED),
    "logs": lambda: wording.console_document("ana-cpu", Heard(text="epic-lab: ready\r\n", next=48213, missed_bytes=0)),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_documented_example_is_the_report(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "notebook.md").read_text(encoding="utf-8")
    example = text.split(f"```json {name}\n")[1].split("```")[0]
    assert json.loads(example) == json.loads(json.dumps(REPORTS[name]()))
