"""What the checks look at: this machine's lab, and the ways to ask the cloud about it.

Invariant: making one touches no disk and no network; what is found out on the way is read-only for all checks but those that find it.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from epic_lab import synccode
from epic_lab.config import PROJECT, Config, Store
from epic_lab.errors import LabError
from epic_lab.lab import Lab
from synccore.backends.gcs_tokens import Tokens

if TYPE_CHECKING:
    from epic_lab.gcp.apis import Answer, GoogleApis


class Case:
    """One machine, examined once.

    Args:
        lab: whose things are looked at.
        patience_seconds: how long nothing may come from a network.

    Attributes:
        identity: as whom the cloud knows us, as ``user:ana@lab.org``, once the check `identity` has ended; ``None`` where unknown.
        proven: the permissions on the user's objects that were seen to be granted, once the checks `head` and `writable` have ended.
    """

    def __init__(self, lab: Lab, *, patience_seconds: float) -> None:
        self.lab = lab
        self.patience_seconds = patience_seconds
        self.identity: str | None = None
        self.proven: set[str] = set()
        # No kept token is used: whether one can be had is the question.
        access = synccode.access(lab, deadline_seconds=patience_seconds, keeps_tokens=False)
        self.tokens = Tokens(access, wide=True)

    @cached_property
    def config(self) -> Config:
        """The configuration, as it was read first.

        Raises:
            LabError: there is none, or it cannot be read.
        """
        return self.lab.config()

    @property
    def store(self) -> Store:
        """Where code is stored, and whose it is.

        Raises:
            LabError: as `Config.require_store`.
        """
        return self.config.require_store()

    @property
    def bucket(self) -> str | None:
        """The store's bucket; ``None`` where the store is a folder.

        Raises:
            LabError: as `Config.require_store`.
        """
        return bucket_of(self.store.base_url)

    @property
    def is_vm(self) -> bool:
        """Whether this machine is a VM, by its configuration; where that cannot be read it counts as a laptop."""
        try:
            return not self.config.is_laptop
        except LabError:
            return False

    @property
    def has_project(self) -> bool:
        """Whether a project is configured."""
        return self.config.value(PROJECT) is not None

    @property
    def has_emulator(self) -> bool:
        """Whether a server stands in for Google's storage, which asks for no identity."""
        return self.lab.environment.storage_emulator_host is not None

    @property
    def member(self) -> str:
        """Who should be granted something, as gcloud writes it."""
        return self.identity or "user:YOU@EXAMPLE.ORG"

    @property
    def google(self) -> GoogleApis:
        """Google's control APIs.

        Raises:
            LabError: the configuration names an address that is none.
        """
        from epic_lab.gcp.apis import GoogleApis

        return GoogleApis(
            tokens=self.tokens,
            endpoint=self.config.api_endpoint(),
            patience_seconds=self.patience_seconds,
            # A user's questions Google wants to account to a project; a machine's it accounts to the machine's own.
            quota_project=self.config.value(PROJECT) if self.credentials_kind == "authorized_user" else None,
        )

    def ask_oauth(self, path: str, *, query: tuple[tuple[str, str], ...]) -> Answer:
        """Ask the API that knows tokens; a token in *query* is the only credential."""
        from epic_lab.gcp.apis import OAUTH2, GoogleApis

        apis = GoogleApis(tokens=None, endpoint=self.config.api_endpoint(), patience_seconds=self.patience_seconds)
        return apis.ask(OAUTH2, path, query=query, method="POST")

    def ask_storage(self, path: str, *, query: tuple[tuple[str, str], ...] = (), anonymously: bool = False) -> Answer:
        """Ask the storage's JSON API something that is none of a store's everyday requests."""
        from epic_lab.gcp.apis import GoogleApis
        from synccore.backends.opening import endpoint_of

        apis = GoogleApis(
            tokens=None if anonymously or self.has_emulator else self.tokens,
            endpoint=None,
            patience_seconds=self.patience_seconds,
        )
        endpoint = endpoint_of(synccode.access(self.lab))
        return apis.ask(endpoint, path, query=query)

    @property
    def credentials_kind(self) -> str | None:
        """The ``type`` that the credentials file says it is of; ``None`` where there is no such file, or none that says it."""
        file = self.lab.environment.credentials_file
        try:
            content = json.loads(file.read_bytes()) if file is not None else None
        except (OSError, ValueError):
            return None
        kind = content.get("type") if isinstance(content, dict) else None
        return kind if isinstance(kind, str) else None


def bucket_of(base_url: str) -> str | None:
    """Return the bucket that *base_url* names, or ``None`` where it names none."""
    scheme, _, rest = base_url.partition("://")
    return rest.split("/")[0] if scheme == "gs" else None


def bucket_path(bucket: str) -> str:
    """Return where the storage's API has *bucket*."""
    return f"/storage/v1/b/{quote(bucket, safe='')}"
