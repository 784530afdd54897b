"""The use cases of personal machines: finding them, what they cost, and taking them through their lives.

Invariant: nothing here prints, asks or exits; each use case returns what it found or did, or raises a `LabError` or a `SyncError`. A machine
that is not the lab's, by its tag, is never found and never touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from epic_lab.config import ZONE, Config
from epic_lab.errors import LabError, LabErrorKind
from epic_lab.lab import Lab
from epic_lab.machines import names
from epic_lab.machines.cloud import Access, Cloud, still_going
from epic_lab.machines.explain import stock_out_at_home, with_usage
from epic_lab.machines.launch import LAB_TAG, check_machine_type
from epic_lab.machines.machine import Machine, State
from epic_lab.machines.machine_types import parse
from epic_lab.machines.names import MachineName
from epic_lab.machines.stage import Stage, StageListener, ignore_stages
from epic_lab.machines.states import Do, Refuse, Request, Verb, Wait, decide, unsuspendable

# A suspension saves all of the memory, and a stop gives the system its time; neither has been seen to take half as long.
CHANGE_SECONDS = 15 * 60.0
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0

_SETTLING = {
    State.RUNNING: "waiting until {name} runs",
    State.STOPPED: "waiting until {name} has stopped",
    State.SUSPENDED: "waiting until {name} is suspended",
}
_DOING = {
    Request.SUSPEND: "suspending {name}",
    Request.RESUME: "resuming {name}",
    Request.STOP: "stopping {name}",
    Request.START: "starting {name}",
    Request.DELETE: "terminating {name}",
    Request.SET_MACHINE_TYPE: "changing the type of {name}",
}
_PARTICIPLES = {
    Verb.SUSPEND: "suspended",
    Verb.RESUME: "resumed",
    Verb.STOP: "stopped",
    Verb.START: "started",
    Verb.TERMINATE: "terminated",
    Verb.RETYPE: "given another type",
    Verb.USE: "used",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a command did to a machine.

    Attributes:
        machine: as it is now; as it was, where it is gone.
        before: the state that it was found in.
        after: the state that it is in now, or ``None`` where it is gone.
        done: what the cloud was asked to do; ``None`` where there was nothing to do.
        elapsed_seconds: how long that took.
    """

    machine: Machine
    before: State
    after: State | None
    done: Request | None
    elapsed_seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """The lab's machines.

    Attributes:
        machines: in the order of their names.
        unreachable: the zones that did not answer.
    """

    machines: tuple[Machine, ...]
    unreachable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebooks:
    """The lab's machines, as one user asks for them.

    Attributes:
        cloud: where they are.
        username: who asks.
        zone: where to look first, or ``None``.
        domain: the domain at which machines are reached, or ``None``.
        sleep: how to wait between two looks.
    """

    cloud: Cloud
    username: str
    zone: str | None = None
    domain: str | None = None
    sleep: Callable[[float], None] = time.sleep

    def name(self, given: str) -> MachineName:
        """Return the whole name of the user's machine *given*."""
        return names.machine_name(given, self.username)

    def owner(self, machine: Machine) -> str:
        """Say whose *machine* is."""
        return names.owner_of(machine.name, self.username)

    def is_own(self, machine: Machine) -> bool:
        """Tell whether *machine* is the user's own machine of the lab."""
        return LAB_TAG in machine.tags and machine.name.startswith(names.owner_prefix(self.username))

    def url(self, name: str) -> str | None:
        """Return the address of a machine's JupyterLab, where the lab has a proxy."""
        return f"https://{self.domain}/{name}" if self.domain else None

    def every(self) -> Found:
        """Return the lab's machines, everybody's."""
        listed = self.cloud.machines()
        ours = [machine for machine in listed.machines if LAB_TAG in machine.tags]
        return Found(tuple(sorted(ours, key=lambda machine: (machine.name, machine.zone))), listed.unreachable)

    def find(self, given: str) -> Machine:
        """Return the machine that *given* means: the user's own of that name, or anybody's of exactly that name.

        Raises:
            LabError: the lab has none, or several in different zones.
        """
        name = self.name(given)
        if self.zone is not None:
            machine = self.cloud.machine(self.zone, name)
            if machine is not None and LAB_TAG in machine.tags:
                return machine
        found = self.every()
        for meant in (name, given):
            same = [machine for machine in found.machines if machine.name == meant]
            if len(same) > 1:
                zones = ", ".join(machine.zone for machine in same)
                raise LabError(
                    LabErrorKind.WRONG_STATE,
                    f"there are {len(same)} machines called {meant}: in {zones}; expected one",
                    hint=f"Put the zone of the one that you mean first in {ZONE.name}.",
                    machine=meant,
                )
            if same:
                return same[0]
        raise self._missing(name, given, found)

    def change(self, verb: Verb, machine: Machine, *, tell: StageListener = ignore_stages) -> Changed:
        """Do *verb* to *machine*, waiting first for whatever it is in the middle of, and return when it is done.

        Raises:
            LabError: it cannot be done in the state that the machine is in, or the cloud refuses.
        """
        before, began = machine.state, time.monotonic()
        machine, request = self.prepared(verb, machine, tell=tell)
        if request is not None:
            tell(Stage(_DOING[request].format(name=machine.name)))
            self._ask(machine, request)
        elapsed_seconds = time.monotonic() - began
        if request is Request.DELETE:
            return Changed(machine=machine, before=before, after=None, done=request, elapsed_seconds=elapsed_seconds)
        now = machine if request is None else (self.cloud.machine(machine.zone, machine.name) or machine)
        return Changed(machine=now, before=before, after=now.state, done=request, elapsed_seconds=elapsed_seconds)

    def _ask(self, machine: Machine, request: Request) -> None:
        try:
            self.cloud.wait(self.cloud.change(machine, request), within_seconds=CHANGE_SECONDS)
        except LabError as error:
            if error.kind is LabErrorKind.OUT_OF_STOCK:
                raise stock_out_at_home(error, machine) from error
            raise self.with_usage(error) from error

    def with_usage(self, error: LabError) -> LabError:
        """Return *error*; where it is about a limit that is used up, with how much of it is in use, if that may be looked at."""
        if error.kind is not LabErrorKind.QUOTA_EXCEEDED:
            return error
        region = error.facts["region"]
        try:
            used = self.cloud.quota_used(str(error.facts["metric"]), None if region is None else str(region))
        except LabError:  # the limit itself is the news
            return error
        return error if used is None else with_usage(error, used)

    def prepared(
        self, verb: Verb, machine: Machine, *, tell: StageListener = ignore_stages
    ) -> tuple[Machine, Request | None]:
        """Wait until *verb* can be done to *machine*, and return it with what to ask the cloud, or ``None`` for nothing.

        Raises:
            LabError: it cannot be done in the state that the machine is in.
        """
        fault = unsuspendable(machine) if verb is Verb.SUSPEND and machine.state is not State.STOPPED else None
        if fault is not None:
            raise LabError(
                LabErrorKind.CANNOT_SUSPEND,
                f"{machine.name} cannot be suspended: {fault}; it is {machine.state.said}",
                hint=f"`epic-notebook stop {machine.name}` keeps its disk, though not its memory.",
                machine=machine.name,
                state=machine.state.value,
            )
        while True:
            decision = decide(verb, machine.state)
            if isinstance(decision, Refuse):
                raise wrong_state(verb, machine, decision)
            if not isinstance(decision, Wait):
                return machine, decision.request if isinstance(decision, Do) else None
            tell(Stage(_SETTLING[decision.until].format(name=machine.name)))
            machine = self.settled(machine)

    def settled(self, machine: Machine, *, within_seconds: float = CHANGE_SECONDS) -> Machine:
        """Return *machine* when its state has changed.

        Raises:
            LabError: it is gone, or its state has not changed in time.
        """
        for _ in self.looks(within_seconds):
            now = self.cloud.machine(machine.zone, machine.name)
            if now is None:
                raise gone(machine.name, machine.zone)
            if now.state is not machine.state:
                return now
        raise still_going(f"{machine.name} is {machine.state.said}: that", machine.name, within_seconds)

    def looks(self, within_seconds: float) -> Iterator[None]:
        """Yield at once, and then again after pauses that grow, until the time is over."""
        end = time.monotonic() + within_seconds
        pause = _SHORTEST_PAUSE_SECONDS
        while True:
            yield
            if time.monotonic() + pause >= end:
                return
            self.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def resize_disk(self, machine: Machine, size_gb: int, *, tell: StageListener = ignore_stages) -> bool:
        """Make the boot disk of *machine* larger, whatever it is doing; return whether that was needed.

        Raises:
            LabError: it is larger already, for disks only grow.
        """
        disk = machine.boot_disk
        if disk is None or size_gb < disk.size_gb:
            found = "has no disk to start from" if disk is None else f"is {disk.size_gb} GB"
            raise LabError(
                LabErrorKind.BAD_LAUNCH,
                f"the disk of {machine.name} {found}: expected a larger size than that, found {size_gb} GB; disks only grow",
                hint="For a smaller disk launch another machine.",
                machine=machine.name,
                size_gb=size_gb,
            )
        if size_gb == disk.size_gb:
            return False
        tell(Stage(f"enlarging the disk of {machine.name}"))
        self.cloud.wait(self.cloud.enlarge(machine, disk.name, size_gb), within_seconds=CHANGE_SECONDS)
        return True

    def require_type(self, machine: Machine, machine_type: str) -> None:
        """Check that *machine* can be given *machine_type* where it is, before anything is done to it.

        Raises:
            LabError: there is no such type in its zone.
        """
        check_machine_type(machine_type)
        if parse(machine_type).is_custom:
            return
        zones = self.cloud.zones_offering(machine_type)
        if machine.zone not in zones:
            elsewhere = f"; these zones have it: {', '.join(zones)}" if zones else ""
            raise LabError(
                LabErrorKind.NO_SUCH_RESOURCE,
                f"there is no machine type {machine_type} in {machine.zone}, where {machine.name} is; nothing was changed",
                hint=f"`gcloud compute machine-types list --zones {machine.zone}` shows what there is{elsewhere}.",
                machine=machine.name,
                machine_type=machine_type,
            )

    def retype(self, machine: Machine, machine_type: str, *, tell: StageListener = ignore_stages) -> bool:
        """Give *machine*, which must be stopped, another machine type; return whether that was needed.

        Raises:
            LabError: it is not stopped, or the cloud refuses.
        """
        if machine.machine_type == machine_type:
            return False
        machine, request = self.prepared(Verb.RETYPE, machine, tell=tell)
        assert request is Request.SET_MACHINE_TYPE  # noqa: S101 - the table of states has nothing else for a stopped machine
        tell(Stage(f"changing {machine.name} to {machine_type}"))
        operation = self.cloud.change(machine, request, machine_type=machine_type)
        self.cloud.wait(operation, within_seconds=CHANGE_SECONDS)
        return True

    def _missing(self, name: MachineName, given: str, found: Found) -> LabError:
        everybody = [machine.name for machine in found.machines]
        near = tuple(dict.fromkeys((*names.nearest(name, everybody), *names.nearest(given, everybody))))
        own = [each for each in everybody if each.startswith(names.owner_prefix(self.username))]
        if near:
            hint = f"Did you mean {' or '.join(near)}?"
        elif own:
            hint = f"Yours are {', '.join(own)}."
        else:
            hint = f"`epic-notebook launch {given}` makes it."
        unreachable = f" (these zones did not answer: {', '.join(found.unreachable)})" if found.unreachable else ""
        return LabError(
            LabErrorKind.NO_MACHINE,
            f"there is no machine {name} in project {self.cloud.project}{unreachable}",
            hint=hint,
            machine=name,
            nearest=near,
        )


