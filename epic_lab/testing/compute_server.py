"""A server that answers as Compute Engine does, holds all that is said against Google's own description, and fails when it is told to.

    with ComputeServer("proj1") as server:
        server.inject(Refuse(quota_exceeded("N2_CPUS", limit=8)), call="instances.insert")
        ...  # a client with client_options={"api_endpoint": server.url} and AnonymousCredentials
        assert server.calls == {"instances.insert": 1}
        server.check()

A request that the description does not allow is answered 400, as the service does, and remembered as an alarm; so is an answer of this server that the
description does not allow. `ComputeServer.check` fails if there was any.

By hand: ``python -m epic_lab.testing.compute_server --port 8099 --project proj1`` prints the line for the configuration and serves until it is
interrupted or terminated; ``--fault quota:instances.insert`` and the like let requests fail. ``GET /_kit/log`` then answers the requests as JSON.

Invariant: a fault hits exactly the requests that it was injected for, and each request that was read stands in the log once.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from epic_lab.testing.compute.calls import METHODS, Asked, Method
from epic_lab.testing.compute.catalogue import IMAGES, ZONES
from epic_lab.testing.compute.faults import FAULTS, REFUSALS, EndIn, Fault, NeverEnd, Refuse, planned
from epic_lab.testing.compute.refusals import (
    Refusal,
    RefusalError,
    api_disabled,
    invalid,
    no_such_address,
    not_found,
    permission_denied,
    service_account_denied,
    unauthenticated,
)
from epic_lab.testing.compute.service import ComputeService, Mutation
from epic_lab.testing.compute.timeline import Timeline
from epic_lab.testing.compute_schema import Call, Discovery
from synccore.testing.gcs_faults import ALWAYS, Delay, LoseAnswer, Reset, Stall, Truncate, spoilt
from synccore.testing.gcs_requests import select_fields
from synccore.testing.http_serving import HttpServer, Request, Response, json_response, serve_until_interrupted

_LONGEST_WAIT_SECONDS = 60.0
_PUBLIC_PROJECTS = frozenset(it.project for it in IMAGES)
# What a launch needs beside the permission to make a machine.
_INSERT_NEEDS = (
    "compute.disks.create",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
    "compute.instances.setMetadata",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A request and its answer.

    Attributes:
        call: as ``instances.insert``, or ``unknown``.
        path: below ``/compute/v1/``.
        name: the machine's, disk's or operation's, where there is one.
        body: the JSON that came, or ``None``.
        status: what was answered, or would have been where the answer was lost.
        answer: the JSON that was answered.
    """

    method: str
    call: str
    path: str
    zone: str
    name: str
    query: Mapping[str, str]
    body: Any
    status: int
    answer: Any


