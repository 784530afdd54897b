"""A server that answers as Google Cloud Storage does, counts what it is asked, and fails when it is told to.

    from synccore.testing.gcs_faults import LoseAnswer

    with GcsServer("lab") as server:
        backend = open_backend("gs://lab/prefix", access=Access(emulator_host=server.url))
        server.inject(LoseAnswer(), operation="put")
        ...
        assert server.requests == {"put": 1, "get_media": 1}

By hand: ``python -m synccore.testing.gcs_server --bucket lab`` prints the line for ``STORAGE_EMULATOR_HOST`` and serves
until it is interrupted or terminated; ``--fault 503:put:2`` and the like let requests fail (docs/how-to/faults.md). ``GET /_kit/log`` then answers the counts as JSON, and ``POST /_kit/reset`` begins them anew.

Invariant: a fault hits exactly the requests that it was injected for, and each request that was read stands in the log once.
"""

from __future__ import annotations

import argparse
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from synccore.testing.gcs_faults import ALWAYS, FAULTS, Delay, Fault, Redirect, Refuse, Reset, planned, spoilt
from synccore.testing.gcs_requests import (
    ServiceError,
    decoded,
    header_checksums,
    json_in,
    parse_multipart,
    select_fields,
)
from synccore.testing.gcs_service import GcsService, StoredObject, media_response
from synccore.testing.http_serving import HttpServer, Request, Response, json_response, serve_until_interrupted

