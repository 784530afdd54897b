"""What a tool must be able to say of itself.

Invariant: nothing here is timed but the commands of `upload` and `download`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from benchmarks.object_server import BUCKET, SEEDED_PREFIX
from benchmarks.site import Command, Site

PREFIX = f"gs://{BUCKET}/{SEEDED_PREFIX}"


class Tool(ABC):
    """A way to bring a working tree from the laptop to the machine.

    Attributes:
        name: in tables and on the command line.
        leaves_deleted: a file that is gone on the laptop stays on the machine.
        only_first: it keeps nothing between two runs, so that there is nothing but first uploads and downloads.
        local: it does not go over the network.
        can_be_seeded: where its first times take longer than anybody waits, bucket and machine can be brought to what it
            would have left there, so that the other steps are measured all the same.
    """

    name: str
    leaves_deleted = False
    only_first = False
    local = False
    can_be_seeded = False

    @abstractmethod
    def absence(self, cache: Path) -> str | None:
        """Return why it cannot be measured here, or ``None``."""

    @abstractmethod
    def version(self, cache: Path) -> str:
        """Return its version, as it says it."""

    def fetch(self, cache: Path, *, install: bool) -> None:  # noqa: B027 - most have nothing to fetch
        """Put into *cache* what it takes; only with *install* may the machine itself be changed."""

    @abstractmethod
    def set_up(self, site: Site) -> None:
        """Configure both computers of a cleared *site*."""

    @abstractmethod
    def upload(self, site: Site) -> list[Command]:
        """Return what is run on the laptop to publish the tree."""

    @abstractmethod
    def download(self, site: Site) -> list[Command]:
        """Return what is run on the machine to get it."""
