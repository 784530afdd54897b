"""Compute Engine: the one place that speaks to it.

Every change carries a request id of its own, by which the service knows a repetition, so that a request whose answer was lost is simply sent
again. Deadlines and retries are ours. Operations are waited for at the address that they were begun at: ``Operation.result()`` of
google-cloud-compute would ask Google's own whatever the address is.

Invariant: google is imported when the first request is made, and no exception of its leaves this module.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import compute_library
from epic_lab.machines import refusal as refusals
from epic_lab.machines.explain import Attempt, explain
from epic_lab.machines.machine import Machine, of_instance
from epic_lab.machines.refusal import Refusal, Sort
from epic_lab.machines.serial import Part
from epic_lab.machines.states import Request
from synccore.backends.patience import Patience
from synccore.errors import BackendError, ErrorKind

ResultT = TypeVar("ResultT")

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_PRODUCT_NAME = Path("/sys/class/dmi/id/product_name")
_PAGE = 500
_CONSOLE_PORT = 1
# The service holds a request to wait for up to two minutes.
_HELD_SECONDS = 150.0
_PATIENCE = Patience(deadline_seconds=45.0)
_CONNECTING = Patience(deadline_seconds=4.0)
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach Compute Engine, and as whom.

    Attributes:
        project: whose machines.
        endpoint: another address than Google's; one that begins with ``http://`` is spoken to without credentials.
        credentials_file: the user's credentials; a file that does not exist counts as none.
        metadata_host: a server that stands in for the metadata server of a machine of Google's.
        answer_seconds: how long one request may take.
        patience: how long what may pass is tried again.
        connecting: how long a connection is tried that cannot be made.
    """

    project: str
    endpoint: str | None = None
    credentials_file: Path | None = None
    metadata_host: str | None = None
    answer_seconds: float = 20.0
    patience: Patience = _PATIENCE
    connecting: Patience = _CONNECTING


@dataclass(frozen=True, slots=True)
class Operation:
    """A change that the cloud is making."""

    name: str
    zone: str
    attempt: Attempt


class Listed(NamedTuple):
    """The machines of a project, and the zones that did not answer."""

    machines: tuple[Machine, ...]
    unreachable: tuple[str, ...]


class _Refused(NamedTuple):
    """What came in place of an answer, and the library's exception that said so."""

    refusal: Refusal
    error: Exception


