"""What is said to Google Cloud Storage, and what its answers mean: the JSON API without any connection.

https://cloud.google.com/storage/docs/json_api. Both ways of reaching the service, the light one and the one over Google's
libraries, say and understand these same requests, so that they differ in nothing but who carries them.

Invariant: every call is exactly one request, and every answer becomes one result or one error here.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

from synccore.backends.base import Found, Unchanged, Version
from synccore.backends.refusals import key_taken, no_bucket, no_object, refused, too_short, version_moved
from synccore.errors import BackendError, ErrorKind, InvalidInputError, SyncError, UnavailableError
from synccore.keys import Key

if TYPE_CHECKING:
    pass

OK = 200
PARTIAL = 206
NOT_MODIFIED = 304
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
REQUEST_TIMEOUT = 408
PRECONDITION_FAILED = 412
RANGE_NOT_SATISFIABLE = 416
TOO_MANY_REQUESTS = 429
SERVER_ERRORS = range(500, 600)

_PIECE_BYTES = 1 << 18
_LONGEST_SAYING = 300
_BINARY = "application/octet-stream"

# Without this, a publicly readable bucket's head could come from a cache of the service's for an hour.
_CACHE_CONTROL = "no-store"


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Call(NamedTuple):
    """One request.

    Attributes:
        path: with its query, to be sent as it stands.
        key: what it is about, for messages; ``None`` where that is the whole store.
        permission: what the caller must be allowed to do.
        writes: whether it changes something, so that a lost answer leaves doubt.
    """

    method: str
    path: str
    key: Key | None
    permission: str
    headers: Mapping[str, str] = _NO_HEADERS
    body: bytes | None = None
    writes: bool = False


class Answer(NamedTuple):
    """What came back: the header names are lower case, the values of repeated headers joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Pieces:
    """A body that is sent piece by piece, so that a deadline is one for each piece; it can be sent again."""

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[memoryview]:
        return (self._body[at : at + _PIECE_BYTES] for at in range(0, len(self._body), _PIECE_BYTES))