_LONGEST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A request and its answer.

    Attributes:
        operation: what it was: ``get_media``, ``get_metadata``, ``put`` (in one request), ``put_begin``, ``put_part``,
            ``put_cancel``, ``copy``, ``delete``, ``patch``, ``list``, ``get_bucket``, ``create_bucket``, ``delete_bucket``,
            ``list_buckets``, ``test_permissions`` or ``unknown``.
        name: the object's, where there is one.
        status: what was answered, or would have been where the answer was lost.
        bytes_in: of the request's body.
        bytes_out: of the answer's body.
    """

    method: str
    operation: str
    name: str
    query: Mapping[str, str]
    status: int
    bytes_in: int
    bytes_out: int


@dataclass(slots=True, kw_only=True)
class _Injected:
    fault: Fault
    operation: str | None
    name: str | None
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """What a request means: its name in the log, the object it is about, the permission it needs, and how to do it."""

    kind: str
    act: Callable[[], Response]
    bucket: str = ""
    name: str = ""
    permission: str = ""


class GcsServer(HttpServer):
    """Serve the JSON API over HTTP with one bucket to begin with.

    Attributes:
        service: the state: `GcsService.buckets` is what is stored; `GcsService.writes_a_second` limits writes to a name.
        latency_seconds: how long each request takes at least.
        tokens: the bearer tokens that are taken; ``None`` asks for none.
        forbidden_prefixes: objects whose names begin so answer 403.
        denied_permissions: such as ``storage.objects.delete``; whatever needs one answers 403.
        conditional_permissions: those that are granted by a condition on objects' names, which a test of the bucket does not show.
    """

    name = "gcs"

    def __init__(
        self,
        bucket: str | None = "lab",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        latency_seconds: float = 0.0,
    ) -> None:
        super().__init__(host=host, port=port, tls=tls)
        self.service = GcsService()
        self.latency_seconds = latency_seconds
        self.tokens: set[str] | None = None
        self.forbidden_prefixes: set[str] = set()
        self.denied_permissions: set[str] = set()
        self.conditional_permissions: set[str] = set()
        self._log: list[Logged] = []
        self._faults: list[_Injected] = []
        self._state = threading.Condition()
        if bucket is not None:
            self.service.create_bucket(bucket)

    def inject(self, fault: Fault, *, operation: str | None = None, name: str | None = None, times: int = 1) -> None:
        """Let *fault* happen to the next *times* requests of that operation, for objects whose names end in *name*."""
        with self._state:
            self._faults.append(_Injected(fault=fault, operation=operation, name=name, times=times))

    def heal(self) -> None:
        """Let no more of the injected faults happen."""
        with self._state:
            self._faults.clear()

    @property
    def log(self) -> list[Logged]:
        """Every request so far, in the order of their answers."""
        with self._state:
            return list(self._log)

    def wait_for(self, *, operation: str | None = None, name: str | None = None, times: int = 1) -> None:
        """Wait until so many requests of that operation, for objects whose names end in *name*, stand in the log.

        Raises:
            AssertionError: they do not come.
        """

        def have_come() -> bool:
            return (
                sum(it.operation == (operation or it.operation) and it.name.endswith(name or "") for it in self._log)
                >= times
            )

        with self._state:
            assert self._state.wait_for(have_come, timeout=_LONGEST_WAIT_SECONDS), "the requests did not come"

    @property
    def requests(self) -> Counter[str]:
        """How many requests of each operation there have been."""
        return Counter(it.operation for it in self.log)

    def forget(self) -> None:
        """Begin the log anew."""
        with self._state:
            self._log.clear()

    def data(self, bucket: str, name: str) -> bytes | None:
        """Return what is stored, past the API."""
        stored = self.service.buckets.get(bucket, {}).get(name)
        return stored.data if stored else None

    def answer(self, request: Request) -> Response:
        """Answer one request, with whatever fault is meant for it, and log it."""
        if request.segments[0] == "_kit":
            return self._answer_kit(request)
        if self.latency_seconds:
            time.sleep(self.latency_seconds)
        as_media = request.query.get("alt") == "media" and request.method == "GET"
        try:
            operation = self._operation(decoded(request))
        except ServiceError as error:
            operation = _Operation(kind="unknown", act=_raising(error))
        fault = self._take_fault(operation)
        try:
            response = self._act(request, operation, fault)
        except ServiceError as error:
            response = error.response(as_text=as_media)
        response = spoilt(response, fault)
        logged = Logged(
            method=request.method,
            operation=operation.kind,
            name=operation.name,
            query=request.query,
            status=response.status,
            bytes_in=len(request.body),
            bytes_out=0 if response.silent else len(response.body),
        )
        with self._state:
            self._log.append(logged)
            self._state.notify_all()
        return response

    def _answer_kit(self, request: Request) -> Response:
        if request.segments[1:] == ("reset",) and request.method == "POST":
            self.forget()
        log = self.log
        return json_response(
            200,
            {
                "requests": Counter(it.operation for it in log),
                "bytes_in": sum(it.bytes_in for it in log),
                "bytes_out": sum(it.bytes_out for it in log),
                "connections": self.connections_made,
            },
        )

    def _take_fault(self, operation: _Operation) -> Fault | None:
        with self._state:
            for it in self._faults:
                if it.operation in {None, operation.kind} and operation.name.endswith(it.name or ""):
                    it.times -= 1
                    if it.times == 0:
                        self._faults.remove(it)
                    return it.fault
        return None

    def _act(self, request: Request, operation: _Operation, fault: Fault | None) -> Response:
        if isinstance(fault, Refuse):
            raise ServiceError(fault.status, fault.reason, fault.message)
        if isinstance(fault, Redirect):
            return Response(status=307, headers={"Location": fault.location})
        if isinstance(fault, Reset):
            return Response(status=0, silent=True, reset=True)
        if isinstance(fault, Delay):
            self.stopping.wait(fault.seconds)
        self._check_allowed(request, operation)
        return operation.act()

    def _check_allowed(self, request: Request, operation: _Operation) -> None:
        permission = operation.permission
        what = "object" if permission.startswith("storage.objects") else "bucket"
        denied = (
            f"does not have {permission} access to the Google Cloud Storage {what}. Permission '{permission}' denied on "
            "resource (or it may not exist)."
        )
        if self.tokens is not None:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if not token:
                raise ServiceError(401, "required", f"Anonymous caller {denied}", {"WWW-Authenticate": "Bearer"})
            if scheme.lower() != "bearer" or token not in self.tokens:
                raise ServiceError(401, "authError", "Invalid Credentials", {"WWW-Authenticate": "Bearer"})
        forbidden = operation.name and any(operation.name.startswith(it) for it in self.forbidden_prefixes)
        if forbidden or permission in self.denied_permissions:
            raise ServiceError(403, "forbidden", f"somebody@example.com {denied}")

    # -- routes --------------------------------------------------------------------------------------------------------

    def _operation(self, request: Request) -> _Operation:
        segments = list(request.segments)
        uploads = False
        if segments[:1] == ["resumable"]:
            del segments[0]
        if segments[:1] in (["upload"], ["download"]):
            uploads = segments.pop(0) == "upload"
        found: _Operation | None = None
        match segments:
            case ["storage", "v1", "b"]:
                found = self._buckets_operation(request)
            case ["storage", "v1", "b", bucket]:
                found = self._bucket_operation(request, bucket)
            case ["storage", "v1", "b", bucket, "iam", "testPermissions"]:
                found = self._simple("test_permissions", request, lambda: self._test_permissions(bucket, request))
            case ["storage", "v1", "b", bucket, "o"] if uploads:
                found = self._upload_operation(request, bucket)
            case ["storage", "v1", "b", bucket, "o", *rest]:
                found = self._objects_operation(request, bucket, rest)
            case [bucket, *names] if names and bucket in self.service.buckets and request.method == "GET":
                # How Google's client for Go reads: the XML interface's address, of which nothing else is played.
                as_media = replace(request, query={**request.query, "alt": "media"})
                found = self._object_operation(as_media, bucket, "/".join(names))
        if found is None:
            raise ServiceError(404, "notFound", "Not Found")
        return found

    def _objects_operation(self, request: Request, bucket: str, rest: list[str]) -> _Operation | None:
        match rest:
            case [] if request.method == "GET":
                listing = self._acting(
                    request, lambda: self.service.list(bucket, request.query, self._known_as(request))
                )
                return _Operation(kind="list", act=listing, bucket=bucket, permission="storage.objects.list")
            case [name, "copyTo" | "rewriteTo" as how, "b", to, "o", new] if name and new:
                return self._copy_operation(request, (bucket, name), (to, new), rewrites=how == "rewriteTo")
            case [name] if name:
                return self._object_operation(request, bucket, name)
        return None

    def _acting(self, request: Request, call: Callable[[], Mapping[str, object]]) -> Callable[[], Response]:
        return lambda: json_response(200, select_fields(call(), request.query.get("fields")))

    def _simple(
        self, kind: str, request: Request, call: Callable[[], Mapping[str, object]], permission: str = ""
    ) -> _Operation:
        return _Operation(kind=kind, act=self._acting(request, call), permission=permission)

    def _test_permissions(self, bucket: str, request: Request) -> dict[str, object]:
        self.service.bucket(bucket)
        asked = [value for name, value in request.parameters if name == "permissions"]
        if not asked:
            raise ServiceError(400, "required", "Required parameter: permissions")
        granted = [it for it in asked if it not in self.denied_permissions | self.conditional_permissions]
        return {"kind": "storage#testIamPermissionsResponse", **({"permissions": granted} if granted else {})}

    def _buckets_operation(self, request: Request) -> _Operation:
        if request.method == "POST":
            create = lambda: self.service.create_bucket(str(json_in(request)["name"]))  # noqa: E731
            return self._simple("create_bucket", request, create, "storage.buckets.create")
        if request.method == "GET":
            items = lambda: {  # noqa: E731
                "kind": "storage#buckets",
                "items": [self.service.bucket(name, self._known_as(request)) for name in sorted(self.service.buckets)],
            }
            return self._simple("list_buckets", request, items, "storage.buckets.list")
        raise ServiceError(405, "methodNotAllowed", "Method Not Allowed")

    def _bucket_operation(self, request: Request, bucket: str) -> _Operation:
        if request.method == "GET":
            return self._simple(
                "get_bucket",
                request,
                lambda: self.service.bucket(bucket, self._known_as(request)),
                "storage.buckets.get",
            )
        if request.method == "DELETE":

            def delete() -> Response:
                self.service.delete_bucket(bucket)
                return Response(status=204)

            return _Operation(kind="delete_bucket", act=delete, bucket=bucket, permission="storage.buckets.delete")
        raise ServiceError(405, "methodNotAllowed", "Method Not Allowed")

    def _object_operation(self, request: Request, bucket: str, name: str) -> _Operation:
        service, query = self.service, request.query

        def get_media() -> Response:
            return media_response(service.get(bucket, name, query), request)

        def get_metadata() -> Response:
            return self._resource(service.get(bucket, name, query), request)

        def delete() -> Response:
            service.delete(bucket, name, query)
            return Response(status=204)

        def patch() -> Response:
            return self._resource(service.patch(bucket, name, json_in(request), query), request)

        kinds: dict[str, tuple[str, str, Callable[[], Response]]] = {
            "DELETE": ("delete", "storage.objects.delete", delete),
            "PATCH": ("patch", "storage.objects.update", patch),
            "PUT": ("patch", "storage.objects.update", patch),
            "GET": ("get_metadata", "storage.objects.get", get_metadata),
        }
        if query.get("alt") == "media":
            kinds["GET"] = ("get_media", "storage.objects.get", get_media)
        if request.method not in kinds:
            raise ServiceError(405, "methodNotAllowed", "Method Not Allowed")
        kind, permission, act = kinds[request.method]
        return _Operation(kind=kind, act=act, bucket=bucket, name=name, permission=permission)

    def _copy_operation(
        self, request: Request, source: tuple[str, str], target: tuple[str, str], *, rewrites: bool
    ) -> _Operation:
        def copy() -> Response:
            stored = self.service.copy(source, target, json_in(request), request.query)
            if not rewrites:
                return self._resource(stored, request)
            size = str(len(stored.data))
            resource = stored.resource(self._known_as(request))
            done = {"kind": "storage#rewriteResponse", "totalBytesRewritten": size, "objectSize": size, "done": True}
            return json_response(200, select_fields({**done, "resource": resource}, request.query.get("fields")))

        permission = "storage.objects.create"
        return _Operation(kind="copy", act=copy, bucket=target[0], name=target[1], permission=permission)

    def _resource(self, stored: StoredObject, request: Request) -> Response:
        content = select_fields(stored.resource(self._known_as(request)), request.query.get("fields"))
        return json_response(200, content, {"ETag": stored.etag})

    def _known_as(self, request: Request) -> str:
        """Return the server's URL as this client knows it, who may have come by another name or through a proxy."""
        return f"{self.url.partition('://')[0]}://{request.headers.get('host') or self.host}"

    # -- uploads -------------------------------------------------------------------------------------------------------

    def _upload_operation(self, request: Request, bucket: str) -> _Operation:
        if "upload_id" in request.query:
            return self._continuation(request, bucket, request.query["upload_id"])
        kind, data = request.query.get("uploadType"), b""
        metadata: dict[str, object] = {}
        content_type = request.headers.get("content-type")
        if request.method != "POST" or kind not in {"media", "multipart", "resumable"}:
            raise ServiceError(400, "badRequest", "Bad Request")
        if kind == "media":
            data = request.body
        elif kind == "multipart":
            metadata, content_type, data = parse_multipart(content_type or "", request.body)
        else:
            metadata = json_in(request)
            content_type = request.headers.get("x-upload-content-type")
        metadata = {"contentType": content_type or "application/octet-stream", **metadata}
        metadata["name"] = name = str(request.query.get("name") or metadata.get("name") or "")
        if not name:
            raise ServiceError(400, "required", "Required parameter: name")
        metadata = {**metadata, **header_checksums(request)}

        def begin() -> Response:
            number = self.service.begin_upload(bucket, metadata, request.query)
            path = f"/upload/storage/v1/b/{quote(bucket, safe='')}/o"
            location = (
                f"{self._known_as(request)}{path}?uploadType=resumable&name={quote(name, safe='')}&upload_id={number}"
            )
            return Response(status=200, headers={"Location": location, "X-GUploader-UploadID": number})

        def insert() -> Response:
            return self._resource(self.service.insert(bucket, name, data, metadata, request.query), request)

        return _Operation(
            kind="put_begin" if kind == "resumable" else "put",
            act=begin if kind == "resumable" else insert,
            bucket=bucket,
            name=name,
            permission="storage.objects.create",
        )

    def _continuation(self, request: Request, bucket: str, number: str) -> _Operation:
        name = request.query.get("name", "")

        def part() -> Response:
            content_range = request.headers.get("content-range")
            taken = self.service.continue_upload(number, content_range, request.body)
            if isinstance(taken, StoredObject):
                return self._resource(taken, request)
            headers = {"X-GUploader-UploadID": number, **({"Range": f"bytes=0-{taken - 1}"} if taken else {})}
            if request.headers.get("x-guploader-no-308", "").lower() == "yes":
                return Response(status=200, headers={**headers, "X-HTTP-Status-Code-Override": "308"})
            return Response(status=308, headers=headers)

        def cancel() -> Response:
            self.service.cancel_upload(number)
            return Response(status=499)

        kind, act = ("put_cancel", cancel) if request.method == "DELETE" else ("put_part", part)
        return _Operation(kind=kind, act=act, bucket=bucket, name=name, permission="storage.objects.create")