class Cloud:
    """The machines of one project. Not to be used from several threads.

    Every method raises a `LabError` that explains what the cloud refused, or a `BackendError` where there are no credentials.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._clients: dict[str, Any] = {}
        self._credentials: Any = None

    @property
    def project(self) -> str:
        """Whose machines these are."""
        return self._access.project

    # -- looking -------------------------------------------------------------------------------------------------------

    def machine(self, zone: str, name: str) -> Machine | None:
        """Return the machine *name* of *zone*, or ``None`` where there is none."""
        api = compute_library.messages()
        request = api.GetInstanceRequest(project=self.project, zone=zone, instance=name)
        attempt = self._attempt(f"looking at {name}", name)
        try:
            found = self._ask(self._client("InstancesClient").get, request, attempt)
        except LabError as error:
            if error.kind is LabErrorKind.NO_SUCH_RESOURCE and f"instances/{name}" in str(error.facts.get("said")):
                return None
            raise
        return of_instance(_plain(found))

    def machines(self) -> Listed:
        """Return all machines of the project, whoever made them, in the order of their zones."""
        api = compute_library.messages()
        # The service's filter for a tag is documented for nothing but a whole list of tags, so the caller sifts.
        request = api.AggregatedListInstancesRequest(project=self.project, max_results=_PAGE)
        client = self._client("InstancesClient")

        def listed(**how: Any) -> list[tuple[str, Any]]:
            return list(client.aggregated_list(**how))

        machines: list[Machine] = []
        unreachable: list[str] = []
        for scope, found in self._ask(listed, request, self._attempt("listing the machines")):
            machines += [of_instance(_plain(instance)) for instance in found.instances]
            if found.warning.code == "UNREACHABLE":
                unreachable.append(scope.rpartition("/")[2])
        return Listed(tuple(machines), tuple(unreachable))

    def console(self, zone: str, name: str, start: int) -> Part:
        """Return what *name* has written to its console since the position *start*, or since the oldest that is kept."""
        api = compute_library.messages()
        request = api.GetSerialPortOutputInstanceRequest(
            project=self.project, zone=zone, instance=name, port=_CONSOLE_PORT, start=start
        )
        attempt = self._attempt(f"reading the console of {name}", name)
        found = self._ask(self._client("InstancesClient").get_serial_port_output, request, attempt)
        return Part(start=int(found.start), next=int(found.next), text=found.contents)

    def zones_offering(self, machine_type: str) -> tuple[str, ...]:
        """Return the zones that have machines of *machine_type*, in the order of their names."""
        api = compute_library.messages()
        request = api.AggregatedListMachineTypesRequest(
            project=self.project, filter=f'name = "{machine_type}"', max_results=_PAGE
        )
        client = self._client("MachineTypesClient")

        def listed(**how: Any) -> list[tuple[str, Any]]:
            return list(client.aggregated_list(**how))

        found = self._ask(listed, request, self._attempt(f"looking for zones with {machine_type}"))
        return tuple(sorted(scope.rpartition("/")[2] for scope, types in found if types.machine_types))

    def quota_used(self, metric: str, region: str | None) -> float | None:
        """Return how much of the limit *metric* is in use in *region*, or in the whole project; ``None`` if it is not listed."""
        api = compute_library.messages()
        attempt = self._attempt(f"looking at the limits of {region or self.project}")
        if region is None:
            request: Any = api.GetProjectRequest(project=self.project)
            found = self._ask(self._client("ProjectsClient").get, request, attempt)
        else:
            request = api.GetRegionRequest(project=self.project, region=region)
            found = self._ask(self._client("RegionsClient").get, request, attempt)
        return next((float(quota.usage) for quota in found.quotas if quota.metric == metric), None)

    # -- changing ------------------------------------------------------------------------------------------------------

    def insert(self, zone: str, instance: Mapping[str, Any]) -> Operation:
        """Begin to make a machine of *instance*, the request's body in JSON."""
        from google.protobuf import json_format

        api = compute_library.messages()
        resource = api.Instance()
        json_format.ParseDict(dict(instance), api.Instance.pb(resource))
        name = str(instance["name"])
        request = api.InsertInstanceRequest(
            project=self.project, zone=zone, instance_resource=resource, request_id=str(uuid.uuid4())
        )
        attempt = self._attempt(f"launching {name} in {zone}", name, changes=True)
        return self._begin(self._client("InstancesClient").insert_unary, request, zone, attempt)

    def change(self, machine: Machine, request: Request, *, machine_type: str | None = None) -> Operation:
        """Begin to do *request* to *machine*; *machine_type* is the new one of `Request.SET_MACHINE_TYPE`."""
        api = compute_library.messages()
        client = self._client("InstancesClient")
        which = {
            "project": self.project,
            "zone": machine.zone,
            "instance": machine.name,
            "request_id": str(uuid.uuid4()),
        }
        sent: Any
        if request is Request.SET_MACHINE_TYPE:
            body = api.InstancesSetMachineTypeRequest(machine_type=f"zones/{machine.zone}/machineTypes/{machine_type}")
            sent = api.SetMachineTypeInstanceRequest(instances_set_machine_type_request_resource=body, **which)
            call = client.set_machine_type_unary
        else:
            message, call = {
                Request.SUSPEND: (api.SuspendInstanceRequest, client.suspend_unary),
                Request.RESUME: (api.ResumeInstanceRequest, client.resume_unary),
                Request.STOP: (api.StopInstanceRequest, client.stop_unary),
                Request.START: (api.StartInstanceRequest, client.start_unary),
                Request.DELETE: (api.DeleteInstanceRequest, client.delete_unary),
            }[request]
            sent = message(**which)
        attempt = self._attempt(f"{_DOING[request]} {machine.name}", machine.name, changes=True)
        return self._begin(call, sent, machine.zone, attempt)

    def enlarge(self, machine: Machine, disk: str, size_gb: int) -> Operation:
        """Begin to make *disk* of *machine* larger."""
        api = compute_library.messages()
        request = api.ResizeDiskRequest(
            project=self.project,
            zone=machine.zone,
            disk=disk,
            disks_resize_request_resource=api.DisksResizeRequest(size_gb=size_gb),
            request_id=str(uuid.uuid4()),
        )
        attempt = self._attempt(f"enlarging the disk of {machine.name}", machine.name, changes=True)
        return self._begin(self._client("DisksClient").resize_unary, request, machine.zone, attempt)

    def wait(self, operation: Operation, *, within_seconds: float) -> None:
        """Return when *operation* is done.

        Raises:
            LabError: it failed, for which the cloud's reason is given, or it was not done in time (`STILL_GOING`) and goes on.
        """
        api = compute_library.messages()
        request = api.WaitZoneOperationRequest(project=self.project, zone=operation.zone, operation=operation.name)
        wait = self._client("ZoneOperationsClient").wait
        end = time.monotonic() + within_seconds
        pause = _SHORTEST_PAUSE_SECONDS
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise still_going(operation.attempt.doing, operation.attempt.machine, within_seconds)
            answer_seconds = min(left, max(self._access.answer_seconds, _HELD_SECONDS))
            found = _plain(self._ask(wait, request, operation.attempt, answer_seconds=answer_seconds))
            if found.get("status") == "DONE":
                failed = refusals.of_operation(found)
                if failed is not None:
                    raise explain(failed, operation.attempt)
                return
            time.sleep(
                min(pause, max(0.0, end - time.monotonic()))
            )  # the service may answer before two minutes are over
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    # -- asking --------------------------------------------------------------------------------------------------------

    def _begin(self, call: Callable[..., Any], request: Any, zone: str, attempt: Attempt) -> Operation:
        found = _plain(self._ask(call, request, attempt))
        return Operation(found["name"], zone, attempt)

    def _ask(
        self, call: Callable[..., ResultT], request: Any, attempt: Attempt, *, answer_seconds: float | None = None
    ) -> ResultT:
        """Send *request*, again and again while that may help."""
        patience, connecting = self._access.patience.pauses(), self._access.connecting.pauses()
        while True:
            answer = _answer(call, request, answer_seconds or self._access.answer_seconds)
            if not isinstance(answer, _Refused):
                return answer
            pauses = connecting if answer.refusal.sort is Sort.UNREACHABLE else patience
            if not answer.refusal.may_pass or not next(pauses):
                raise explain(answer.refusal, attempt) from answer.error

    def _attempt(self, doing: str, machine: str | None = None, *, changes: bool = False) -> Attempt:
        return Attempt(doing=doing, project=self.project, machine=machine, changes=changes)

    def _client(self, name: str) -> Any:
        if name not in self._clients:
            if self._credentials is None:
                self._credentials = _credentials_for(self._access)
            options = {"api_endpoint": self._access.endpoint} if self._access.endpoint else None
            self._clients[name] = compute_library.client_class(name)(
                credentials=self._credentials, client_options=options
            )
        return self._clients[name]


