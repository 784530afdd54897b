"""The suite's own Compute Engine: that machines come, change and go as with the service, by Google's own client."""

import uuid
from typing import Any

import pytest
from compute_clients import PROJECT, ZONE, Clients, body
from google.api_core import exceptions
from google.cloud import compute_v1

from epic_lab.testing.compute_server import ComputeServer


def test_a_launch_goes_through_its_states_and_the_operation_is_done_before_the_machine_runs(
    compute: ComputeServer, cloud: Clients
) -> None:
    operation = cloud.insert(body("ann-1"))
    assert operation.status == compute_v1.Operation.Status.PENDING
    seen = [cloud.get("ann-1").status]
    assert cloud.wait(operation).status == compute_v1.Operation.Status.DONE
    seen += [cloud.get("ann-1").status for _ in range(2)]
    assert seen == ["PROVISIONING", "RUNNING", "RUNNING"]
    compute.service.seconds_a_look = 0
    later = cloud.insert(body("ann-2"))
    cloud.wait(later)
    assert cloud.get("ann-2").status == "STAGING"


def test_an_operation_warns_of_what_was_asked_for(compute: ComputeServer, cloud: Clients) -> None:
    asked = body("ann-1")
    old = "projects/ubuntu-os-cloud/global/images/ubuntu-2404-noble-amd64-v20260916"
    asked["disks"][0]["initializeParams"]["sourceImage"] = old
    warnings = [it.code for it in cloud.wait(cloud.insert(asked)).warnings]
    assert warnings == ["DEPRECATED_RESOURCE_USED", "DISK_SIZE_LARGER_THAN_IMAGE_SIZE"]


def test_the_same_request_id_makes_one_machine(compute: ComputeServer, cloud: Clients) -> None:
    request_id = str(uuid.uuid4())
    first = cloud.insert(body("ann-1"), request_id=request_id)
    again = cloud.insert(body("ann-1"), request_id=request_id)
    cloud.wait(first)
    done = cloud.insert(body("ann-1"), request_id=request_id)
    assert first.name == again.name == done.name
    assert done.status == compute_v1.Operation.Status.DONE
    assert len(compute.service.machines) == 1


@pytest.mark.parametrize(
    ("path", "states"),
    [
        (["suspend"], ["SUSPENDING", "SUSPENDED"]),
        (["suspend", "resume"], ["PROVISIONING", "RUNNING"]),
        (["stop"], ["STOPPING", "TERMINATED"]),
        (["stop", "start"], ["PROVISIONING", "RUNNING"]),
    ],
)
def test_a_machine_changes_by_way_of_states_between(
    compute: ComputeServer, cloud: Clients, launched: str, path: list[str], states: list[str]
) -> None:
    for verb in path[:-1]:
        cloud.wait(cloud.change(verb, launched))
    operation = cloud.change(path[-1], launched)
    seen = [cloud.get(launched).status]
    cloud.wait(operation)
    compute.service.timeline.pass_time(10)
    assert [*seen, cloud.get(launched).status] == states


def _addresses(machine: Any) -> list[str]:
    return [it.nat_i_p for interface in machine.network_interfaces for it in interface.access_configs]


def test_a_suspended_machine_has_no_outer_address(compute: ComputeServer, cloud: Clients, launched: str) -> None:
    assert all(_addresses(cloud.get(launched)))
    cloud.wait(cloud.change("suspend", launched))
    assert not any(_addresses(cloud.get(launched)))


def test_a_deleted_machine_is_gone_with_its_disk(compute: ComputeServer, cloud: Clients, launched: str) -> None:
    assert cloud.disks.get(project=PROJECT, zone=ZONE, disk=launched).size_gb == 100
    cloud.wait(cloud.change("delete", launched))
    with pytest.raises(exceptions.NotFound):
        cloud.get(launched)
    with pytest.raises(exceptions.NotFound):
        cloud.disks.get(project=PROJECT, zone=ZONE, disk=launched)


