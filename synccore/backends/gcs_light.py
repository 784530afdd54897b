"""Google Cloud Storage over `http1` and the standard library, and nothing else.

Gets and puts go this way. Listing and deleting, and whatever here is not plainly understood (a proxy, a token that is refused
twice, a redirect, a certificate that the system's store does not know, an answer that is none of the service's), go to
`GcsBackend`, which knows more and is imported only then.

Bulk goes this way too: with 3,000 files and a round trip of 20 ms the first upload as a whole command took 0.81 s like this
and 1.58 s over Google's libraries, the first download 0.60 s and 1.47 s, most of it for importing and setting them up.

Invariant: one call is one request, except that a refused token is renewed once and a get is repeated when the connection
that had been kept for it turns out to be dead; a put whose answer was lost is never sent again.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from synccore.backends.base import Found, Listed, Unchanged, Version
from synccore.backends.connecting import Connections
from synccore.backends.gcs_api import NOT_MODIFIED, UNAUTHORIZED, Answer, Call, GcsStore
from synccore.backends.gcs_tokens import Token, Tokens
from synccore.backends.http1 import HttpError, Request, exchange
from synccore.backends.opening import endpoint_of
from synccore.backends.refusals import check_range
from synccore.digest import Digest
from synccore.errors import SyncError
from synccore.keys import Key

if TYPE_CHECKING:
    from synccore.backends.gcs import GcsBackend
    from synccore.backends.opening import Access

_REDIRECTS = range(300, 400)
_BAD_REQUESTS = {400, 405, 407, 411, 421, 426}


class _UnusualError(Exception):
    """The service certainly did nothing, and `GcsBackend` may know what to do."""


class LightGcsBackend:
    """The store under *prefix* in *bucket*. A version is a generation. Safe to use from several threads.

    Args:
        bucket: of Google Cloud Storage.
        prefix: of every object's name, without a slash at its end; may be empty.
        access: how to get there.
        connections: those that were begun to there, if any were.
    """

    def __init__(self, bucket: str, prefix: str, access: Access, connections: Connections | None = None) -> None:
        self._store = GcsStore(bucket, prefix)
        self._access = access
        self._tokens = Tokens(access)
        self._bulk: GcsBackend | None = None
        self._lock = threading.Lock()
        self._connections = (
            Connections(endpoint_of(access), access.address_cache) if connections is None else connections
        )
        self._warming: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """Bucket and prefix as a URL."""
        return self._store.base_url

    def warm(self, calls: int = 1) -> None:
        """Begin to get a token and a connection for each of *calls*, unless there are as many; who makes a call waits for them.

        Three round trips and the loading of the system's certificates take their time while the caller looks at its files.
        """
        if self._access.has_proxies:
            return
        self._connections.begin(self._access.deadline_seconds, calls)
        with self._lock:
            if self._warming is not None:
                return
            self._warming = threading.Thread(target=self._warm, name="token", daemon=True)
        self._warming.start()

    def _warm(self) -> None:
        with contextlib.suppress(SyncError):  # the first call will say so
            self._authorization()

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()
        if self._bulk is not None:
            self._bulk.close()

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        """Get an object, as `Reader.get` promises."""
        if self._goes_lightly:
            call = self._store.get_call(key, unless=unless)
            with contextlib.suppress(_UnusualError):
                return self._store.read_get(call, self._send(call))
        return self._fallback().get(key, unless=unless)

    def get_range(self, key: Key, start: int, length: int) -> bytes:
        """Get a part of an object, as `Reader.get_range` promises."""
        check_range(key, start, length)
        if self._goes_lightly:
            call = self._store.range_call(key, start, length)
            with contextlib.suppress(_UnusualError):
                return self._store.read_range(call, self._send(call), start, length)
        return self._fallback().get_range(key, start, length)

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        """Store an object, as `Writer.put` promises."""
        if self._goes_lightly:
            call = self._store.put_call(key, data, replacing=replacing)
            with contextlib.suppress(_UnusualError):
                return self._store.read_put(call, self._send(call), replacing=replacing)
        return self._fallback().put(key, data, replacing=replacing, digest=digest)

    def delete(self, key: Key, *, expecting: Version) -> None:
        """Delete an object, as `Writer.delete` promises."""
        self._fallback().delete(key, expecting=expecting)

    def keys(self, prefix: str) -> Iterator[Listed]:
        """List objects, as `Writer.keys` promises."""
        return self._fallback().keys(prefix)

    def now_seconds(self) -> float:
        """Return the service's clock, to the second."""
        return self._fallback().now_seconds()

    @property
    def _goes_lightly(self) -> bool:
        return not self._access.has_proxies

    def _fallback(self) -> GcsBackend:
        with self._lock:
            if self._bulk is None:
                from synccore.backends.gcs import GcsBackend

                self._bulk = GcsBackend(self._store.bucket, self._store.prefix, self._access, tokens=self._tokens)
            return self._bulk

    # -- one request ---------------------------------------------------------------------------------------------------

    def _send(self, call: Call) -> Answer:
        """Make *call*, with a new token if the first is refused.

        Raises:
            _UnusualError: it should be made another way.
        """
        token = self._authorization()
        answer = self._exchange(call, token)
        if answer.status == UNAUTHORIZED and token is not None:
            answer = self._exchange(call, self._tokens.renew(token))
        if answer.status == UNAUTHORIZED or answer.status in _BAD_REQUESTS:
            raise _UnusualError
        if answer.status in _REDIRECTS and answer.status != NOT_MODIFIED:
            raise _UnusualError
        return answer

    def _authorization(self) -> Token | None:
        return None if self._access.emulator_host is not None else self._tokens.current()

    def _exchange(self, call: Call, token: Token | None) -> Answer:
        """Make *call* once, on a kept connection or a new one."""
        end = time.monotonic() + self._access.deadline_seconds
        connection = self._connections.take(_left(end))
        if connection is not None:
            try:
                return self._exchange_on(connection, call, token, end)
            except ConnectionError as error:
                if call.writes:
                    raise self._store.unavailable(call, _reason(error), ambiguous=True) from error
            except (OSError, HttpError) as error:
                raise self._store.unavailable(call, _reason(error), ambiguous=call.writes) from error
        try:
            connection = self._connections.make(_left(end))
        except ssl.SSLCertVerificationError as error:
            raise _UnusualError from error
        except OSError as error:
            raise self._store.unreachable(call, _reason(error)) from error
        try:
            return self._exchange_on(connection, call, token, end)
        except (OSError, HttpError) as error:
            raise self._store.unavailable(call, _reason(error), ambiguous=call.writes) from error

    def _exchange_on(self, connection: socket.socket, call: Call, token: Token | None, end: float) -> Answer:
        """Send *call* and read its whole answer.

        What is left until *end* is the patience for the answer's first byte, and for each part of a large body to be taken.
        """
        headers = dict(call.headers)
        if token is not None:
            headers["Authorization"] = f"Bearer {token.text}"
        connections = self._connections
        request = Request(call.method, connections.path + call.path, connections.host, headers, call.body)
        good = False
        try:
            connection.settimeout(_left(end))
            response = exchange(
                connection, request, next_seconds=self._access.deadline_seconds, heard=self._access.heard
            )
            good = response.is_reusable
        finally:
            if good:
                self._connections.keep(connection)
            else:
                connection.close()
        return Answer(response.status, response.headers, response.body)


def _left(end: float) -> float:
    """Return the seconds until *end*: at least some, since none would mean not to wait at all."""
    return max(0.001, end - time.monotonic())


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer came in time"
    return " ".join((str(error) or type(error).__name__).split())
