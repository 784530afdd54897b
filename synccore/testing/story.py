"""The story of a store, told step by step, with all that must be remembered of it.

Invariant: what is expected is noted when it happens, from the trees that were laid out, and not asked of the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from synccore.backends.memory import MemoryBackend
from synccore.delete import delete
from synccore.keys import head_key
from synccore.prune import PruneReport, Retention, prune
from synccore.testing.lab import USER, Lab
from synccore.testing.restoring import Restorer
from synccore.testing.trees import NodeTree, TreeLiteral, nodes

DAY_SECONDS = 24 * 3600.0


class Story:
    """One laptop and its store, whose clock goes by only when it is told to.

    Attributes:
        lab: the laptop, the machine and the store.
        backend: the storage.
        now_seconds: the storage's clock.
        trees: what every repository was after each record.
        ended_seconds: for each record but the newest: when the next one came.
        retention: what the prunes of this story keep.
    """

    def __init__(self, folder: Path, retention: Retention) -> None:
        self.now_seconds = 1_000_000_000.0
        self.backend = MemoryBackend(clock=lambda: self.now_seconds)
        self.lab = Lab(folder, self.backend)
        self.lab.clock.run_ahead()
        self.retention = retention
        self.trees: dict[int, dict[str, NodeTree]] = {}
        self.ended_seconds: dict[int, float] = {}
        self._now: dict[str, NodeTree] = {}

    def wait(self, days: float) -> None:
        """Let the storage's clock go on."""
        self.now_seconds += days * DAY_SECONDS

    def upload(self, *, force: bool = True, **repos: TreeLiteral) -> None:
        """Make the laptop's trees of *repos* these and upload them."""
        self.lab.laptop.lay(**repos)
        self.lab.laptop.push(*repos, force=force)
        self._now.update({repo: nodes(literal) for repo, literal in repos.items()})
        self._note()

    def delete(self, repo: str) -> None:
        """Take *repo* out, if it is there."""
        if repo in self._now:
            delete(repo, store=self.lab.laptop.store)
            del self._now[repo]
            self._note()

    def prune(self, *, dry_run: bool = False) -> PruneReport:
        """Prune the store."""
        return prune(USER, self.backend, retention=self.retention, dry_run=dry_run)

    def restored(self) -> Mapping[int, dict[str, NodeTree]]:
        """Restore every snapshot after the horizon."""
        restorer = Restorer(self.backend, USER)
        sequences = range(restorer.head.horizon + 1, restorer.head.sequence + 1)
        return {sequence: restorer.restore(sequence) for sequence in sequences}

    def kept(self) -> set[int]:
        """Return the records whose snapshots must be restorable now, by the rule of the retention."""
        newest = max(self.trees, default=0)
        since = self.now_seconds - self.retention.seconds
        return {
            sequence
            for sequence in self.trees
            if sequence > newest - self.retention.records or self.ended_seconds.get(sequence, self.now_seconds) >= since
        }

    def assert_restorable(self) -> None:
        """Check that all that must be restorable is, and that what is after the horizon is what it was."""
        restored = self.restored()
        assert self.kept() <= restored.keys()
        assert restored == {sequence: self.trees[sequence] for sequence in restored}

    def _note(self) -> None:
        sequence = self.lab.head().sequence
        if sequence in self.trees:
            return
        self.trees[sequence] = dict(self._now)
        if sequence > 1:
            self.ended_seconds[sequence - 1] = self.backend.objects[head_key(USER)].modified_seconds


@contextmanager
def story(retention: Retention) -> Iterator[Story]:
    """A new story in a folder that is gone afterwards."""
    with TemporaryDirectory(prefix="story-") as folder:
        yield Story(Path(folder), retention)


@contextmanager
def small_heads() -> Iterator[None]:
    """Let writers fold after a few records, spill a few contents and give a listing of a few entries a manifest, so that short stories have it all."""
    with (
        patch("synccore.fold.FOLD_ABOVE_RECORDS", 5),
        patch("synccore.fold.KEEP_RECORDS", 2),
        patch("synccore.fold.SPILL_ABOVE_BYTES", 600),
        patch("synccore.draft._MAX_LISTING_BYTES", 330),
    ):
        yield