_DOING = {
    Request.SUSPEND: "suspending",
    Request.RESUME: "resuming",
    Request.STOP: "stopping",
    Request.START: "starting",
    Request.DELETE: "terminating",
    Request.SET_MACHINE_TYPE: "changing the type of",
}


def still_going(doing: str, machine: str | None, within_seconds: float) -> LabError:
    """Say that something was not done in time, and goes on."""
    return LabError(
        LabErrorKind.STILL_GOING,
        f"{doing} was not done within {within_seconds / 60:.0f} minutes; it goes on in the cloud",
        hint=f"`epic-notebook status {machine}` shows how far it has come."
        if machine
        else "`epic-notebook list` shows what there is.",
        machine=machine,
    )


def _plain(message: Any) -> dict[str, Any]:
    """Return a message of the API as it is written in JSON."""
    from google.protobuf import json_format

    found: dict[str, Any] = json_format.MessageToDict(type(message).pb(message))
    return found


def _credentials_for(access: Access) -> Any:
    """Return the credentials to ask with, without asking a network where there cannot be any.

    Raises:
        BackendError: there are none.
    """
    if access.endpoint is not None and access.endpoint.startswith("http://"):
        from google.auth.credentials import AnonymousCredentials

        anonymous: Any = AnonymousCredentials
        return anonymous()
    has_file = access.credentials_file is not None and access.credentials_file.is_file()
    if not has_file and access.metadata_host is None and not _is_of_google():
        raise BackendError(ErrorKind.NO_CREDENTIALS, "there are no Google credentials on this machine")
    import warnings

    import google.auth
    import google.auth.exceptions

    libraries: Any = google.auth
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a user's own credentials without a project for quotas
            return libraries.default(scopes=_SCOPES)[0]
    except (google.auth.exceptions.GoogleAuthError, OSError, ValueError) as error:
        said = " ".join(str(error).split())
        raise BackendError(ErrorKind.NO_CREDENTIALS, f"there are no usable Google credentials: {said}") from error


def _is_of_google() -> bool:
    try:
        return "Google" in _PRODUCT_NAME.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False


def _answer(call: Callable[..., ResultT], request: Any, seconds: float) -> ResultT | _Refused:
    """Send *request* once."""
    try:
        return call(request=request, retry=None, timeout=seconds)
    except Exception as error:
        refusal = _refusal_of(error)
        if refusal is None:
            raise
        return _Refused(refusal, error)


def _refusal_of(error: Exception) -> Refusal | None:
    """Translate what google-cloud-compute and what it stands on raise; ``None`` for what is nobody's refusal."""
    import google.api_core.exceptions
    import google.auth.exceptions
    import requests

    if isinstance(error, google.api_core.exceptions.GoogleAPICallError):
        return refusals.of_answer(int(error.code or refusals.NO_ANSWER), _body_of(error))
    if isinstance(error, google.auth.exceptions.TransportError) or getattr(error, "retryable", False):
        return Refusal(status=refusals.NO_ANSWER, message=_said(error))
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        return Refusal(status=401, message=_said(error), codes=("UNAUTHENTICATED",))
    if isinstance(error, requests.exceptions.RequestException):
        return Refusal(status=refusals.NO_ANSWER, message=_said(error), is_unreachable=_is_unconnected(error))
    return None


def _body_of(error: Any) -> object:
    try:
        return error.response.json()
    except (AttributeError, ValueError):
        return {"error": {"message": error.message, "errors": list(error.errors)}}


def _is_unconnected(error: Exception) -> bool:
    """Tell whether no connection was made, so that nothing can have been asked."""
    import urllib3.exceptions

    cause: object = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _said(error: Exception) -> str:
    """Say in one line what a library's error says, by its innermost reason, which is the shortest."""
    cause: object = error.args[0] if error.args else error
    reason = getattr(cause, "reason", None) or cause
    said = " ".join(str(reason).split())
    return said.rpartition(": ")[2].strip("')( ") or said
