"""What Compute Engine does, in memory: machines that come and go in their time, their disks, and the operations meanwhile.

Written from the service's documentation and from recorded traffic, for what a client of machines can notice. Time is a `Timeline`: in tests it
passes only when somebody asks (`ComputeService.seconds_a_look`), so that states take their time and no test does.

    launch     PROVISIONING 4 s, STAGING 4 s, RUNNING; the operation is done after 6 s, before the machine runs
    start      the same
    resume     the same
    suspend    SUSPENDING 20 s, SUSPENDED
    stop       STOPPING 15 s, TERMINATED, which is this API's name for a machine that is stopped
    delete     STOPPING 10 s, gone, with the disks that go with it

Where the service's own behaviour is not published this one takes the stricter: a suspended machine can be resumed or deleted and nothing else, and
a request id that comes again with another request is refused. A machine that is started has a fresh serial port, one that is resumed goes on with its own.

Invariant: a machine changes in an operation only, and one operation at a time is at work on it.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epic_lab.testing.compute.catalogue import MACHINE_TYPES, REGIONS, ZONES
from epic_lab.testing.compute.disks import disk_names, new_disk
from epic_lab.testing.compute.limits import over_limit
from epic_lab.testing.compute.machines import (
    Machine,
    check_asked,
    check_labels,
    fingerprint,
    last,
    zonal,
)
from epic_lab.testing.compute.operations import Operation
from epic_lab.testing.compute.refusals import (
    Refusal,
    RefusalError,
    already_exists,
    condition_not_met,
    invalid,
    invalid_field,
    invalid_state,
    not_found,
    not_ready,
    quota_exceeded,
    stock_out,
    unavailable,
)
from epic_lab.testing.compute.serial_port import BOOT, BootScript, SerialPort, gaps
from epic_lab.testing.compute.timeline import Timeline

LONGEST_WAIT_SECONDS = 120.0
_TO_RUN = ((0.0, "PROVISIONING"), (4.0, "STAGING"), (8.0, "RUNNING"))
_RUN_DONE_SECONDS = 6.0
_REQUEST_ID = re.compile(
    r"(?!0{8}-0{4}-0{4}-0{4}-0{12})[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """How a request wants to change something.

    Attributes:
        kind: the operation's type.
        request_id: what makes a repetition known; empty where the client gave none.
        asking: all that the request says, which a repetition says likewise.
        ends_in: what the operation is to end with, by a fault.
        stuck: whether the operation is never to end, by a fault.
    """

    kind: str
    request_id: str = ""
    asking: str = ""
    ends_in: Refusal | None = None
    stuck: bool = False


class ComputeService:
    """The state of one project.

    Attributes:
        timeline: its time.
        seconds_a_look: how much time passes with every request that only looks; a wait lasts until the operation is done.
        wait_seconds: how long a wait lasts at most.
        machines: by zone and name.
        disks: likewise, as the API shows them.
        operations: likewise, with those that are done.
        stocked_out: zones that have no hardware left.
        unreachable: zones that do not answer.
        limits: what differs from the limits of a young project, as ``{"N2_CPUS": 8}``.
        told_at_once: whether a stock-out or a quota is told with the answer to the request, and not by the operation's end.
        boot_script: what a boot prints.
        serial_kept_bytes: how much of it a machine remembers.
    """

    def __init__(self, project: str = "proj1", *, timeline: Timeline | None = None) -> None:
        self.project = project
        self.timeline = timeline or Timeline()
        self.seconds_a_look = 2.0
        self.wait_seconds = LONGEST_WAIT_SECONDS
        self.machines: dict[tuple[str, str], Machine] = {}
        self.disks: dict[tuple[str, str], dict[str, Any]] = {}
        self.operations: dict[tuple[str, str], Operation] = {}
        self.stocked_out: set[str] = set()
        self.unreachable: set[str] = set()
        self.limits: dict[str, float] = {}
        self.told_at_once = False
        self.boot_script: BootScript = BOOT
        self.serial_kept_bytes = SerialPort().kept_bytes
        self.lock = threading.RLock()
        self._numbers = itertools.count(5_000_000_000_000_000_001)
        self._requests: dict[str, tuple[str, Operation]] = {}

    # -- looking -------------------------------------------------------------------------------------------------------

    def machine(self, zone: str, name: str) -> Machine:
        """Return a machine, by name or number.

        Raises:
            RefusalError: there is none.
        """
        self.check_zone(zone)
        for it in self.machines.values():
            if it.zone == zone and name in {it.name, str(it.number)}:
                return it
        raise RefusalError(not_found(f"projects/{self.project}/zones/{zone}/instances/{name}"))

    def operation(self, zone: str, name: str) -> Operation:
        """Return an operation, by name or number.

        Raises:
            RefusalError: there is none.
        """
        self.check_zone(zone)
        for it in self.operations.values():
            if it.zone == zone and name in {it.name, str(it.number)}:
                return it
        raise RefusalError(not_found(f"projects/{self.project}/zones/{zone}/operations/{name}"))

    def disk(self, zone: str, name: str) -> dict[str, Any]:
        """Return a disk as the API shows it.

        Raises:
            RefusalError: there is none.
        """
        self.check_zone(zone)
        if (zone, name) not in self.disks:
            raise RefusalError(not_found(f"projects/{self.project}/zones/{zone}/disks/{name}"))
        return self.disks[zone, name]

    def wait(self, zone: str, name: str) -> Operation:
        """Let time pass until an operation is done, or as long as a wait lasts, and return it."""
        operation = self.operation(zone, name)
        due = operation.due_seconds
        left = self.wait_seconds if due is None else max(0.0, due - self.timeline.seconds)
        if self.timeline.speed == 0:
            self.timeline.pass_time(min(self.wait_seconds, left))
        return operation

    def check_zone(self, zone: str) -> None:
        """Refuse a zone that there is not, or that does not answer."""
        if zone not in ZONES:
            raise RefusalError(invalid_field("zone", zone, "Unknown zone."))
        if zone in self.unreachable:
            raise RefusalError(unavailable())

    def repeated(self, mutation: Mutation) -> Operation | None:
        """Return the operation that an earlier request with the same id began.

        Raises:
            RefusalError: the id cannot be one, or was given with another request.
        """
        if not mutation.request_id:
            return None
        if not _REQUEST_ID.fullmatch(mutation.request_id):
            raise RefusalError(invalid_field("requestId", mutation.request_id, "Must be a UUID and not zero."))
        before, operation = self._requests.get(mutation.request_id, (mutation.asking, None))
        if before != mutation.asking:
            raise RefusalError(invalid_field("requestId", mutation.request_id, "It was given with another request."))
        return operation

    # -- changing ------------------------------------------------------------------------------------------------------

    def insert(self, zone: str, asked: Mapping[str, Any], mutation: Mutation) -> Operation:
        """Make a machine."""
        self.check_zone(zone)
        path = f"projects/{self.project}/zones/{zone}/instances/{asked['name']}"
        if (zone, asked["name"]) in self.machines:
            raise RefusalError(already_exists(path))
        check_asked(asked, self.project, zone)
        names = disk_names(asked)
        for name in names:
            if (zone, name) in self.disks:
                raise RefusalError(already_exists(f"projects/{self.project}/zones/{zone}/disks/{name}"))
        machine = Machine(
            project=self.project,
            zone=zone,
            asked=asked,
            number=next(self._numbers),
            machine_type=MACHINE_TYPES[last(asked["machineType"])],
            labels=dict(asked.get("labels", {})),
            disks=[],
            stamps={"creationTimestamp": self.timeline.stamp()},
        )
        refusal = self._lack(machine)

        def vanish() -> None:
            self._remove(machine, also_kept_disks=True)

        warnings: list[Mapping[str, Any]] = []
        for name, wanted in zip(names, asked["disks"], strict=True):
            disk, warned = new_disk(machine, name, wanted, number=next(self._numbers), stamp=self.timeline.stamp())
            machine.disks.append(disk)
            self.disks[zone, name] = disk
            warnings += warned
        self.machines[zone, machine.name] = machine
        return self._begin(
            machine, mutation, _TO_RUN, _RUN_DONE_SECONDS, refusal=refusal, undo=vanish, warnings=warnings
        )

    def start(self, zone: str, name: str, mutation: Mutation) -> Operation:
        """Start a machine that is stopped; nothing happens to one that runs."""
        machine = self.machine(zone, name)
        if machine.status == "RUNNING" and machine.busy is None:
            return self._begin(machine, mutation, (), 0.0)
        self._check_state(machine, {"TERMINATED"}, "It can be started only when it is stopped.")
        return self._run(machine, mutation, "TERMINATED")

    def resume(self, zone: str, name: str, mutation: Mutation) -> Operation:
        """Resume a machine that is suspended."""
        machine = self.machine(zone, name)
        self._check_state(machine, {"SUSPENDED"}, "It can be resumed only when it is suspended.")
        machine.resuming = True
        return self._run(machine, mutation, "SUSPENDED")

    def stop(self, zone: str, name: str, mutation: Mutation) -> Operation:
        """Stop a machine that runs; nothing happens to one that is stopped."""
        machine = self.machine(zone, name)
        if machine.status == "TERMINATED" and machine.busy is None:
            return self._begin(machine, mutation, (), 0.0)
        self._check_state(machine, {"RUNNING", "STAGING"}, "It can be stopped only when it is running.")
        steps = ((0.0, "STOPPING"), (15.0, "TERMINATED"))
        return self._begin(machine, mutation, steps, 15.0, undo=self._setter(machine, "RUNNING"))

    def suspend(self, zone: str, name: str, mutation: Mutation) -> Operation:
        """Suspend a machine that runs and has no accelerator."""
        machine = self.machine(zone, name)
        self._check_state(machine, {"RUNNING"}, "It can be suspended only when it is running.")
        if machine.accelerators:
            raise RefusalError(invalid("Instances with guest accelerators do not support suspend and resume."))
        steps = ((0.0, "SUSPENDING"), (20.0, "SUSPENDED"))
        return self._begin(machine, mutation, steps, 20.0, undo=self._setter(machine, "RUNNING"))

    def delete(self, zone: str, name: str, mutation: Mutation) -> Operation:
        """Delete a machine in whatever state, and the disks that go with it."""
        machine = self.machine(zone, name)
        if machine.asked.get("deletionProtection"):
            raise RefusalError(
                invalid(
                    f"Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion: {machine.path}'."
                )
            )
        self._check_state(machine, {machine.status}, "")
        before = machine.status

        def vanish() -> None:
            self._remove(machine)

        return self._begin(
            machine, mutation, ((0.0, "STOPPING"),), 10.0, finish=vanish, undo=self._setter(machine, before)
        )

    def set_machine_type(self, zone: str, name: str, link: str, mutation: Mutation) -> Operation:
        """Make a machine that is stopped another size."""
        machine = self.machine(zone, name)
        wanted = zonal(link, "machineTypes", self.project, zone)
        if wanted not in MACHINE_TYPES:
            raise RefusalError(invalid_field("resource.machineType", link, "The referenced resource does not exist."))
        self._check_state(machine, {"TERMINATED"}, "Instance must be stopped before its machine type is changed.")

        def change() -> None:
            machine.machine_type = MACHINE_TYPES[wanted]

        return self._begin(machine, mutation, (), 1.0, finish=change)

    def set_labels(
        self, zone: str, name: str, labels: Mapping[str, str], known_as: str, mutation: Mutation
    ) -> Operation:
        """Replace a machine's labels, if *known_as* is the fingerprint of those that it has."""
        machine = self.machine(zone, name)
        if known_as != fingerprint(machine.labels):
            raise RefusalError(condition_not_met())
        check_labels(labels)

        def change() -> None:
            machine.labels = dict(labels)

        return self._begin(machine, mutation, (), 1.0, finish=change, exclusive=False)

    def resize_disk(self, zone: str, name: str, size_gb: int, mutation: Mutation) -> Operation:
        """Make a disk larger."""
        disk = self.disk(zone, name)
        path = f"projects/{self.project}/zones/{zone}/disks/{name}"
        if size_gb <= int(disk["sizeGb"]):
            raise RefusalError(invalid_field("sizeGb", size_gb, "New disk size must be larger than the current size."))
        operation = self._new_operation(zone, mutation, path, int(disk["id"]))
        self._schedule_end(operation, mutation, 2.0, lambda: disk.update(sizeGb=str(size_gb)), lambda: None)
        return operation

    def preempt(self, zone: str, name: str) -> None:
        """Take a spot machine away, as the service does when it needs the hardware."""
        machine = self.machine(zone, name)
        deletes = machine.asked.get("scheduling", {}).get("instanceTerminationAction") == "DELETE"
        (self.delete if deletes else self.stop)(zone, name, Mutation(kind="compute.instances.preempted"))

    # -- how things happen ---------------------------------------------------------------------------------------------

    def _run(self, machine: Machine, mutation: Mutation, before: str) -> Operation:
        refusal = self._lack(machine)
        undo = self._setter(machine, before)
        return self._begin(machine, mutation, _TO_RUN, _RUN_DONE_SECONDS, refusal=refusal, undo=undo)

    def _begin(
        self,
        machine: Machine,
        mutation: Mutation,
        steps: Sequence[tuple[float, str]],
        done_seconds: float,
        *,
        finish: Callable[[], None] = lambda: None,
        undo: Callable[[], None] = lambda: None,
        refusal: Refusal | None = None,
        warnings: Sequence[Mapping[str, Any]] = (),
        exclusive: bool = True,
    ) -> Operation:
        """Begin an operation on a machine that goes through *steps*, or, with a refusal, is undone at the end."""
        operation = self._new_operation(machine.zone, mutation, machine.path, machine.number, warnings)
        operation.refusal = mutation.ends_in or refusal
        if exclusive:
            machine.busy = operation.name
        for seconds, status in steps:
            if seconds == 0:
                self._set(machine, status)
            elif operation.refusal is None and not mutation.stuck:
                self.timeline.after(seconds, self._setter(machine, status))

        def free(act: Callable[[], None]) -> Callable[[], None]:
            def ended() -> None:
                if machine.busy == operation.name:
                    machine.busy = None
                act()

            return ended

        self._schedule_end(operation, mutation, done_seconds, free(finish), free(undo))
        return operation

    def _new_operation(
        self, zone: str, mutation: Mutation, target: str, number: int, warnings: Sequence[Mapping[str, Any]] = ()
    ) -> Operation:
        own = next(self._numbers)
        operation = Operation(
            project=self.project,
            zone=zone,
            name=f"operation-{1_790_000_000_000 + own % 10**9}-{own % 10**6:06x}",
            number=own,
            kind=mutation.kind,
            target=target,
            target_number=number,
            inserted=self.timeline.stamp(),
            refusal=mutation.ends_in,
            warnings=warnings,
        )
        self.operations[zone, operation.name] = operation
        if mutation.request_id:
            self._requests[mutation.request_id] = (mutation.asking, operation)
        return operation

    def _schedule_end(
        self,
        operation: Operation,
        mutation: Mutation,
        seconds: float,
        finish: Callable[[], None],
        undo: Callable[[], None],
    ) -> None:
        def begin() -> None:
            operation.status = "RUNNING"
            operation.started = self.timeline.stamp()

        def end() -> None:
            (undo if operation.refusal else finish)()
            operation.status = "DONE"
            operation.ended = self.timeline.stamp()

        self.timeline.after(min(0.5, seconds / 2), begin)
        if not mutation.stuck:
            operation.due_seconds = self.timeline.after(seconds, end)

    def _check_state(self, machine: Machine, states: set[str], why: str) -> None:
        if machine.busy is not None:
            raise RefusalError(not_ready(machine.path))
        if machine.status not in states:
            raise RefusalError(invalid_state(machine.path, f"The instance is {machine.status}. {why}"))

    def _lack(self, machine: Machine) -> Refusal | None:
        """Return why the machine cannot run now, or raise it where that is told at once."""
        refusal = None
        over = over_limit(machine, self.machines.values(), self.disks, self.limits)
        if over is not None:
            refusal = quota_exceeded(over.metric, limit=over.limit, region=over.region)
        elif machine.zone in self.stocked_out:
            region = ZONES[machine.zone]
            attachment = ",".join(f"{name}:{count}" for name, count in machine.accelerators.items())
            elsewhere = [it for it in REGIONS[region] if it not in self.stocked_out]
            refusal = stock_out(
                self.project,
                machine.zone,
                machine_type=machine.machine_type.name,
                attachment=attachment,
                elsewhere=elsewhere,
            )
        if refusal is not None and self.told_at_once:
            raise RefusalError(refusal)
        return refusal

    def _setter(self, machine: Machine, status: str) -> Callable[[], None]:
        return lambda: self._set(machine, status)

    def _set(self, machine: Machine, status: str) -> None:
        before, machine.status = machine.status, status
        if status == "RUNNING" and before == "STAGING":
            machine.starts += 1
            machine.stamps["lastStartTimestamp"] = self.timeline.stamp()
            if machine.resuming:
                machine.serial.print("[  812.120011] PM: suspend exit\r\n")
                self._print_on(machine)
            else:
                self._boot(machine)
            machine.resuming = False
            self._limit_run(machine)
        elif status == "TERMINATED":
            machine.stamps["lastStopTimestamp"] = self.timeline.stamp()
        elif status == "SUSPENDED":
            machine.stamps["lastSuspendedTimestamp"] = self.timeline.stamp()

    def _limit_run(self, machine: Machine) -> None:
        """Let the machine be taken away when it has run as long as it may."""
        limit = machine.asked.get("scheduling", {}).get("maxRunDuration")
        starts = machine.starts

        def expire() -> None:
            if machine.starts == starts and machine.status == "RUNNING" and machine.busy is None:
                self.preempt(machine.zone, machine.name)

        if limit is not None:
            self.timeline.after(float(limit["seconds"]), expire)

    def _boot(self, machine: Machine) -> None:
        """Begin a fresh serial port, and print to it as time passes."""
        machine.serial = SerialPort(kept_bytes=self.serial_kept_bytes)
        machine.to_print = gaps(self.boot_script)
        self._print_on(machine)

    def _print_on(self, machine: Machine) -> None:
        """Print what is left of a boot, one line after the other, as long as this run of the machine lasts."""
        if not machine.to_print:
            return
        starts, (seconds, line) = machine.starts, machine.to_print[0]

        def due() -> None:
            if machine.starts == starts and machine.status == "RUNNING":
                machine.serial.print(f"{line}\r\n")
                del machine.to_print[0]
                self._print_on(machine)

        self.timeline.after(seconds, due)

    def _remove(self, machine: Machine, *, also_kept_disks: bool = False) -> None:
        del self.machines[machine.zone, machine.name]
        for disk, asked in zip(machine.disks, machine.asked["disks"], strict=True):
            if asked.get("autoDelete") or also_kept_disks:
                del self.disks[machine.zone, disk["name"]]
            else:
                del disk["users"]
