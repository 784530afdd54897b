"""One user's part of a lab store, as a laptop uses it.

Invariant: whoever holds a `Store` needs nothing else to move the head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from synccore.backends.base import Unchanged, Writer
from synccore.backends.patience import USUAL, Patience
from synccore.errors import NotFoundError
from synccore.manifest import Manifest, decode_manifest
from synccore.places import ObjectRef
from synccore.provenance import Author
from synccore.refs import HeadAt, NoHead, read_head
from synccore.repository import ObjectReader, ObjectWriter
from synccore.worktree.laptop import LaptopState


class Store(NamedTuple):
    """Where a push goes, and who pushes.

    Attributes:
        backend: the storage.
        user: whose head is moved.
        state: what this machine remembers of it; one for each store and user.
        author: who this is.
        now_ns: the clock, in nanoseconds since 1970.
        patience: how long a move of the head is tried again whose outcome is in doubt.
    """

    backend: Writer
    user: str
    state: LaptopState
    author: Author
    now_ns: Callable[[], int]
    patience: Patience = USUAL

    @property
    def objects(self) -> ObjectWriter:
        """Where immutable objects are stored."""
        return ObjectWriter(self.backend, self.user)

    def load_manifest(self, ref: ObjectRef) -> Manifest:
        """Load a manifest from this machine's memory, or else from the store."""
        kept = self.state.manifest(ref)
        if kept is not None:
            # It has the digest of what was compared with its snapshot id before it was kept.
            return decode_manifest(kept, f"kept manifest {ref.digest.hex()}")
        stored = ObjectReader(self.backend, self.user).load_manifest(ref)
        self.state.keep_manifest(ref, stored.data)
        return stored.manifest

    def read_head(self) -> HeadAt | NoHead:
        """Get the head; a place that the first put will make counts as one without."""
        return self.newer_head(NoHead()) or NoHead()

    def newer_head(self, at: HeadAt | NoHead) -> HeadAt | NoHead | None:
        """Ask whether the head is still *at*: one conditional get; ``None`` means that it is."""
        try:
            found = read_head(self.backend, self.user, unless=at.version if isinstance(at, HeadAt) else None)
        except NotFoundError as error:
            if not error.facts.get("is_made_by_put"):
                raise
            found = NoHead()
        if isinstance(found, Unchanged) or (isinstance(found, NoHead) and isinstance(at, NoHead)):
            return None
        return found
