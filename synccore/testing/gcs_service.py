"""What Google Cloud Storage's JSON API does, in memory: buckets, objects, conditions, uploads, listings.

Written from the service's documentation, for what a client of object storage can notice. Not played: object versions
after replacement, access lists, encryption keys of the customer, rewriting in several parts, composing and batches.

Invariant: every operation is atomic and immediately visible, and an object's generation is greater than any before it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import formatdate
from itertools import islice
from urllib.parse import quote

from synccore.testing.gcs_requests import ServiceError, parse_range
from synccore.testing.http_serving import Request, Response

_LARGEST_PAGE = 1000
_UPLOAD_GRAIN_BYTES = 256 * 1024
_CONDITIONS = ("ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch")
_SETTABLE = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "metadata",
    "storageClass",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A live object.

    Attributes:
        updated_seconds: when its metadata last changed; the bytes are as old as the generation.
        settable: the metadata that a client may set, by the API's names.
    """

    bucket: str
    name: str
    data: bytes
    generation: int
    metageneration: int
    created_seconds: float
    updated_seconds: float
    md5: str
    crc32c: str
    settable: Mapping[str, object]

    @property
    def etag(self) -> str:
        """Generation and metageneration, as the service packs them."""
        packed = b"\x08" + _varint(self.generation) + b"\x10" + _varint(self.metageneration)
        return base64.b64encode(packed).decode()

    def resource(self, base: str) -> dict[str, object]:
        """Return the object's metadata as the API shows it; *base* is the server's URL."""
        path = f"/storage/v1/b/{quote(self.bucket, safe='')}/o/{quote(self.name, safe='')}"
        return {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "selfLink": base + path,
            "mediaLink": f"{base}/download{path}?generation={self.generation}&alt=media",
            "name": self.name,
            "bucket": self.bucket,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            "size": str(len(self.data)),
            "md5Hash": self.md5,
            "crc32c": self.crc32c,
            "etag": self.etag,
            "timeCreated": _timestamp(self.created_seconds),
            "updated": _timestamp(self.updated_seconds),
            "timeStorageClassUpdated": _timestamp(self.created_seconds),
            **self.settable,
        }


@dataclass(slots=True, kw_only=True)
class _Upload:
    """A resumable upload under way, or, once *done* is set, finished."""

    bucket: str
    metadata: dict[str, object]
    conditions: dict[str, str]
    data: bytearray = field(default_factory=bytearray)
    done: StoredObject | None = None