@dataclass(slots=True, kw_only=True)
class _Injected:
    fault: Fault
    call: str | None
    name: str | None
    zone: str | None
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a request means, as far as it could be understood."""

    call: Call | None
    path: str
    body: Any

    @property
    def kind(self) -> str:
        return self.call.name if self.call else "unknown"

    @property
    def zone(self) -> str:
        return self.call.path.get("zone", "") if self.call else ""

    @property
    def name(self) -> str:
        """What it is about: of an insert, the name that the machine shall have."""
        if self.kind == "instances.insert" and isinstance(self.body, dict):
            return str(self.body.get("name", ""))
        values = [
            value for key, value in (self.call.path if self.call else {}).items() if key not in {"project", "zone"}
        ]
        return values[-1] if values else ""


class ComputeServer(HttpServer):
    """Serve the JSON API over HTTP, for one project.

    Attributes:
        service: the state; see there for time, stock-outs and limits.
        tokens: the bearer tokens that are taken; ``None`` asks for none.
        denied_permissions: such as ``compute.instances.create``; whatever needs one answers 403.
        enabled: whether Compute Engine is enabled in the project.
        alarms: what was said against the description so far.
    """

    name = "compute"

    def __init__(
        self, project: str = "proj1", *, host: str = "127.0.0.1", port: int = 0, timeline: Timeline | None = None
    ) -> None:
        super().__init__(host=host, port=port)
        self.service = ComputeService(project, timeline=timeline)
        self.tokens: set[str] | None = None
        self.denied_permissions: set[str] = set()
        self.enabled = True
        self.alarms: list[str] = []
        self._discovery = Discovery.load()
        self._log: list[Logged] = []
        self._faults: list[_Injected] = []
        self._state = threading.Condition()

    def inject(
        self, fault: Fault, *, call: str | None = None, name: str | None = None, zone: str | None = None, times: int = 1
    ) -> None:
        """Let *fault* happen to the next *times* requests of that call, to things of that name, in that zone."""
        assert call is None or call in METHODS, call
        with self._state:
            self._faults.append(_Injected(fault=fault, call=call, name=name, zone=zone, times=times))

    def heal(self) -> None:
        """Let no more of the injected faults happen."""
        with self._state:
            self._faults.clear()

    @property
    def log(self) -> list[Logged]:
        """Every request so far, in the order of their answers."""
        with self._state:
            return list(self._log)

    @property
    def calls(self) -> Counter[str]:
        """How many requests of each call there have been."""
        return Counter(it.call for it in self.log)

    def asked(self, call: str) -> list[Logged]:
        """Return the requests of one call."""
        return [it for it in self.log if it.call == call]

    def forget(self) -> None:
        """Begin the log anew."""
        with self._state:
            self._log.clear()

    def wait_for(self, call: str, *, name: str | None = None, times: int = 1) -> None:
        """Wait until so many requests of that call, about things of that name, stand in the log.

        Raises:
            AssertionError: they do not come.
        """

        def have_come() -> bool:
            return sum(it.call == call and name in {None, it.name} for it in self._log) >= times

        with self._state:
            assert self._state.wait_for(have_come, timeout=_LONGEST_WAIT_SECONDS), "the requests did not come"

    def check(self) -> None:
        """Fail if anything was said against the description of the API.

        Raises:
            AssertionError: with every alarm, a line each.
        """
        assert not self.alarms, "\n".join(["what was said to or by Compute Engine is not its API:", *self.alarms])

    def answer(self, request: Request) -> Response:
        """Answer one request, with whatever fault is meant for it, and log it."""
        if request.segments[0] == "_kit":
            return self._answer_kit(request)
        meaning = self._meaning(request)
        fault = self._take_fault(meaning)
        try:
            response = self._act(request, meaning, fault)
        except RefusalError as error:
            response = error.refusal.response()
        answer = json.loads(response.body) if response.body else None
        if answer is not None:
            self._hold_answer(meaning, response.status, answer)
            if response.status == HTTPStatus.OK and "fields" in request.query:
                response = json_response(200, select_fields(answer, request.query["fields"]))
        response = spoilt(response, fault if isinstance(fault, LoseAnswer | Truncate | Stall) else None)
        logged = Logged(
            method=request.method,
            call=meaning.kind,
            path=meaning.path,
            zone=meaning.zone,
            name=meaning.name,
            query=request.query,
            body=meaning.body,
            status=response.status,
            answer=answer,
        )
        with self._state:
            self._log.append(logged)
            self._state.notify_all()
        return response

    def _answer_kit(self, request: Request) -> Response:
        if request.segments[1:] == ("reset",) and request.method == "POST":
            self.forget()
        requests = [
            {
                "method": it.method,
                "call": it.call,
                "path": it.path,
                "query": it.query,
                "body": it.body,
                "status": it.status,
            }
            for it in self.log
        ]
        return json_response(200, {"calls": self.calls, "alarms": self.alarms, "requests": requests})

    def _meaning(self, request: Request) -> _Meaning:
        data = request.body
        if request.headers.get("content-encoding", "").lower() == "gzip":
            data = gzip.decompress(data)
        try:
            body = json.loads(data) if data else None
        except ValueError:
            body = data.decode(errors="replace")
        path = "/".join(request.segments[2:])
        known = request.segments[:2] == ("compute", "v1")
        return _Meaning(call=self._discovery.call(request.method, path) if known else None, path=path, body=body)

    def _take_fault(self, meaning: _Meaning) -> Fault | None:
        with self._state:
            for it in self._faults:
                if (
                    it.call in {None, meaning.kind}
                    and it.name in {None, meaning.name}
                    and it.zone in {None, meaning.zone}
                ):
                    it.times -= 1
                    if it.times == 0:
                        self._faults.remove(it)
                    return it.fault
        return None

    def _act(self, request: Request, meaning: _Meaning, fault: Fault | None) -> Response:
        alarms = self._hold_request(request, meaning)
        if isinstance(fault, Reset):
            return Response(status=0, silent=True, reset=True)
        if isinstance(fault, Delay):
            self.stopping.wait(fault.seconds)
        self._check_caller(request)
        if meaning.call is None:
            raise RefusalError(no_such_address())
        if alarms:
            raise RefusalError(invalid(f"Invalid JSON payload or parameter received. {'; '.join(alarms)}"))
        if isinstance(fault, Refuse):
            raise RefusalError(fault.refusal)
        method = METHODS.get(meaning.kind)
        if method is None:
            self._raise_alarm(f"{meaning.kind} is of the API, but not played here")
            raise RefusalError(Refusal(status=501, reason="notImplemented", message=f"{meaning.kind} is not played"))
        return self._carry_out(request, meaning, method, fault)

    def _hold_request(self, request: Request, meaning: _Meaning) -> list[str]:
        """Return what is wrong with a request, and remember it."""
        if meaning.call is None:
            alarms = [f"{request.method} /{'/'.join(request.segments)} is not of the API"]
        else:
            alarms = self._discovery.request_alarms(meaning.call, query=request.query, body=meaning.body)
        self._raise_alarm(*alarms)
        return alarms

    def _carry_out(self, request: Request, meaning: _Meaning, method: Method, fault: Fault | None) -> Response:
        assert meaning.call is not None
        mutation = Mutation(
            kind=method.kind,
            request_id=request.query.get("requestId", ""),
            asking=json.dumps([meaning.kind, dict(meaning.call.path), meaning.body], sort_keys=True),
            ends_in=fault.refusal if isinstance(fault, EndIn) else None,
            stuck=isinstance(fault, NeverEnd),
        )
        asked = Asked(path=meaning.call.path, query=request.query, body=meaning.body or {}, mutation=mutation)
        if meaning.kind == "zoneOperations.wait":
            self._wait_on_the_wall(asked)
        with self.service.lock:
            looks = not method.kind and meaning.kind != "zoneOperations.wait"
            self.service.timeline.pass_time(self.service.seconds_a_look if looks else 0.0)
            self._check_allowed(meaning, method)
            known = self.service.repeated(mutation) if method.kind else None
            content = known.resource() if known else method.act(self.service, asked)
        return json_response(200, content)

    def _wait_on_the_wall(self, asked: Asked) -> None:
        """Where time passes by itself, wait for it."""
        timeline = self.service.timeline
        if timeline.speed == 0:
            return
        with self.service.lock:
            timeline.pass_time()
            due = self.service.operation(asked.path["zone"], asked.path["operation"]).due_seconds
            left = self.service.wait_seconds if due is None else max(0.0, due - timeline.seconds)
        self.stopping.wait(min(left, self.service.wait_seconds) / timeline.speed)

    def _check_caller(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self.tokens is not None and (scheme.lower() != "bearer" or token not in self.tokens):
            raise RefusalError(unauthenticated())
        if not self.enabled:
            raise RefusalError(api_disabled())

    def _check_allowed(self, meaning: _Meaning, method: Method) -> None:
        assert meaning.call is not None
        project = meaning.call.path["project"]
        public = meaning.kind.startswith("images.") and project in _PUBLIC_PROJECTS
        if project != self.service.project and not public:
            raise RefusalError(not_found(f"projects/{project}"))
        needed = [method.permission]
        resource = meaning.path
        if meaning.kind == "instances.insert":
            needed += _INSERT_NEEDS
            resource = f"{resource}/{meaning.name}"
            account = (meaning.body.get("serviceAccounts") or [{}])[0].get("email")
            if account and "iam.serviceAccounts.actAs" in self.denied_permissions:
                raise RefusalError(service_account_denied(account))
        for permission in needed:
            if permission in self.denied_permissions:
                raise RefusalError(permission_denied(permission, resource))

    def _hold_answer(self, meaning: _Meaning, status: int, answer: Any) -> None:
        if meaning.call is None:
            alarms = self._discovery.error_alarms(answer)
        else:
            alarms = self._discovery.answer_alarms(meaning.call, status=status, body=answer)
        self._raise_alarm(*(f"by this server: {it}" for it in alarms))

    def _raise_alarm(self, *alarms: str) -> None:
        with self._state:
            self.alarms.extend(alarms)


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m epic_lab.testing.compute_server", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="the port to listen at; 0, the default, takes any free one")
    parser.add_argument("--project", default="proj1", help="the project that exists (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=10.0, help="how fast time passes there (default: %(default)s)")
    parser.add_argument(
        "--stocked-out",
        action="append",
        default=[],
        choices=sorted(ZONES),
        metavar="ZONE",
        help="a zone without hardware; may be given again",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="METRIC=NUMBER",
        help="a quota, as N2_CPUS=8; may be given again",
    )
    parser.add_argument(
        "--at-once", action="store_true", help="tell of quotas and stock-outs at once, and not by the operation"
    )
    parser.add_argument(
        "--deny",
        action="append",
        default=[],
        metavar="PERMISSION",
        help="a permission that the caller lacks; may be given again",
    )
    parser.add_argument("--api-disabled", action="store_true", help="Compute Engine is not enabled in the project")
    parser.add_argument("--token", action="append", help="a bearer token that is taken; without any, none is asked for")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="[later-]KIND[=VALUE][:CALL][:TIMES]",
        help=f"let the next request fail, or the next TIMES ({ALWAYS}: all), of that CALL as instances.insert, or of any; may be given "
        f"again. KIND is a status as 503, or one of {', '.join([*REFUSALS, *FAULTS])}; with later-, the operation ends so",
    )
    chosen = parser.parse_args(arguments)
    try:
        faults = [planned(text) for text in chosen.fault]
        limits = {metric: float(number) for metric, _, number in (it.partition("=") for it in chosen.limit)}
    except ValueError as error:
        parser.error(str(error))
    server = ComputeServer(chosen.project, host=chosen.host, port=chosen.port, timeline=Timeline(speed=chosen.speed))
    server.service.seconds_a_look = 0.0
    server.service.stocked_out.update(chosen.stocked_out)
    server.service.limits.update(limits)
    server.service.told_at_once = chosen.at_once
    server.denied_permissions.update(chosen.deny)
    server.enabled = not chosen.api_disabled
    server.tokens = set(chosen.token) if chosen.token else None
    for fault, call, times in faults:
        server.inject(fault, call=call, times=times)
    serve_until_interrupted(server, f"GCP_COMPUTE_ENDPOINT={server.url}")
    for alarm in server.alarms:
        sys.stderr.write(f"{alarm}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
