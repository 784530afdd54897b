"""The repository against dictionaries of trees: what was stored is what is loaded, whatever was folded and deleted between."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synccore import fold, moves
from synccore.backends.memory import MemoryBackend
from synccore.bundle import open_block, take_chunk
from synccore.delete import delete
from synccore.errors import NotFoundError
from synccore.history import log
from synccore.journal import decode_delta
from synccore.manifest import Manifest, chunks_of
from synccore.places import InlineBlock, ObjectRef, StoredBlock
from synccore.provenance import SnapshotId
from synccore.repository import ObjectReader
from synccore.testing.invariants import assert_sound
from synccore.testing.lab import USER, Lab
from synccore.testing.strategies import contents_around_the_boundary, small_contents, trees
from synccore.testing.trees import NodeTree, content_of, entries, snapshot_of
from synccore.trees import chain, overlay, tree_of

pytestmark = pytest.mark.vm

REPOS = ("alpha", "beta", "gamma")
some_trees = trees(small_contents() | small_contents() | small_contents() | contents_around_the_boundary(), max_files=5)


class RepositoryOfTrees(RuleBasedStateMachine):
    """One writer, three repositories, and a head that is folded all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="repository-")
        self.patch = pytest.MonkeyPatch()
        self.lab = Lab(Path(self.folder.name), MemoryBackend())
        self.objects = ObjectReader(self.lab.inner, USER)
        self.stored: dict[str, NodeTree] = {}
        self.past: list[dict[str, tuple[bytes | None, bytes | None, int]]] = []
        self.had: dict[str, list[NodeTree]] = {repo: [] for repo in REPOS}
        self.is_checked = True

    def teardown(self) -> None:
        if self.past:
            assert_sound(self.lab.inner)
        self.patch.undo()
        self.folder.cleanup()

    @initialize(
        above=st.sampled_from((1, 3, 8)),
        kept=st.sampled_from((1, 2, 5)),
        spilled=st.sampled_from((0, 500, 10_000)),
        fewest=st.sampled_from((1, 2, 8)),
    )
    def choose_caps(self, above: int, kept: int, spilled: int, fewest: int) -> None:
        self.patch.setattr(fold, "FOLD_ABOVE_RECORDS", above)
        self.patch.setattr(fold, "KEEP_RECORDS", kept)
        self.patch.setattr(fold, "SPILL_ABOVE_BYTES", spilled)
        self.patch.setattr(moves, "_FEWEST", fewest)

    @rule(wanted=st.dictionaries(st.sampled_from(REPOS), some_trees, min_size=1, max_size=2))
    def store(self, wanted: dict[str, NodeTree]) -> None:
        self.lab.laptop.lay(**wanted)
        self.lab.laptop.push(*wanted, force=True)
        changed = {repo: tree for repo, tree in wanted.items() if self.stored.get(repo) != tree}
        if changed:
            self.past.append(
                {repo: (self._id(self.stored.get(repo)), self._id(tree), len(tree)) for repo, tree in changed.items()}
            )
        for repo, tree in changed.items():
            self.stored[repo] = tree
            self.had[repo].append(tree)
        self.is_checked = False

    @rule(repo=st.sampled_from(REPOS), number=st.integers(0, 5))
    def store_again_what_was_stored_before(self, repo: str, number: int) -> None:
        if self.had[repo]:
            self.store({repo: self.had[repo][number % len(self.had[repo])]})

    @rule(repo=st.sampled_from(REPOS))
    def delete(self, repo: str) -> None:
        try:
            delete(repo, store=self.lab.laptop.store)
        except NotFoundError:
            assert repo not in self.stored
            return
        self.past.append({repo: (self._id(self.stored.pop(repo)), None, 0)})
        # No way of changes leads through the time when it was not there.
        self.had[repo].clear()
        self.is_checked = False

    def _id(self, tree: NodeTree | None) -> bytes | None:
        return None if tree is None else snapshot_of(entries(tree))

    @invariant()
    def what_is_loaded_is_what_was_stored(self) -> None:
        if self.is_checked:
            return
        self.is_checked = True
        head = self.lab.head()
        assert head.repos.keys() == self.stored.keys()
        for repo, tree in self.stored.items():
            found = tree_of(head, repo, self._load)
            assert found.tree == entries(tree)
            assert self._contents(found) == {path: content_of(node) for path, node in tree.items()}
            assert (head.repos[repo].files, head.repos[repo].snapshot) == (len(tree), self._id(tree))
            self._check_ways(repo, found)
        assert [
            {repo.repo: (repo.before, repo.after, repo.counts.files) for repo in line.repos}
            for line in log(USER, self.lab.inner, limit=10_000)
        ] == self.past[::-1]

    def _check_ways(self, repo: str, now: Manifest) -> None:
        """Check that every way along the records leads from what it says to what is there now."""
        head = self.lab.head()
        for tree in self.had[repo]:
            before = self._id(tree)
            assert before is not None
            changes = chain(head.records, repo, SnapshotId(before), head.repos[repo].snapshot)
            deltas = [decode_delta(change, "a record") for change in changes or ()]
            for delta in deltas:
                self._contents(Manifest(now.snapshot, delta.changed, delta.places))
            if deltas and all(delta.manifest is None for delta in deltas):
                assert overlay(entries(tree), deltas, "it") == now.tree

    def _load(self, ref: ObjectRef) -> Manifest:
        return self.objects.load_manifest(ref).manifest

    def _contents(self, found: Manifest) -> dict[str, bytes]:
        blocks = {found.places[chunk.digest].block for entry in found.tree.values() for chunk in chunks_of(entry)}
        stored = self.objects.load_frames(it for it in blocks if isinstance(it, StoredBlock))
        plain: dict[object, bytes] = {frame.block: frame.open() for run in stored for frame in run}
        for it in blocks:
            if isinstance(it, InlineBlock):
                plain[it] = open_block(it.frame, it.plain_bytes, it.checksum, "inline")
        return {
            path: b"".join(
                take_chunk(plain[place.block], place.offset, chunk, path)
                for chunk in chunks_of(entry)
                for place in [found.places[chunk.digest]]
            )
            for path, entry in found.tree.items()
        }


IS_DEEP = settings().max_examples > 100
RepositoryOfTrees.TestCase.settings = settings(
    max_examples=400 if IS_DEEP else 30, stateful_step_count=50 if IS_DEEP else 20
)
TestARepository = RepositoryOfTrees.TestCase