def _raising(error: ServiceError) -> Callable[[], Response]:
    def act() -> Response:
        raise error

    return act


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m synccore.testing.gcs_server", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="the port to listen at; 0, the default, takes any free one")
    parser.add_argument("--bucket", action="append", help="a bucket that exists; may be given again (default: lab)")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long each request takes at least")
    parser.add_argument("--write-limit", type=int, help="writes a second to one name; further ones answer 429")
    parser.add_argument("--token", action="append", help="a bearer token that is taken; without any, none is asked for")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[=VALUE][:OPERATION][:TIMES]",
        help=f"let the next request fail, or the next TIMES ({ALWAYS}: all), of that OPERATION as they are called in the log, or of "
        f"any; may be given again. KIND is a status as 503 or 429, or one of {', '.join(FAULTS)}",
    )
    parser.add_argument("--certificate", help="a file with certificate chain and private key: serve HTTPS")
    chosen = parser.parse_args(arguments)
    try:
        faults = [planned(text) for text in chosen.fault]
    except ValueError as error:
        parser.error(str(error))
    tls = None
    if chosen.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(chosen.certificate)
    server = GcsServer(None, host=chosen.host, port=chosen.port, tls=tls, latency_seconds=chosen.latency_ms / 1000)
    for bucket in chosen.bucket or ["lab"]:
        server.service.create_bucket(bucket)
    server.service.writes_a_second = chosen.write_limit
    server.tokens = set(chosen.token) if chosen.token else None
    for fault, operation, times in faults:
        server.inject(fault, operation=operation, times=times)
    serve_until_interrupted(server, f"export STORAGE_EMULATOR_HOST={server.url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