def open_notebooks(lab: Lab, config: Config) -> Notebooks:
    """Return the lab's machines as *config* says, without asking the cloud anything yet.

    Raises:
        LabError: a key is missing or cannot be meant.
    """
    zones = config.require_zones() if config.value(ZONE) else ()
    username = config.require_username()
    names.owner_prefix(username)
    access = Access(
        project=config.require_project(),
        endpoint=config.compute_endpoint(),
        credentials_file=lab.environment.credentials_file,
        metadata_host=lab.environment.gce_metadata_host,
    )
    return Notebooks(cloud=Cloud(access), username=username, zone=next(iter(zones), None), domain=config.proxy_domain())


def wrong_state(verb: Verb, machine: Machine, refused: Refuse) -> LabError:
    """Say that *verb* cannot be done to *machine* in its state."""
    remedy = (
        f"`epic-notebook {refused.remedy} {machine.name}`"
        if refused.remedy
        else f"`epic-notebook status {machine.name}`"
    )
    return LabError(
        LabErrorKind.WRONG_STATE,
        f"{machine.name} is {machine.state.said} and cannot be {_PARTICIPLES[verb]}: {refused.why}",
        hint=f"{remedy} comes first." if refused.remedy else f"{remedy} says more.",
        machine=machine.name,
        state=machine.state.value,
    )


def gone(name: str, zone: str) -> LabError:
    """Say that a machine has been terminated meanwhile."""
    return LabError(
        LabErrorKind.NO_MACHINE,
        f"{name} in {zone} is gone: it was terminated meanwhile",
        hint="`epic-notebook list` shows what there is.",
        machine=name,
    )