@pytest.mark.parametrize(
    ("path", "verb"),
    [
        ([], "resume"),
        (["suspend"], "suspend"),
        (["suspend"], "start"),
        (["suspend"], "stop"),
        (["stop"], "suspend"),
        (["stop"], "resume"),
    ],
)
def test_what_a_state_does_not_allow_is_refused(
    compute: ComputeServer, cloud: Clients, launched: str, path: list[str], verb: str
) -> None:
    for it in path:
        cloud.wait(cloud.change(it, launched))
    before = cloud.get(launched).status
    with pytest.raises(exceptions.BadRequest) as caught:
        cloud.change(verb, launched)
    assert caught.value.errors[0]["reason"] == "invalidState"
    assert cloud.get(launched).status == before


def test_one_operation_at_a_time_is_at_work_on_a_machine(compute: ComputeServer, cloud: Clients, launched: str) -> None:
    operation = cloud.change("suspend", launched)
    with pytest.raises(exceptions.BadRequest) as caught:
        cloud.change("stop", launched)
    assert caught.value.errors[0]["reason"] == "resourceNotReady"
    cloud.wait(operation)
    assert cloud.get(launched).status == "SUSPENDED"


@pytest.mark.parametrize(("path", "verb"), [([], "start"), (["stop"], "stop")])
def test_what_is_so_already_is_done_again_in_vain(
    compute: ComputeServer, cloud: Clients, launched: str, path: list[str], verb: str
) -> None:
    for it in path:
        cloud.wait(cloud.change(it, launched))
    before = cloud.get(launched).status
    assert cloud.wait(cloud.change(verb, launched)).error.errors == []
    assert cloud.get(launched).status == before


def test_the_serial_port_prints_the_boot_by_and_by(compute: ComputeServer, cloud: Clients, launched: str) -> None:
    read, start = "", 0
    for _ in range(100):
        output = cloud.instances.get_serial_port_output(
            request=compute_v1.GetSerialPortOutputInstanceRequest(
                project=PROJECT, zone=ZONE, instance=launched, start=start
            )
        )
        assert output.start == start
        read, start = read + output.contents, output.next_
    lines = read.splitlines()
    assert lines[0].startswith("SeaBIOS")
    assert lines[-1].endswith("Finished running startup scripts.")
    assert len(lines) == len(compute.service.boot_script)


def test_a_boot_goes_on_after_a_suspension_and_not_after_a_stop(
    compute: ComputeServer, cloud: Clients, launched: str
) -> None:
    machine = compute.service.machines[ZONE, launched]
    compute.service.timeline.pass_time(20)
    cloud.wait(cloud.change("suspend", launched))
    printed = bytes(machine.serial.kept)
    compute.service.timeline.pass_time(1000)
    assert machine.serial.kept == printed
    cloud.wait(cloud.change("resume", launched))
    compute.service.timeline.pass_time(50)
    assert machine.serial.kept.startswith(printed + b"[  812.120011] PM: suspend exit")
    assert b"step 5/9" in machine.serial.kept
    cloud.wait(cloud.change("stop", launched))
    compute.service.timeline.pass_time(1000)
    assert b"epic-lab: ready" not in machine.serial.kept


def test_a_serial_port_forgets_and_says_from_where_it_answers(compute: ComputeServer, cloud: Clients) -> None:
    compute.service.serial_kept_bytes = 100
    compute.service.boot_script = [(0.0, "a" * 98), (1.0, "b" * 48)]
    cloud.launch("ann-1")
    compute.service.timeline.pass_time(20)

    def read(start: int) -> Any:
        asked = compute_v1.GetSerialPortOutputInstanceRequest(project=PROJECT, zone=ZONE, instance="ann-1", start=start)
        return cloud.instances.get_serial_port_output(request=asked)

    forgotten = read(0)
    assert (forgotten.start, forgotten.next_) == (50, 150)
    assert forgotten.contents == "a" * 48 + "\r\n" + "b" * 48 + "\r\n"
    assert (read(-4).start, read(-4).contents) == (146, "bb\r\n")
    assert (read(150).contents, read(150).next_) == ("", 150)


