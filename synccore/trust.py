"""Which certificates are believed when a service is spoken to over TLS.

Invariant: nothing is believed without a certificate that this machine, or else Mozilla's list, vouches for.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from contextlib import suppress

# As `openssl rehash` names the files of a directory in which a certificate is looked up by its subject.
_LOOKED_UP = re.compile(r"[0-9a-f]{8}\.[0-9]+")


class Trust:
    """What is believed, and no more of it than is needed.

    All authorities of a machine stand in one file, which takes 20 of a command's 100 ms to read. Many machines, Debian's and Ubuntu's
    among them, have each in a file of its own as well, and only the one that is needed is read then. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._is_whole = False

    def context(self) -> ssl.SSLContext:
        """Return a context that believes what this machine believes, or a part of it."""
        with self._lock:
            if self._context is None:
                self._context = _from_directory()
            return self._context or self._widen()

    def widened(self, refused: ssl.SSLContext) -> ssl.SSLContext | None:
        """Return a context that believes more than that which has *refused* a certificate, or ``None``."""
        with self._lock:
            if refused is not self._context:
                return self._context
            return None if self._is_whole else self._widen()

    def _widen(self) -> ssl.SSLContext:
        self._context, self._is_whole = trusted_context(), True
        return self._context


def trusted_context() -> ssl.SSLContext:
    """Return a context that believes what this machine believes."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and ssl.get_default_verify_paths().capath is None:
        # As where Python came from python.org and nobody installed its certificates.
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _from_directory() -> ssl.SSLContext | None:
    """Return a context that looks certificates up in the machine's directory of them; ``None`` if that would not be all that is meant.

    Whoever names a file by ``SSL_CERT_FILE`` means what is in it.
    """
    paths = ssl.get_default_verify_paths()
    is_file_named = bool(paths.cafile) and paths.cafile != paths.openssl_cafile
    if not paths.capath or is_file_named:  # each is None where there is no such thing
        return None
    with suppress(OSError):
        if any(_LOOKED_UP.fullmatch(name) for name in os.listdir(paths.capath)):  # noqa: PTH208 - names are all it takes
            return ssl.create_default_context(capath=paths.capath)
    return None