class GcsStore:
    """A store's place in a bucket: builds calls for its keys and reads their answers."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.base_url = f"gs://{bucket}/{prefix}".rstrip("/")
        self._before = f"{prefix}/" if prefix else ""
        self._path = f"/storage/v1/b/{quote(bucket, safe='')}/o"

    def name(self, key: Key | str) -> str:
        """Return the object's name in its bucket; also of a prefix of keys."""
        return self._before + key

    def key(self, name: str) -> Key:
        """Return the key of the object that is called *name*."""
        return Key(name[len(self._before) :])

    # -- calls ---------------------------------------------------------------------------------------------------------

    def get_call(self, key: Key, *, unless: Version | None) -> Call:
        """Ask for an object's bytes, unless it has the version *unless*."""
        conditions = {} if unless is None else {"ifGenerationNotMatch": generation_of(unless)}
        return self._media_call(key, conditions, {})

    def range_call(self, key: Key, start: int, length: int) -> Call:
        """Ask for a part of an object's bytes."""
        return self._media_call(key, {}, {"Range": f"bytes={start}-{start + length - 1}"})

    def put_call(self, key: Key, data: bytes, *, replacing: Version | None) -> Call:
        """Store an object, checked by the service against its MD5, if the key has the version *replacing* or is free."""
        query = {
            "uploadType": "multipart",
            "ifGenerationMatch": "0" if replacing is None else generation_of(replacing),
            "fields": "generation",
        }
        metadata = {"name": self.name(key), "md5Hash": _md5(data), "cacheControl": _CACHE_CONTROL}
        # Random, so that no data that somebody stores can contain it.
        boundary = f"==={os.urandom(16).hex()}==="
        body = b"".join(
            (
                f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n".encode(),
                json.dumps(metadata).encode(),
                f"\r\n--{boundary}\r\nContent-Type: {_BINARY}\r\n\r\n".encode(),
                data,
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        return Call(
            method="POST",
            path=f"/upload{self._path}?{urlencode(query)}",
            key=key,
            permission="storage.objects.create" if replacing is None else "storage.objects.create and .delete",
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            body=body,
            writes=True,
        )

    def delete_call(self, key: Key, *, expecting: Version) -> Call:
        """Delete an object if it has the version *expecting*."""
        query = urlencode({"ifGenerationMatch": generation_of(expecting)})
        path = f"{self._path}/{quote(self.name(key), safe='')}?{query}"
        return Call(method="DELETE", path=path, key=key, permission="storage.objects.delete")

    def look_call(self) -> Call:
        """Ask for next to nothing, to learn whether the bucket is there and what time it is."""
        query = {"maxResults": "1", "prefix": self.name(""), "fields": "kind"}
        return Call(method="GET", path=f"{self._path}?{urlencode(query)}", key=None, permission="storage.objects.list")

    def _media_call(self, key: Key, conditions: Mapping[str, str], headers: Mapping[str, str]) -> Call:
        query = urlencode({"alt": "media", **conditions})
        return Call(
            method="GET",
            path=f"{self._path}/{quote(self.name(key), safe='')}?{query}",
            key=key,
            permission="storage.objects.get",
            headers=headers,
        )

    # -- answers -------------------------------------------------------------------------------------------------------

    def read_get(self, call: Call, answer: Answer) -> Found | Unchanged:
        """Return what the answer to a `get_call` means, or raise it."""
        if answer.status == NOT_MODIFIED:
            return Unchanged()
        if answer.status != OK:
            raise self.failure(call, answer)
        version = answer.headers.get("x-goog-generation", "")
        if not version.isdecimal():
            raise self.not_understood(call, "an object without its generation")
        self._check_sum(call, answer)
        return Found(answer.body, Version(version))

    def read_range(self, call: Call, answer: Answer, start: int, length: int) -> bytes:
        """Return the part that the answer to a `range_call` brought, or raise what it means."""
        assert call.key is not None  # noqa: S101  # of every call that is about an object
        if answer.status == RANGE_NOT_SATISFIABLE:
            raise too_short(self.base_url, call.key, start, length)
        if answer.status == OK:  # a service may send the whole object
            body = answer.body[start : start + length]
        elif answer.status == PARTIAL:
            body = answer.body
        else:
            raise self.failure(call, answer)
        if len(body) != length:
            raise too_short(self.base_url, call.key, start, length)
        return body

    def read_put(self, call: Call, answer: Answer, *, replacing: Version | None) -> Version:
        """Return the version that the answer to a `put_call` names, or raise what it means."""
        assert call.key is not None  # noqa: S101  # of every call that is about an object
        if answer.status == PRECONDITION_FAILED:
            if replacing is None:
                raise key_taken(self.base_url, call.key)
            raise version_moved(self.base_url, call.key, replacing, None)
        if answer.status != OK:
            raise self.failure(call, answer)
        try:
            return Version(generation_of(Version(json.loads(answer.body)["generation"])))
        except (ValueError, KeyError, TypeError, InvalidInputError):
            raise self.not_understood(call, "a success without a generation") from None

    def failure(self, call: Call, answer: Answer) -> SyncError:
        """Return the error that an answer is which no reader above has use for."""
        said = _said(answer)
        if answer.status == NOT_FOUND:
            if "bucket does not exist" in said or call.key is None or call.method == "POST":
                return no_bucket(self.base_url, f"bucket {self.bucket}")
            return no_object(self.base_url, call.key)
        if answer.status in {UNAUTHORIZED, FORBIDDEN}:
            return refused(self.base_url, call.key, f"needed is {call.permission}; the service said {said!r}")
        if answer.status == TOO_MANY_REQUESTS:
            # This is told before anything is done.
            return self.unavailable(call, f"the service answered {answer.status} ({said})", ambiguous=False)
        if answer.status in SERVER_ERRORS or answer.status == REQUEST_TIMEOUT:
            return self.unavailable(call, f"the service answered {answer.status} ({said})", ambiguous=call.writes)
        return BackendError(
            ErrorKind.BACKEND,
            f"{_verb(call)} {self._where(call)}: expected success, the service answered {answer.status} ({said})",
            base_url=self.base_url,
            key=call.key,
            status=answer.status,
        )

    def unavailable(self, call: Call, why: str, *, ambiguous: bool) -> UnavailableError:
        """Say that *call* had no answer, or none that settles it; *ambiguous* if it may have been done all the same."""
        doubt = "; it may have been stored all the same" if ambiguous else ""
        return UnavailableError(
            ErrorKind.UNAVAILABLE,
            f"{_verb(call)} {self._where(call)} did not work now: {why}{doubt}",
            base_url=self.base_url,
            key=call.key,
            ambiguous=ambiguous,
        )

    def unreachable(self, call: Call, why: str) -> UnavailableError:
        """Say that there was no connection for *call*: nothing was sent."""
        return UnavailableError(
            ErrorKind.UNREACHABLE,
            f"{_verb(call)} {self._where(call)} did not work: there is no connection to the storage: {why}",
            base_url=self.base_url,
            key=call.key,
            ambiguous=False,
        )

    def not_understood(self, call: Call, found: str) -> UnavailableError:
        """Say that the answer was none of the service's."""
        return self.unavailable(call, f"the answer makes no sense: {found}", ambiguous=call.writes)

    def untrusted(self, why: str) -> BackendError:
        """Say that whoever answers is not believed to be the service."""
        message = f"the storage of {self.base_url} has no certificate that this machine trusts: {why}"
        return BackendError(ErrorKind.BACKEND, message, base_url=self.base_url)

    def _check_sum(self, call: Call, answer: Answer) -> None:
        sums = dict(it.strip().split("=", 1) for it in answer.headers.get("x-goog-hash", "").split(",") if "=" in it)
        if "md5" in sums and sums["md5"] != _md5(answer.body):
            raise self.unavailable(call, "the bytes were damaged on their way", ambiguous=False)

    def _where(self, call: Call) -> str:
        return self.base_url if call.key is None else f"{self.base_url}/{call.key}"


def _verb(call: Call) -> str:
    return "listing" if call.key is None else {"POST": "putting", "DELETE": "deleting"}.get(call.method, "getting")


def _said(answer: Answer) -> str:
    """Return what the service said for people, as one line."""
    text = answer.body.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        text = str(json.loads(text)["error"]["message"])
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_SAYING else line[:_LONGEST_SAYING] + "…"


def _md5(data: bytes) -> str:
    # The service's own checksum, against accident; content is checked by its SHA-256 elsewhere.
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def generation_of(version: Version) -> str:
    """Return *version* as a generation: 0 would mean something else, and anything but digits is none of ours."""
    if not version.isdecimal() or not version.strip("0"):
        raise InvalidInputError(
            ErrorKind.BAD_INPUT,
            f"version {version!r} is none of Google Cloud Storage's: expected a number",
            found=version,
        )
    return version
