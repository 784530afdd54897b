"""The URL of a remote, fit to be written down.

Invariant: what comes out carries no password, token or query.
"""

from __future__ import annotations

import re

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>[^?#]*)", re.DOTALL)
_SCP = re.compile(r"(?P<user>[^@/:\s]+):[^@/\s]*@(?P<rest>.+)", re.DOTALL)
_HOST_AND_PORT = re.compile(r"[^:]*(?::\d*)?|\[[^]]*\](?::\d*)?")

# The schemes whose user name is a part of the address (`git`), and no credential.
_USER_IS_ADDRESS = frozenset({"ssh", "git+ssh", "ssh+git"})


def without_credentials(url: str) -> str:
    """Return *url* without its password or token; of ssh addresses the user stays (``git@host:path``)."""
    match = _URL.match(url)
    if match is None:
        short = _SCP.fullmatch(url)
        return f"{short['user']}@{short['rest']}" if short else url
    authority, slash, path = match["rest"].partition("/")
    user, _, host = authority.rpartition("@")
    if not user and not _HOST_AND_PORT.fullmatch(authority) and "@" in path:
        # A password with a slash that nobody escaped: the address begins behind the last @.
        user, _, rest = match["rest"].rpartition("@")
        host, slash, path = rest.partition("/")
    keep = match["scheme"].lower() in _USER_IS_ADDRESS and user
    return f"{match['scheme']}://{user.partition(':')[0] + '@' if keep else ''}{host}{slash}{path}"
