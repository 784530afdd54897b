"""Checks of who we are to Google.

Invariant: no secret of a credentials file and no token is ever in a finding.
"""

from __future__ import annotations

import time

from epic_lab.doctor.case import Case
from epic_lab.doctor.finding import Check, Finding, cannot_tell, not_applicable, ok, wrong

_LOG_IN = "gcloud auth application-default login"
_PREFIX = "https://www.googleapis.com/auth/"
_ENOUGH_FOR_STORAGE = {"cloud-platform", "devstorage.read_write", "devstorage.full_control"}


def _needs_none(case: Case) -> Finding | None:
    """Return why nobody asks who we are, if nobody does."""
    if case.has_project:
        return None
    if case.bucket is None:
        return not_applicable("the store is a folder, and no project is configured")
    return (
        not_applicable("a server stands in for Google's storage, and no project is configured")
        if case.has_emulator
        else None
    )


def _credentials(case: Case) -> Finding:
    if (none := _needs_none(case)) is not None:
        return none
    file = case.lab.environment.credentials_file
    if file is not None and file.is_file():
        kind = case.credentials_kind
        if kind is None:
            why = f"{file} is no file of credentials, or cannot be read"
            return wrong(
                why, remedy=f"{_LOG_IN}\nor name another file in GOOGLE_APPLICATION_CREDENTIALS", file=str(file)
            )
        words = {"authorized_user": "a user's own", "service_account": "a service account's key"}
        return ok(f"{file} ({words.get(kind, kind)})", file=str(file), type=kind)
    if case.tokens.asks_metadata():
        return ok("the machine's service account, from its metadata server", file=None, type="metadata")
    return wrong(f"there is no {file}, and this is no machine of Google's", remedy=_LOG_IN, file=str(file))


def _token(case: Case) -> Finding:
    if (none := _needs_none(case)) is not None:
        return none
    token = case.tokens.current()
    minutes = max(0, round((token.expires_seconds - time.time()) / 60))
    return ok(f"an access token was issued, for {minutes} minutes")


def _identity(case: Case) -> Finding:
    if (none := _needs_none(case)) is not None:
        return none
    token = case.tokens.current().text
    answer = case.ask_oauth("/oauth2/v2/tokeninfo", query=(("access_token", token),))
    if not answer.is_ok:
        return cannot_tell(f"Google's token service answered {answer.said}")
    email = answer.document.get("email") or case.tokens.machine_account()
    scopes = [scope.removeprefix(_PREFIX) for scope in str(answer.document.get("scope", "")).split()]
    who = str(email) if email else "somebody whose address the credentials do not say"
    if email:
        kind = "serviceAccount" if str(email).endswith("gserviceaccount.com") else "user"
        case.identity = f"{kind}:{email}"
    if not _ENOUGH_FOR_STORAGE.intersection(scopes):
        return wrong(
            f"{who}, but the credentials are good for {', '.join(scopes) or 'nothing'} only, and not for storage",
            remedy=f"{_LOG_IN}\nOn a VM: stop it, and give it the access scope cloud-platform",
            identity=case.identity,
            scopes=scopes,
        )
    return ok(who, identity=case.identity, scopes=scopes)


CHECKS = (
    Check(
        name="credentials",
        asks="are there credentials for Google Cloud?",
        look=_credentials,
        needs=("configuration", "store"),
    ),
    Check(name="token", asks="does Google take them?", look=_token, needs=("credentials",)),
    Check(
        name="identity",
        asks="who are we then, and what are the credentials good for?",
        look=_identity,
        needs=("token",),
    ),
)