def test_a_stopped_machine_is_made_another_size_and_a_running_one_is_not(
    compute: ComputeServer, cloud: Clients, launched: str
) -> None:
    def resize() -> Any:
        wanted = compute_v1.InstancesSetMachineTypeRequest(machine_type=f"zones/{ZONE}/machineTypes/n2-highmem-8")
        asked = compute_v1.SetMachineTypeInstanceRequest(
            project=PROJECT, zone=ZONE, instance=launched, instances_set_machine_type_request_resource=wanted
        )
        return cloud.instances.set_machine_type_unary(request=asked)

    with pytest.raises(exceptions.BadRequest):
        resize()
    cloud.wait(cloud.change("stop", launched))
    cloud.wait(resize())
    assert cloud.get(launched).machine_type.endswith(f"/projects/{PROJECT}/zones/{ZONE}/machineTypes/n2-highmem-8")


def test_labels_are_replaced_by_whoever_knows_them(compute: ComputeServer, cloud: Clients, launched: str) -> None:
    def label(fingerprint: str) -> Any:
        labels = compute_v1.InstancesSetLabelsRequest(labels={"owner": "bob"}, label_fingerprint=fingerprint)
        asked = compute_v1.SetLabelsInstanceRequest(
            project=PROJECT, zone=ZONE, instance=launched, instances_set_labels_request_resource=labels
        )
        return cloud.instances.set_labels_unary(request=asked)

    known = cloud.get(launched).label_fingerprint
    cloud.wait(label(known))
    assert dict(cloud.get(launched).labels) == {"owner": "bob"}
    with pytest.raises(exceptions.PreconditionFailed):
        label(known)


def test_a_disk_grows_and_does_not_shrink(compute: ComputeServer, cloud: Clients, launched: str) -> None:
    def resize(size_gb: int) -> Any:
        asked = compute_v1.ResizeDiskRequest(
            project=PROJECT,
            zone=ZONE,
            disk=launched,
            disks_resize_request_resource=compute_v1.DisksResizeRequest(size_gb=size_gb),
        )
        return cloud.disks.resize_unary(request=asked)

    assert cloud.get(launched).disks[0].disk_size_gb == 100
    cloud.wait(resize(300))
    assert cloud.disks.get(project=PROJECT, zone=ZONE, disk=launched).size_gb == 300
    assert cloud.get(launched).disks[0].disk_size_gb == 300
    with pytest.raises(exceptions.BadRequest):
        resize(200)


def test_lists_are_filtered_and_come_in_pages(compute: ComputeServer, cloud: Clients) -> None:
    for name, zone in (("ann-1", ZONE), ("ann-2", ZONE), ("ann-3", "us-east1-b")):
        cloud.launch(name, zone=zone, labels={"owner": "ann", "number": name[-1]})
    cloud.launch("bob-1", labels={"owner": "bob"})
    listed = cloud.instances.list(
        request=compute_v1.ListInstancesRequest(project=PROJECT, zone=ZONE, filter="labels.owner=ann", max_results=1)
    )
    assert [it.name for it in listed] == ["ann-1", "ann-2"]
    assert compute.calls["instances.list"] == 2
    everywhere = cloud.instances.aggregated_list(
        request=compute_v1.AggregatedListInstancesRequest(
            project=PROJECT, filter="name:ann-* AND (labels.number=1 OR labels.number=3)", include_all_scopes=True
        )
    )
    found = {scope: [it.name for it in content.instances] for scope, content in everywhere if content.instances}
    assert found == {f"zones/{ZONE}": ["ann-1"], "zones/us-east1-b": ["ann-3"]}


