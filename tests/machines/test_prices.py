"""What machines cost, by the table."""

from __future__ import annotations

import dataclasses
import re

import pytest

from epic_lab.machines import prices
from epic_lab.machines.launch import judged
from epic_lab.machines.machine import Disk, Machine, State
from epic_lab.machines.machine_types import Gpus, MachineType, parse
from epic_lab.machines.names import MachineName

N2 = Machine(
    name="ana-1",
    zone="us-central1-a",
    state=State.RUNNING,
    machine_type="n2-standard-4",
    disks=(Disk(name="ana-1", size_gb=200, is_boot=True),),
)


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gb"),
    [
        ("n2-standard-4", 4, 16),
        ("n1-standard-8", 8, 30),
        ("n1-highmem-2", 2, 13),
        ("n2-highmem-16", 16, 128),
        ("n2-highcpu-8", 8, 8),
        ("c3-highcpu-4", 4, 8),
        ("c3-standard-4-lssd", 4, 16),
        ("e2-micro", 0.25, 1),
        ("n2-custom-6-20480", 6, 20),
        ("custom-2-4096", 2, 4),
        ("a2-highgpu-2g", 24, 170),
        ("x4-megamem-960-metal", 960, None),
        ("strange", None, None),
    ],
)
def test_a_machine_types_name_says_its_size(name: str, vcpus: float | None, memory_gb: float | None) -> None:
    assert (parse(name).vcpus, parse(name).memory_gb) == (vcpus, memory_gb)


def test_the_gpus_of_a_machine_type_are_known() -> None:
    assert parse("g2-standard-48").gpus == Gpus("nvidia-l4", 4)
    assert parse("a2-ultragpu-1g").gpus == Gpus("nvidia-a100-80gb", 1)
    assert parse("n2-standard-4").gpus is None


@pytest.mark.parametrize("name", ["custom-2-4096", "n1-standard-1"])
def test_the_family_is_the_first_part_of_the_name(name: str) -> None:
    assert MachineType(name).family == "n1"


def test_an_ordinary_machine_costs_its_processors_memory_address_and_disk() -> None:
    price = prices.of_machine(N2)
    # As the cloud lists them for Iowa: n2-standard-4 at 0.194236 $/h, an address in use at 0.005, 100 GB of balanced disk at 10 $/month.
    assert price.running == pytest.approx(0.194236 + 0.005 + 20 / 730, abs=1e-5)
    assert price.stopped == pytest.approx(20 / 730)
    assert price.suspended == pytest.approx(20 / 730 + 16 * 0.17 / 730)


def test_a_gpu_is_paid_beside_the_machine_and_cannot_be_suspended() -> None:
    with_gpu = dataclasses.replace(N2, machine_type="n1-standard-8", gpus=Gpus("nvidia-tesla-t4", 2))
    without = dataclasses.replace(with_gpu, gpus=None)
    cost, plain = prices.of_machine(with_gpu), prices.of_machine(without)
    assert cost.running is not None
    assert plain.running is not None
    assert cost.running - plain.running == pytest.approx(0.70)
    assert cost.suspended is None


def test_a_spot_machine_costs_less_while_it_runs_and_the_same_while_it_does_not() -> None:
    spot, ordinary = prices.of_machine(dataclasses.replace(N2, is_spot=True)), prices.of_machine(N2)
    assert spot.running is not None
    assert ordinary.running is not None
    assert spot.running < ordinary.running / 2
    assert spot.stopped == ordinary.stopped


def test_another_region_has_other_prices() -> None:
    zurich = prices.of_machine(dataclasses.replace(N2, zone="europe-west6-a"))
    iowa = prices.of_machine(N2)
    assert zurich.running is not None
    assert iowa.running is not None
    assert zurich.running > 1.3 * iowa.running
    assert (zurich.region, zurich.is_own_region) == ("europe-west6", True)


def test_a_region_that_the_table_lacks_has_the_tables_own_prices_and_says_so() -> None:
    moon = prices.of_machine(dataclasses.replace(N2, zone="moon-east1-a"))
    assert (moon.region, moon.is_own_region) == ("us-central1", False)
    assert moon.running == prices.of_machine(N2).running


def test_a_machine_that_the_table_lacks_has_no_price_but_its_disk_has() -> None:
    strange = prices.of_machine(dataclasses.replace(N2, machine_type="x4-megamem-960-metal"))
    assert strange.running is None
    assert strange.stopped == prices.of_machine(N2).stopped


@pytest.mark.parametrize("state", State)
def test_what_it_costs_now_depends_on_its_state(state: State) -> None:
    price = prices.of_machine(N2)
    expected = {
        State.SUSPENDED: price.suspended,
        State.STOPPED: price.stopped,
        State.STOPPING: price.stopped,
        State.PENDING: 0.0,
        State.DEPROVISIONING: 0.0,
    }
    assert price.now(state) == expected.get(state, price.running)


def test_a_launch_costs_what_the_machine_will() -> None:
    launch = judged(MachineName("ana-1"), scripts="gs://lab/scripts")
    assert prices.of_launch(launch, "us-central1-a") == prices.of_machine(N2)


def test_the_table_says_from_when_and_where_it_is() -> None:
    table = prices.table()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", table["as_of"])
    assert table["regions"][table["region"]] == {"machine": 1.0, "disk": 1.0}
    assert "https://cloud.google.com" in table["source"]
