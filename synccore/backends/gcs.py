"""Google Cloud Storage over Google's own libraries, which know users' proxies, identities and certificates.

Objects go and come over the authorised session on which google-cloud-storage itself works, by the requests of `gcs_api`:
its `Blob` adds to each operation a second request for the bucket in a thread of its own, uploads more than 8 MiB in at
least two requests, and repeats some failures by itself. Listing and deleting are google-cloud-storage's. Nothing of
Google's is imported before the first call.

Invariant: one call is one request, whose failure is reported and not repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from synccore.backends.base import Found, Listed, Unchanged, Version
from synccore.backends.gcs_api import OK, PRECONDITION_FAILED, UNAUTHORIZED, Answer, Call, GcsStore, Pieces
from synccore.backends.gcs_tokens import Tokens, refusal_of
from synccore.backends.opening import endpoint_of
from synccore.backends.refusals import check_range, version_moved
from synccore.digest import Digest
from synccore.errors import ErrorKind, NotFoundError, SyncError
from synccore.keys import Key

if TYPE_CHECKING:
    from synccore.backends.opening import Access

_T = TypeVar("_T")

_CONNECTIONS = 32
_READ_BYTES = 1 << 16
_LISTED_FIELDS = "items(name,size,generation,timeCreated),nextPageToken"


class GcsBackend:
    """The store under *prefix* in *bucket*. A version is a generation. Safe to use from several threads."""

    def __init__(self, bucket: str, prefix: str, access: Access, *, tokens: Tokens | None = None) -> None:
        self._store = GcsStore(bucket, prefix)
        self._access = access
        self._tokens = tokens or Tokens(access)
        self._lock = threading.Lock()
        self._session_made: Any = None
        self._client_made: Any = None

    @property
    def base_url(self) -> str:
        """Bucket and prefix as a URL."""
        return self._store.base_url

    def warm(self, calls: int = 1) -> None:  # noqa: ARG002 - its connections are the libraries' business
        """Import Google's libraries, which takes longer than most calls."""
        try:
            self._session()
        except SyncError:  # the first call will say so
            return

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            if self._session_made is not None:
                self._session_made.close()

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get an object, as `Reader.get` promises."""
        call = self._store.get_call(key, unless=unless)
        return self._store.read_get(call, self._send(call))

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get a part of an object, as `Reader.get_range` promises."""
        check_range(key, start, length)
        call = self._store.range_call(key, start, length)
        return self._store.read_range(call, self._send(call), start, length)

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:  # noqa: ARG002 - its versions are no digests
        """Store an object, as `Writer.put` promises."""
        call = self._store.put_call(key, data, replacing=replacing)
        return self._store.read_put(call, self._send(call), replacing=replacing)

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete an object, as `Writer.delete` promises."""
        call = self._store.delete_call(key, expecting=expecting)
        target = self._client().bucket(self._store.bucket).blob(self._store.name(key))
        deadline = self._access.deadline_seconds
        try:
            self._translated(
                call,
                lambda: target.delete(if_generation_match=int(expecting), retry=None, timeout=deadline),
                expecting=expecting,
            )
        except NotFoundError as error:
            if error.kind is ErrorKind.NO_BUCKET:
                raise

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List objects, as `Writer.keys` promises, a thousand with each request."""
        call = self._store.look_call()
        listing = self._client().list_blobs(
            self._store.bucket,
            prefix=self._store.name(prefix),
            fields=_LISTED_FIELDS,
            retry=None,
            timeout=self._access.deadline_seconds,
        )
        pages = listing.pages
        while True:
            page = self._translated(call, lambda: next(pages, None))
            if page is None:
                return
            for it in page:
                yield Listed(
                    key=self._store.key(it.name),
                    size_bytes=it.size,
                    modified_seconds=it.time_created.timestamp(),
                    version=Version(str(it.generation)),
                )

    def now_seconds(self) -> float:
        """Return the service's clock, to the second."""
        call = self._store.look_call()
        answer = self._send(call)
        if answer.status != OK:
            raise self._store.failure(call, answer)
        try:
            return parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError):
            raise self._store.not_understood(call, "an answer without a date") from None

    def _send(self, call: Call) -> Answer:
        """Make *call* over the session."""
        session = self._session()
        return self._translated(call, lambda: self._exchange(session, call))

    def _exchange(self, session: Any, call: Call) -> Answer:
        deadline = self._access.deadline_seconds
        # Bytes are taken as they are stored: unpacking them on the way would break checksums and sizes.
        headers = {"Accept-Encoding": "identity", **call.headers}
        url = endpoint_of(self._access) + call.path
        with session.request(
            call.method,
            url,
            data=None if call.body is None else Pieces(call.body),
            headers=headers,
            timeout=deadline,
            stream=True,
        ) as response:
            body = self._body_of(response)
            names = {name.lower(): value for name, value in response.headers.items()}
            expected = names.get("content-length")  # which old versions of urllib3 do not hold an answer to
            if expected is not None and len(body) != int(expected):
                raise self._store.unavailable(
                    call, f"the answer broke off after {len(body)} of {expected} bytes", ambiguous=call.writes
                )
            return Answer(response.status_code, names, body)

    def _body_of(self, response: Any) -> bytes:
        """Read the body to its end, saying each time that something has come."""
        self._access.heard()
        pieces = []
        while piece := response.raw.read(_READ_BYTES, decode_content=False):
            pieces.append(piece)
            self._access.heard()
        return b"".join(pieces)

    def _translated(self, call: Call, act: Callable[[], _T], *, expecting: Version | None = None) -> _T:
        """Do *act*, and turn what the libraries below raise into our errors: the only place that knows theirs."""
        import google.api_core.exceptions
        import google.auth.exceptions
        import requests
        import urllib3.exceptions

        try:
            return act()
        except google.api_core.exceptions.GoogleAPICallError as error:
            if call.key is not None and expecting is not None and error.code == PRECONDITION_FAILED:
                raise version_moved(self.base_url, call.key, expecting, None) from error
            raise self._store.failure(call, Answer(int(error.code or 0), {}, str(error.message).encode())) from error
        except google.auth.exceptions.GoogleAuthError as error:
            raise refusal_of(error) from error
        except requests.exceptions.ConnectionError as error:
            if _distrusts(error):
                raise self._store.untrusted(_reason(error)) from error
            if not _was_sent(error):
                raise self._store.unreachable(call, _reason(error)) from error
            raise self._store.unavailable(call, _reason(error), ambiguous=call.writes) from error
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._store.unavailable(call, _reason(error), ambiguous=call.writes) from error

    def _session(self) -> Any:
        with self._lock:
            if self._session_made is None:
                self._session_made = self._make_session()
            return self._session_made

    def _make_session(self) -> Any:
        import google.auth.credentials
        import google.auth.transport.requests
        import requests.adapters

        if self._access.emulator_host is not None:
            credentials: Any = google.auth.credentials.AnonymousCredentials()  # type: ignore[no-untyped-call]
        else:
            credentials = self._tokens.credentials()
        # Anonymous credentials cannot be refreshed, and trying to would hide the service's own words.
        refreshed_at = () if self._access.emulator_host is not None else (UNAUTHORIZED,)
        session = google.auth.transport.requests.AuthorizedSession(  # type: ignore[no-untyped-call]
            credentials, refresh_status_codes=refreshed_at
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))
        return session

    def _client(self) -> Any:
        session = self._session()
        with self._lock:
            if self._client_made is None:
                from google.cloud import storage

                self._client_made = storage.Client(
                    project="none",  # objects are found by their bucket
                    credentials=session.credentials,
                    client_options={"api_endpoint": endpoint_of(self._access)},
                    _http=session,
                )
                # Versions that have this ask for the bucket, in a thread, beside whatever is asked of them.
                self._client_made._bucket_metadata_cache = None  # noqa: SLF001  # there is no public switch
            return self._client_made


def _reason(error: BaseException) -> str:
    """Return what went wrong at the bottom of a pile of wrapped errors, as one line."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return " ".join((str(error) or type(error).__name__).split())


def _distrusts(error: BaseException) -> bool:
    """Tell whether *error* comes of a certificate that was not believed."""
    import ssl

    within: BaseException | None = error
    while within is not None:
        if isinstance(within, ssl.SSLCertVerificationError):
            return True
        within = within.__cause__ or within.__context__
    return False


def _was_sent(error: Any) -> bool:
    """Tell whether the service may have seen the request: not if there was no connection to it."""
    import requests
    import urllib3.exceptions

    if isinstance(error, requests.exceptions.ConnectTimeout):
        return False
    wrapped = error.args[0] if error.args else None
    return not isinstance(getattr(wrapped, "reason", wrapped), urllib3.exceptions.NewConnectionError)
