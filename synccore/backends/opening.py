"""From a base URL to a backend.

Invariant: no environment variable is read here or below; whatever decides how storage is reached stands in an `Access`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synccore.errors import ErrorKind, InvalidInputError

if TYPE_CHECKING:
    from synccore.backends.base import Backend

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_DRIVE = re.compile(r"/?[A-Za-z]:/")
_FILE = "file://"
_EXPECTED = "expected file:///some/dir or gs://bucket/prefix"


def hear_nothing() -> None:
    """Take no note of what arrives."""


class Access(NamedTuple):
    """How to reach storage, and as whom.

    Attributes:
        deadline_seconds: how long one call may keep its caller waiting before the first byte comes, and again between any
            two bytes.
        retry_seconds: how long after its beginning a call that was not answered is tried again; ``None`` for as long as one call
            may wait.
        emulator_host: where a server stands in for Google Cloud Storage, as in ``STORAGE_EMULATOR_HOST``
            (``http://127.0.0.1:9023`` or ``127.0.0.1:9023``); it is spoken to without credentials.
        endpoint: where Google Cloud Storage is, where no emulator is.
        credentials_file: what ``GOOGLE_APPLICATION_CREDENTIALS`` names, or else gcloud's
            ``application_default_credentials.json`` if there is one; a file that does not exist counts as none.
        metadata_host: where the machine's metadata server is, as in ``GCE_METADATA_HOST``; where it is ``None``, the
            usual one is asked, and only on a machine of Google's.
        token_cache: the private file in which access tokens of *credentials_file* are kept; ``None`` keeps none.
        address_cache: the file in which is kept where a connection has led, so that the next command can begin one at once;
            ``None`` keeps nothing.
        has_proxies: whether requests must go through a proxy, which only Google's library knows how to find.
        heard: called, from whatever thread, each time that a part of an answer has arrived over a network; it returns at
            once and does not raise.
    """

    deadline_seconds: float = 30.0
    retry_seconds: float | None = None
    emulator_host: str | None = None
    endpoint: str = "https://storage.googleapis.com"
    credentials_file: Path | None = None
    metadata_host: str | None = None
    token_cache: Path | None = None
    address_cache: Path | None = None
    has_proxies: bool = False
    heard: Callable[[], None] = hear_nothing


def endpoint_of(access: Access) -> str:
    """Return the URL of the service, or of what stands in for it."""
    host = access.emulator_host
    return (access.endpoint if host is None else host if "://" in host else f"http://{host}").rstrip("/")


def open_backend(base_url: str, *, access: Access, begin: bool = False) -> Backend:
    """Open the store at *base_url*, without asking it for anything yet.

    ``file:///some/dir`` is a directory (``%20`` and the like are decoded); ``gs://bucket/prefix`` is Google Cloud Storage,
    where what may succeed later is tried again for ``access.retry_seconds``.

    Args:
        base_url: where it is.
        access: how to get there.
        begin: whether a connection is begun before what it is needed for is imported, which takes as long.

    Raises:
        InvalidInputError: *base_url* is no such URL.
    """
    directory = directory_of(base_url)
    if directory is not None:
        from synccore.backends.local import LocalBackend

        return LocalBackend(directory)
    scheme, separator, rest = base_url.partition("://")
    if not separator:
        raise _bad_url(base_url, "it has no scheme")
    if scheme == "gs":
        return _open_bucket(base_url, rest, access, begin=begin)
    raise _bad_url(base_url, f"the scheme {scheme!r} is unknown")


def directory_of(base_url: str) -> Path | None:
    """Return the directory that a ``file:`` URL names, and ``None`` for a store that is none of this machine's directories.

    Raises:
        InvalidInputError: *base_url* is no URL of a directory.
    """
    if not base_url.startswith(_FILE):
        return None
    from urllib.parse import unquote

    rest = base_url.removeprefix(_FILE)
    path = unquote(rest.removeprefix("localhost"))
    if not path.startswith("/"):
        raise _bad_url(base_url, "a file URL needs an absolute path after three slashes")
    if "\0" in path:
        raise _bad_url(base_url, "a path has no NUL")
    if sys.platform == "win32" and _DRIVE.match(path):
        path = path.removeprefix("/")
    if path.strip("/") in {"", "."} or ".." in path.split("/"):
        raise _bad_url(base_url, "the path must name a directory other than the root, without '..'")
    return Path(path)


def _open_bucket(base_url: str, rest: str, access: Access, *, begin: bool) -> Backend:
    bucket, _, prefix = rest.partition("/")
    if _BUCKET.fullmatch(bucket) is None:
        raise _bad_url(base_url, f"{bucket!r} is no bucket's name")
    prefix = prefix.rstrip("/")
    if prefix and any(part in {"", ".", ".."} or not part.isprintable() for part in prefix.split("/")):
        raise _bad_url(base_url, "the prefix must be names separated by single slashes")

    from synccore.backends.connecting import Connections

    connections = Connections(endpoint_of(access), access.address_cache)
    if begin and not access.has_proxies:
        connections.begin(access.deadline_seconds)

    from synccore.backends.gcs_light import LightGcsBackend
    from synccore.backends.retrying import RetryingBackend

    retry_seconds = access.deadline_seconds if access.retry_seconds is None else access.retry_seconds
    return RetryingBackend(LightGcsBackend(bucket, prefix, access, connections), deadline_seconds=retry_seconds)


def _bad_url(base_url: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        ErrorKind.BAD_INPUT, f"base URL {base_url!r} is not usable: {why}; {_EXPECTED}", base_url=base_url
    )