class GcsService:
    """The service's state and its operations; each takes the lock once.

    Attributes:
        buckets: the live objects of each bucket, by name.
        clock: where generations and times come from.
        writes_a_second: how many writes to one object's name are taken in a second; ``None`` takes all.
        location: where all buckets are.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.buckets: dict[str, dict[str, StoredObject]] = {}
        self.clock = clock
        self.writes_a_second: int | None = None
        self.location = "US"
        self._uploads: dict[str, _Upload] = {}
        self._order: dict[str, Sequence[str]] = {}
        self._last_generation = 0
        self._recent_writes: dict[tuple[str, str], list[float]] = {}
        self._lock = threading.RLock()

    # -- objects -------------------------------------------------------------------------------------------------------

    def insert(
        self, bucket: str, name: str, data: bytes, metadata: Mapping[str, object], query: Mapping[str, str]
    ) -> StoredObject:
        """Store an object if the conditions in *query* hold and the checksums in *metadata* are those of *data*."""
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        crc32c = _crc32c(data)
        for what, given, found in (
            ("MD5 hash", metadata.get("md5Hash"), md5),
            ("CRC32C", metadata.get("crc32c"), crc32c),
        ):
            if given is not None and given != found:
                message = f'Provided {what} "{given}" doesn\'t match calculated {what} "{found}".'
                raise ServiceError(400, "invalid", message)
        with self._lock:
            objects = self._objects(bucket)
            self._check_rate(bucket, name)
            _check_conditions(objects.get(name), query)
            now = self.clock()
            self._last_generation = max(self._last_generation + 1, int(now * 1_000_000))
            stored = StoredObject(
                bucket=bucket,
                name=name,
                data=data,
                generation=self._last_generation,
                metageneration=1,
                created_seconds=now,
                updated_seconds=now,
                md5=md5,
                crc32c=crc32c,
                settable={key: metadata[key] for key in _SETTABLE if key in metadata},
            )
            objects[name] = stored
            return stored

    def get(self, bucket: str, name: str, query: Mapping[str, str]) -> StoredObject:
        """Return a live object if the conditions in *query* hold."""
        with self._lock:
            stored = self._objects(bucket).get(name)
            wanted = query.get("generation")
            if stored is None or (wanted is not None and wanted != str(stored.generation)):
                raise ServiceError(404, "notFound", f"No such object: {bucket}/{name}")
            _check_conditions(stored, query)
            return stored

    def patch(self, bucket: str, name: str, changes: Mapping[str, object], query: Mapping[str, str]) -> StoredObject:
        """Change an object's metadata."""
        with self._lock:
            stored = self.get(bucket, name, query)
            settable = {key: value for key, value in stored.settable.items() if key not in changes}
            settable |= {key: changes[key] for key in _SETTABLE if changes.get(key) is not None}
            changed = replace(
                stored, settable=settable, metageneration=stored.metageneration + 1, updated_seconds=self.clock()
            )
            self.buckets[bucket][name] = changed
            return changed

    def copy(
        self, source: tuple[str, str], target: tuple[str, str], metadata: Mapping[str, object], query: Mapping[str, str]
    ) -> StoredObject:
        """Copy an object, *source* and *target* each being a bucket and a name; any *metadata* replaces that of the source."""
        with self._lock:
            stored = self.get(*source, {"generation": query["sourceGeneration"]} if "sourceGeneration" in query else {})
            return self.insert(*target, stored.data, metadata or stored.settable, query)

    def delete(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        """Delete an object if the conditions in *query* hold."""
        with self._lock:
            self.get(bucket, name, query)
            self._check_rate(bucket, name)
            del self.buckets[bucket][name]

    def list(self, bucket: str, query: Mapping[str, str], base: str = "") -> dict[str, object]:
        """Return a page of a listing: objects by name, and what a delimiter makes of the rest; *base* as for `resource`."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        start, end = query.get("startOffset", ""), query.get("endOffset", "")
        after = base64.urlsafe_b64decode(query.get("pageToken", "")).decode()
        room = min(int(query.get("maxResults") or _LARGEST_PAGE), _LARGEST_PAGE)
        with self._lock:
            objects = self._objects(bucket).copy()
            order = self._in_order(bucket)
        items: list[StoredObject] = []
        prefixes: list[str] = []
        last = ""
        page: dict[str, object] = {"kind": "storage#objects"}
        for name in islice(order, bisect_left(order, max(prefix, start, after)), None):
            if (end and name >= end) or not name.startswith(prefix):
                break
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            shown = name if cut < 0 else name[: cut + len(delimiter)]
            if shown <= after or shown == last:
                continue
            if len(items) + len(prefixes) == room:
                page["nextPageToken"] = base64.urlsafe_b64encode(last.encode()).decode()
                break
            last = shown
            if cut < 0:
                items.append(objects[name])
            else:
                prefixes.append(shown)
        if prefixes:
            page["prefixes"] = prefixes
        if items:
            page["items"] = [it.resource(base) for it in items]
        return page

    # -- buckets -------------------------------------------------------------------------------------------------------

    def create_bucket(self, name: str) -> dict[str, object]:
        """Make a bucket."""
        with self._lock:
            if name in self.buckets:
                message = "Your previous request to create the named bucket succeeded and you already own it."
                raise ServiceError(409, "conflict", message)
            self.buckets[name] = {}
            return self.bucket(name)

    def bucket(self, name: str, base: str = "") -> dict[str, object]:
        """Return a bucket's metadata; *base* as for `StoredObject.resource`."""
        with self._lock:
            self._objects(name)
        return {
            "kind": "storage#bucket",
            "id": name,
            "name": name,
            "selfLink": f"{base}/storage/v1/b/{name}",
            "projectNumber": "123456789012",
            "metageneration": "1",
            "location": self.location,
            "locationType": "region" if "-" in self.location else "multi-region",
            "storageClass": "STANDARD",
            "etag": "CAE=",
            "timeCreated": _timestamp(0),
            "updated": _timestamp(0),
        }

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket."""
        with self._lock:
            if self._objects(name):
                raise ServiceError(409, "conflict", "The bucket you tried to delete is not empty.")
            del self.buckets[name]

    # -- resumable uploads ---------------------------------------------------------------------------------------------

    def begin_upload(self, bucket: str, metadata: dict[str, object], query: Mapping[str, str]) -> str:
        """Begin a resumable upload and return its id."""
        with self._lock:
            _check_conditions(self._objects(bucket).get(str(metadata["name"])), query)
            number = f"upload-{len(self._uploads) + 1}"
            conditions = {key: query[key] for key in _CONDITIONS if key in query}
            self._uploads[number] = _Upload(bucket=bucket, metadata=metadata, conditions=conditions)
            return number

    def continue_upload(self, number: str, content_range: str | None, body: bytes) -> StoredObject | int:
        """Take a part of an upload; return the object if that was the last, or how many bytes are kept so far."""
        with self._lock:
            upload = self._uploads.get(number)
            if upload is None:
                raise ServiceError(404, "notFound", f"No such upload: {number}")
            if upload.done is not None:
                return upload.done
            total = _take_part(upload, content_range, body)
            if total != len(upload.data):
                return len(upload.data)
            name = str(upload.metadata["name"])
            upload.done = self.insert(upload.bucket, name, bytes(upload.data), upload.metadata, upload.conditions)
            return upload.done

    def cancel_upload(self, number: str) -> None:
        """Forget an upload."""
        with self._lock:
            if self._uploads.pop(number, None) is None:
                raise ServiceError(404, "notFound", f"No such upload: {number}")
        raise ServiceError(499, "cancelled", "Client Closed Request")

    def _objects(self, bucket: str) -> dict[str, StoredObject]:
        if bucket not in self.buckets:
            raise ServiceError(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[bucket]

    def _in_order(self, bucket: str) -> Sequence[str]:
        """Return the names of a bucket's objects in the order of listings, which is that of their code points.

        The order is kept: sorting 30,000 names anew for each of the 30 pages of their listing would take longer than a client.
        """
        objects, order = self._objects(bucket), self._order.get(bucket, ())
        if len(order) != len(objects) or not all(map(objects.__contains__, order)):
            self._order[bucket] = order = sorted(objects)
        return order

    def _check_rate(self, bucket: str, name: str) -> None:
        if self.writes_a_second is None:
            return
        now = self.clock()
        recent = [it for it in self._recent_writes.get((bucket, name), []) if it > now - 1]
        if len(recent) >= self.writes_a_second:
            message = (
                f"The object {bucket}/{name} exceeded the rate limit for object mutation operations (create, update, "
                "and delete). Please reduce your request rate. See https://cloud.google.com/storage/docs/gcs429."
            )
            raise ServiceError(429, "rateLimitExceeded", message)
        self._recent_writes[bucket, name] = [*recent, now]


def media_response(stored: StoredObject, request: Request) -> Response:
    """Return an object's bytes, or the range of them that was asked for."""
    encoding = stored.settable.get("contentEncoding")
    headers = {
        "Content-Type": str(stored.settable.get("contentType", "application/octet-stream")),
        "ETag": stored.etag,
        "Last-Modified": formatdate(stored.updated_seconds, usegmt=True),
        "Cache-Control": str(stored.settable.get("cacheControl", "no-cache, no-store, max-age=0, must-revalidate")),
        "X-Goog-Generation": str(stored.generation),
        "X-Goog-Metageneration": str(stored.metageneration),
        "X-Goog-Hash": f"crc32c={stored.crc32c},md5={stored.md5}",
        "X-Goog-Storage-Class": str(stored.settable.get("storageClass", "STANDARD")),
        "X-Goog-Stored-Content-Encoding": str(encoding or "identity"),
        "X-Goog-Stored-Content-Length": str(len(stored.data)),
    }
    if encoding == "gzip" and "gzip" not in request.headers.get("accept-encoding", ""):
        headers["X-Guploader-Response-Body-Transformations"] = "gunzipped"
        headers["Warning"] = "214 UploadServer gunzipped"
        return Response(status=200, headers=headers, body=gzip.decompress(stored.data))
    if encoding:
        headers["Content-Encoding"] = str(encoding)
    size = len(stored.data)
    wanted = parse_range(request.headers.get("range"), size)
    if wanted is None:
        return Response(status=200, headers={**headers, "Accept-Ranges": "bytes"}, body=stored.data)
    if not wanted:
        raise ServiceError(
            416, "requestedRangeNotSatisfiable", "Request range not satisfiable", {"Content-Range": f"bytes */{size}"}
        )
    headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
    return Response(status=206, headers=headers, body=stored.data[wanted.start : wanted.stop])


def _take_part(upload: _Upload, content_range: str | None, body: bytes) -> int | None:
    """Append to *upload* what *body* adds to it and return the total size, if that is known."""
    match = re.fullmatch(
        r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", content_range or f"bytes 0-{max(0, len(body) - 1)}/{len(body)}"
    )
    if match is None:
        raise ServiceError(400, "badRequest", f"Failed to parse Content-Range header: {content_range}")
    first, last, size = match.groups()
    total = None if size == "*" else int(size)
    if first is None:
        return total
    start = int(first)
    if content_range and int(last) - start + 1 != len(body):
        raise ServiceError(400, "badRequest", f"Content-Range {content_range} does not match {len(body)} bytes")
    if start > len(upload.data):
        raise ServiceError(503, "backendError", f"Upload has {len(upload.data)} bytes: the part begins at {start}")
    new = body[len(upload.data) - start :]
    if total is None or start + len(body) < total:
        # Of a part that is not the last, only whole grains are kept.
        new = new[: (len(upload.data) + len(new)) // _UPLOAD_GRAIN_BYTES * _UPLOAD_GRAIN_BYTES - len(upload.data)]
    upload.data += new
    return total


def _check_conditions(stored: StoredObject | None, query: Mapping[str, str]) -> None:
    """Raise what the service answers where a condition does not hold; no object counts as generation 0."""
    generation = stored.generation if stored else 0
    metageneration = stored.metageneration if stored else 0
    for name, found in (("ifGenerationMatch", generation), ("ifMetagenerationMatch", metageneration)):
        if name in query and _number(name, query[name]) != found:
            raise ServiceError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
    for name, found in (("ifGenerationNotMatch", generation), ("ifMetagenerationNotMatch", metageneration)):
        if name in query and (_number(name, query[name]) == found or stored is None):
            raise ServiceError(304, "notModified", "Not Modified", {"ETag": stored.etag} if stored else {})


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,19}", text):
        raise ServiceError(400, "invalid", f"Invalid value for {name}: {text!r}")
    return int(text)


def _varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _crc32c(data: bytes) -> str:
    import google_crc32c

    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
