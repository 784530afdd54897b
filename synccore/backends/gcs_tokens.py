"""Access tokens for Google Cloud Storage, from wherever this machine has them, with as little effort as may be.

On a machine of Google's the metadata server hands them out. Elsewhere google-auth gets one from the user's credentials,
which takes it a quarter of a second and a round trip; so its token is kept for its lifetime in a private file, together
with a digest of the credentials that it belongs to.

Invariant: a token from the file is used only if nobody but its owner can read or write that file and the credentials are
still, byte for byte, those that it was made from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from synccore.backends.connecting import connect
from synccore.backends.gcs_api import NOT_FOUND, OK
from synccore.backends.http1 import HttpError, Request, exchange
from synccore.errors import BackendError, ErrorKind, UnavailableError

if TYPE_CHECKING:
    from synccore.backends.opening import Access

SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
WIDE_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")

_METADATA_HOST = "metadata.google.internal"
_METADATA_PORT = 80
_METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default"
_PRODUCT_NAME = Path("/sys/class/dmi/id/product_name")
_METADATA_PATIENCE_SECONDS = 5.0

# A token that ends within this time is not begun with.
_MARGIN_SECONDS = 60.0
_FILE_FORMAT = 1


class Token(NamedTuple):
    """An access token and when it ends, in seconds since 1970."""

    text: str
    expires_seconds: float


class Tokens:
    """Where the tokens of one `Access` come from. Safe to use from several threads.

    Args:
        access: as whom.
        clock: seconds since 1970.
        product_name: the file in which the machine's firmware says what it is.
        wide: whether the tokens are to serve for everything that the credentials are good for, instead of storage alone.
    """

    def __init__(
        self,
        access: Access,
        *,
        clock: Callable[[], float] = time.time,
        product_name: Path = _PRODUCT_NAME,
        wide: bool = False,
    ) -> None:
        self._access = access
        self._clock = clock
        self._product_name = product_name
        self._wide = wide
        self._token: Token | None = None
        self._lock = threading.Lock()

    def current(self) -> Token:
        """Return a token that will hold for a while.

        Raises:
            BackendError: there are no credentials (``NO_CREDENTIALS``), or they were refused.
            UnavailableError: whoever makes tokens does not answer.
        """
        with self._lock:
            token = self._token or self._read_file()
            if token is None or token.expires_seconds - _MARGIN_SECONDS <= self._clock():
                token = self._make()
            self._token = token
            return token

    def renew(self, spurned: Token) -> Token:
        """Return another token than *spurned*, which the service would not take."""
        with self._lock:
            if self._token is None or self._token == spurned:
                self._token = self._make()
            return self._token

    def credentials(self) -> Any:
        """Return google-auth's credentials, which begin with the current token and know how to get others.

        Raises:
            BackendError, UnavailableError: as `current`.
        """
        token = self.current()
        if self.asks_metadata():
            import google.oauth2.credentials

            def refresh(_request: object, scopes: object) -> tuple[str, object]:  # noqa: ARG001  # google-auth's names
                renewed = self._ask_metadata()
                return renewed.text, _as_google_time(renewed.expires_seconds)

            credentials: Any = google.oauth2.credentials.Credentials(  # type: ignore[no-untyped-call]
                None, scopes=SCOPES, refresh_handler=refresh
            )
        else:
            credentials = self._load_credentials()
        credentials.token = token.text
        credentials.expiry = _as_google_time(token.expires_seconds)
        return credentials

    def asks_metadata(self) -> bool:
        """Tell whether tokens come from the metadata server: no credentials of the user's, on a machine of Google's."""
        if self._credentials_file() is not None:
            return False
        if self._access.metadata_host is not None:
            return True
        try:
            return "Google" in self._product_name.read_text(encoding="ascii", errors="replace")
        except OSError:
            return False

    def _credentials_file(self) -> Path | None:
        file = self._access.credentials_file
        return file if file is not None and file.is_file() else None

    def _make(self) -> Token:
        if self.asks_metadata():
            return self._ask_metadata()
        token = self._ask_google_auth()
        self._write_file(token)
        return token

    # -- the metadata server -------------------------------------------------------------------------------------------

    def _ask_metadata(self) -> Token:
        """Get a token as https://cloud.google.com/compute/docs/access/authenticate-workloads says."""
        host, status, body = self._get_metadata("/token")
        if status == NOT_FOUND:
            raise _no_credentials(f"the metadata server {host} says that this machine has no service account")
        if status != OK:
            raise _unavailable(f"the metadata server {host} answered {status}")
        try:
            content = json.loads(body)
            return _token_of(content["access_token"], self._clock() + float(content["expires_in"]))
        except (ValueError, KeyError, TypeError):
            raise _unavailable(f"the metadata server {host} answered with no token") from None

    def machine_account(self) -> str | None:
        """Return the address of the machine's service account, where tokens come from there.

        Raises:
            UnavailableError: the metadata server does not answer.
        """
        if not self.asks_metadata():
            return None
        _, status, body = self._get_metadata("/email")
        return body.decode("utf-8", "replace").strip() if status == OK else None

    def _get_metadata(self, path: str) -> tuple[str, int, bytes]:
        """Return who was asked for something of the machine's service account, the status and the answer."""
        host = self._access.metadata_host or _METADATA_HOST
        patience = min(_METADATA_PATIENCE_SECONDS, self._access.deadline_seconds)
        headers = {"Metadata-Flavor": "Google", "Connection": "close"}
        request = Request("GET", _METADATA_PATH + path, host, headers)
        try:
            place = urlsplit(f"//{host}")
            with connect(place.hostname or "", place.port or _METADATA_PORT, patience) as connection:
                response = exchange(connection, request, next_seconds=patience, heard=lambda: None)
        except (OSError, HttpError, ValueError) as error:
            raise _unavailable(f"the metadata server {host} did not answer: {error}") from error
        return host, response.status, response.body

    # -- google-auth ---------------------------------------------------------------------------------------------------

    def _load_credentials(self) -> Any:
        import google.auth
        import google.auth.exceptions

        file = self._credentials_file()
        libraries: Any = google.auth  # which is only partly typed
        try:
            if file is None:
                return libraries.default(scopes=WIDE_SCOPES if self._wide else SCOPES)[0]
            return _load_credentials_file(file, wide=self._wide)
        except (google.auth.exceptions.DefaultCredentialsError, OSError, ValueError) as error:
            where = f" in {file}" if file is not None else ""
            raise _no_credentials(f"there are no usable Google credentials{where}: {error}") from error

    def _ask_google_auth(self) -> Token:
        import google.auth.exceptions
        import google.auth.transport.requests

        credentials = self._load_credentials()
        request = google.auth.transport.requests.Request()
        try:
            credentials.refresh(request)
        except google.auth.exceptions.GoogleAuthError as error:
            raise refusal_of(error) from error
        finally:
            request.session.close()
        return Token(credentials.token, self._expiry_of(credentials))

    def _expiry_of(self, credentials: Any) -> float:
        from datetime import timezone

        expiry = credentials.expiry
        return self._clock() if expiry is None else float(expiry.replace(tzinfo=timezone.utc).timestamp())

    # -- the private file ----------------------------------------------------------------------------------------------

    def _identity(self) -> str | None:
        """Return the digest of the credentials that a kept token must belong to."""
        file = self._credentials_file()
        if file is None:
            return None
        try:
            return hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            return None

    def _read_file(self) -> Token | None:
        """Return the kept token if it is ours, private and good for a while; anything else counts as none."""
        identity = self._identity()
        if self._access.token_cache is None or identity is None:
            return None
        try:
            content = json.loads(_read_private(self._access.token_cache))
            if content["format"] != _FILE_FORMAT or content["identity"] != identity:
                return None
            token = _token_of(content["access_token"], float(content["expires_seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return token if token.expires_seconds - _MARGIN_SECONDS > self._clock() else None

    def _write_file(self, token: Token) -> None:
        """Keep *token*; where that cannot be done the next process asks again, so nobody is told."""
        identity = self._identity()
        if self._access.token_cache is None or identity is None:
            return
        content = {
            "format": _FILE_FORMAT,
            "identity": identity,
            "access_token": token.text,
            "expires_seconds": token.expires_seconds,
        }
        with contextlib.suppress(OSError):
            _write_private(self._access.token_cache, json.dumps(content).encode())


def _token_of(text: object, expires_seconds: float) -> Token:
    """Return a token of what somebody else has written; raise `ValueError` for what no request can carry in a line."""
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise ValueError("expected a token of printable ASCII")
    return Token(text, expires_seconds)


def _load_credentials_file(file: Path, *, wide: bool) -> Any:
    """Load credentials of the two kinds that people have by their own loaders, as google-auth wants it, or of any other.

    A user's are good for what the user agreed to when logging in; asking for more is refused, so *wide* asks for nothing by name.
    """
    import warnings

    import google.auth
    import google.oauth2.credentials
    import google.oauth2.service_account

    content = json.loads(file.read_bytes())
    kind = content.get("type") if isinstance(content, dict) else None
    libraries: Any = google
    scopes = WIDE_SCOPES if wide else SCOPES
    if kind == "authorized_user":
        return libraries.oauth2.credentials.Credentials.from_authorized_user_info(
            content, scopes=None if wide else scopes
        )
    if kind == "service_account":
        return libraries.oauth2.service_account.Credentials.from_service_account_info(content, scopes=scopes)
    if not isinstance(kind, str):
        raise ValueError('expected an object with a "type"')  # noqa: TRY004  # as the loaders do
    with warnings.catch_warnings():
        # It warns of files from untrusted hands; this one is the user's own.
        warnings.simplefilter("ignore", DeprecationWarning)
        return libraries.auth.load_credentials_from_file(str(file), scopes=scopes)[0]


def refusal_of(error: Exception) -> BackendError:
    """Translate what google-auth raised while it refreshed credentials or used them."""
    import google.auth.exceptions

    if isinstance(error, google.auth.exceptions.DefaultCredentialsError):
        return _no_credentials(f"there are no usable Google credentials: {error}")
    if isinstance(error, google.auth.exceptions.TransportError) or getattr(error, "retryable", False):
        return _unavailable(f"Google's credentials could not be refreshed now: {error}")
    return _no_credentials(f"Google's credentials were refused: {error}")


def _as_google_time(seconds: float) -> Any:
    """Return a time as google-auth keeps it: UTC without saying so."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)


def _no_credentials(why: str) -> BackendError:
    return BackendError(ErrorKind.NO_CREDENTIALS, " ".join(why.split()), hint="gcloud auth application-default login")


def _unavailable(why: str) -> UnavailableError:
    # No request for an object has been made yet, so there is no doubt about any.
    return UnavailableError(ErrorKind.UNAVAILABLE, " ".join(why.split()), ambiguous=False)


def _read_private(path: Path) -> bytes:
    """Read a file of ours that nobody else can read or write, not through a link; raise `OSError` for any other."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with open(handle, "rb") as file:  # noqa: PTH123  # of a handle
        if sys.platform != "win32":
            status = os.fstat(handle)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise PermissionError(f"{path} is not private")
        return file.read()


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f".{path.name}-{os.urandom(8).hex()}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123  # of a handle
            file.write(data)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink()
        raise