def test_a_zone_that_does_not_answer_is_named_in_lists(compute: ComputeServer, cloud: Clients, launched: str) -> None:
    cloud.launch("ann-2", zone="us-east1-b")
    compute.service.unreachable.add(ZONE)
    scopes = dict(cloud.instances.aggregated_list(project=PROJECT))
    assert [it.name for it in scopes["zones/us-east1-b"].instances] == ["ann-2"]
    assert scopes[f"zones/{ZONE}"].warning.code == "UNREACHABLE"
    with pytest.raises(exceptions.ServiceUnavailable):
        cloud.get(launched)


def test_a_disk_that_is_to_be_kept_outlives_its_machine(compute: ComputeServer, cloud: Clients) -> None:
    asked = body("ann-1")
    asked["disks"][0]["autoDelete"] = False
    cloud.wait(cloud.insert(asked))
    cloud.wait(cloud.change("delete", "ann-1"))
    assert list(cloud.disks.get(project=PROJECT, zone=ZONE, disk="ann-1").users) == []
    with pytest.raises(exceptions.Conflict):
        cloud.insert(asked)


def test_what_there_is_in_the_cloud_can_be_looked_up(compute: ComputeServer, cloud: Clients) -> None:
    assert cloud.projects.get(project=PROJECT).name == PROJECT
    assert len(list(cloud.zones.list(project=PROJECT))) > 3
    assert cloud.zones.get(project=PROJECT, zone=ZONE).status == "UP"
    assert cloud.machine_types.get(project=PROJECT, zone=ZONE, machine_type="n2-standard-4").memory_mb == 16384
    names = {it.name for it in cloud.machine_types.list(project=PROJECT, zone=ZONE)}
    assert {"n2-standard-4", "e2-medium", "g2-standard-4"} <= names
    here = {it.name for it in cloud.accelerator_types.list(project=PROJECT, zone=ZONE)}
    assert "nvidia-tesla-t4" in here
    offered = {
        scope
        for scope, it in cloud.accelerator_types.aggregated_list(project=PROJECT)
        if any(kind.name == "nvidia-tesla-t4" for kind in it.accelerator_types)
    }
    assert "zones/us-central1-f" in offered
    assert "zones/us-east1-d" not in offered
    image = cloud.images.get_from_family(project="ubuntu-os-cloud", family="ubuntu-2404-lts-amd64")
    assert image.name == cloud.images.get(project="ubuntu-os-cloud", image=image.name).name
    scopes = dict(cloud.machine_types.aggregated_list(project=PROJECT))
    assert scopes[f"zones/{ZONE}"].machine_types


def test_the_quota_that_is_used_is_that_of_the_machines_that_run(
    compute: ComputeServer, cloud: Clients, launched: str
) -> None:
    def used() -> float:
        quotas = cloud.regions.get(project=PROJECT, region="us-central1").quotas
        return next(it.usage for it in quotas if it.metric == "N2_CPUS")

    assert used() == 2
    cloud.wait(cloud.change("suspend", launched))
    assert used() == 0


def test_a_machine_is_taken_away_when_it_has_run_as_long_as_it_may(compute: ComputeServer, cloud: Clients) -> None:
    scheduling = {"maxRunDuration": {"seconds": "3600"}, "instanceTerminationAction": "STOP"}
    cloud.launch("ann-1", scheduling=scheduling)
    compute.service.timeline.pass_time(3500)
    assert cloud.get("ann-1").status == "RUNNING"
    compute.service.timeline.pass_time(200)
    assert cloud.get("ann-1").status == "TERMINATED"


def test_a_spot_machine_can_be_taken_away(compute: ComputeServer, cloud: Clients) -> None:
    cloud.launch("ann-1", scheduling={"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"})
    compute.service.timeline.pass_time(10)
    assert cloud.get("ann-1").scheduling.preemptible
    compute.service.preempt(ZONE, "ann-1")
    compute.service.timeline.pass_time(20)
    with pytest.raises(exceptions.NotFound):
        cloud.get("ann-1")
