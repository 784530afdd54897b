"""A whole lab against a model of it: laptops and machines do whatever people do, in any order.

The model is what docs/sync-semantics.md says, in dictionaries: what the store has, what each laptop has had, what each
machine was last brought to, and which edits were made on machines.
"""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synccore import moves
from synccore.backends.memory import MemoryBackend
from synccore.delete import delete
from synccore.errors import ConflictError, ErrorKind, NotFoundError, WorktreeError
from synccore.pullreport import PullOutcome
from synccore.push import PushOutcome
from synccore.testing.invariants import assert_not_lost, assert_nothing_unfinished, assert_same_tree, assert_sound
from synccore.testing.lab import Lab, Machine
from synccore.testing.strategies import file_nodes, paths, small_contents, trees, without_clashes
from synccore.testing.trees import Node, NodeTree, noise, read

pytestmark = pytest.mark.vm


class _Upload(NamedTuple):
    """How an upload is done, and which machine pulls it at once, if any."""

    force: bool
    together: bool
    then_pull: int | None


# Three of the larger ones make the journal pass its cap, so that folds are frequent.
contents = small_contents() | small_contents() | st.integers(0, 9).map(lambda seed: noise(50_000, seed))
repos = st.sampled_from(("alpha", "beta"))
two = st.integers(0, 1)
uploads = st.builds(
    _Upload,
    force=st.sampled_from((True, True, False)),
    together=st.booleans(),
    then_pull=st.sampled_from((None, 0, 0, 1)),
)
edits = st.lists(st.tuples(paths(), st.none() | file_nodes(contents)), min_size=1, max_size=2)


class LabOfMany(RuleBasedStateMachine):
    """Two laptops, two machines, two repositories."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="lab-")
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(moves, "_FEWEST", 1)
        self.lab = Lab(Path(self.folder.name), MemoryBackend())
        self.laptops = [self.lab.laptop, self.lab.another_laptop("other-laptop")]
        self.machines = [self.lab.machine, self.lab.another_machine("other-machine")]
        self.stored: dict[str, NodeTree] = {}
        self.had: list[dict[str, NodeTree]] = [{}, {}]
        self.brought: list[dict[str, NodeTree]] = [{}, {}]
        self.edits: list[dict[str, bytes]] = [{}, {}]
        self.edited: list[set[str]] = [set(), set()]
        self.forgot: list[set[str]] = [set(), set()]
        self.edit_count = 0

    def teardown(self) -> None:
        assert_sound(self.lab.inner)
        self.patch.undo()
        self.folder.cleanup()

    @initialize(alpha=trees(contents), beta=trees(contents), is_slow=st.booleans())
    def begin(self, alpha: NodeTree, beta: NodeTree, is_slow: bool) -> None:  # noqa: FBT001 - drawn by name
        if is_slow:
            # As if much time passed between the steps: what was read once is not read again.
            self.lab.clock.run_ahead()
        for laptop in self.laptops:
            laptop.lay(alpha=alpha, beta=beta)
        self._push(0, {"alpha", "beta"}, force=False)
        self._push(1, {"alpha", "beta"}, force=False)

    # On laptops

    @rule(who=two, repo=repos, tree=trees(contents), how=uploads)
    def upload_another_tree(self, who: int, repo: str, tree: NodeTree, how: _Upload) -> None:
        self.laptops[who].lay(**{repo: tree})
        self._upload(who, repo, how)

    @rule(who=two, repo=repos, edits=edits, how=uploads)
    def upload_an_edit(self, who: int, repo: str, edits: list[tuple[str, Node | None]], how: _Upload) -> None:
        before = read(self.laptops[who].code / repo)
        gone = {path for path, node in edits if node is None}
        kept = [item for item in before.items() if item[0] not in gone]
        new = [(path, node) for path, node in edits if node is not None]
        self.laptops[who].lay(**{repo: without_clashes([*kept, *new])})
        self._upload(who, repo, how)

    @rule(who=two, repo=repos, old=paths(), new=paths(), how=uploads)
    def upload_a_renamed_directory(self, who: int, repo: str, old: str, new: str, how: _Upload) -> None:
        before = read(self.laptops[who].code / repo)
        renamed = [
            (new + path[len(old) :] if path.startswith(f"{old}/") else path, node) for path, node in before.items()
        ]
        self.laptops[who].lay(**{repo: without_clashes(renamed)})
        self._upload(who, repo, how)

    def _upload(self, who: int, repo: str, how: _Upload) -> None:
        self._push(who, {"alpha", "beta"} if how.together else {repo}, force=how.force)
        if how.then_pull is not None:
            self._pull(how.then_pull)

    def _push(self, who: int, wanted: set[str], *, force: bool) -> None:
        laptop = self.laptops[who]
        views = {repo: read(laptop.code / repo) for repo in sorted(wanted)}
        unseen = {
            repo
            for repo, view in views.items()
            if repo in self.stored and self.stored[repo] not in (self.had[who].get(repo), view)
        }
        refused: ErrorKind | None = None
        try:
            report = laptop.push(*views, force=force)
        except (ConflictError, WorktreeError) as error:
            refused = error.kind
        if refused is ErrorKind.DELETION_GUARD and not force:
            assert not all(views.values())
            return
        assert refused is (ErrorKind.UNSEEN_SNAPSHOT if unseen and not force else None)
        if refused:
            return
        changed = {line.repo for line in report.repos if line.outcome is PushOutcome.PUBLISHED}
        assert changed == {repo for repo, view in views.items() if self.stored.get(repo) != view}
        self.stored.update(views)
        self.had[who].update(views)

    @rule(who=two, repo=repos, is_delete=st.booleans())
    def delete_or_lose_a_laptops_memory(self, who: int, repo: str, is_delete: bool) -> None:  # noqa: FBT001 - drawn by name
        if not is_delete:
            self.laptops[who].forget()
            self.had[who].clear()
            return
        try:
            delete(repo, store=self.laptops[who].store)
        except NotFoundError:
            assert repo not in self.stored
            return
        del self.stored[repo]
        self.had[who].pop(repo, None)

    # On machines

    @rule(who=two)
    def pull(self, who: int) -> None:
        self._pull(who)

    def _pull(self, who: int) -> None:
        machine = self.machines[who]
        report = machine.pull()
        brought = self.brought[who]
        for repo in self.stored:
            brought[repo] = self.stored[repo]
        self._check_trees(who)
        lines = {line.repo: line.outcome for line in report.repos}
        assert {repo for repo in lines if lines[repo] is not PullOutcome.NO_LONGER_UPDATED} == self.stored.keys()
        self._check_that_twice_is_once(machine)

    @rule(who=two, repo=repos, path=paths())
    def edit_on_a_machine(self, who: int, repo: str, path: str) -> None:
        root = self.machines[who].home / repo
        place = root / path
        blocked = any(parent.is_symlink() or parent.is_file() for parent in place.parents if parent != root)
        if not root.is_dir() or blocked or (place.is_dir() and not place.is_symlink()):
            return
        name = f"{repo}/{path}"
        if name in self.edits[who] and place.exists() and place.read_bytes() == self.edits[who][name]:
            del self.edits[who][name]
        self.edit_count += 1
        data = f"hers {self.edit_count}".encode()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(data)
        # What was saved before stays saved, but only the newest is looked for under its name.
        self.edits[who][name] = data
        self.edited[who].add(repo)

    @rule(who=two, repo=st.none() | repos)
    def lose_a_machines_memory_or_a_tree(self, who: int, repo: str | None) -> None:
        if repo is not None:
            self._remove_tree(who, repo)
            return
        self.machines[who].forget()
        self.forgot[who].update(self.brought[who])
        # What is no longer synchronised is from now on hers.
        for stopped in self.brought[who].keys() - self.stored.keys():
            del self.brought[who][stopped]

    def _remove_tree(self, who: int, repo: str) -> None:
        root = self.machines[who].home / repo
        if not root.exists():
            return
        in_place = {f"{repo}/{path}" for path in read(root)}
        shutil.rmtree(root)
        self.brought[who].pop(repo, None)
        self.edited[who].discard(repo)
        self.forgot[who].discard(repo)
        for name in in_place & self.edits[who].keys():
            del self.edits[who][name]

    # What holds

    def _check_trees(self, who: int) -> None:
        machine = self.machines[who]
        for repo, expected in self.brought[who].items():
            found = machine.read(repo)
            if repo not in self.edited[who] | self.forgot[who]:
                assert_same_tree(found, expected)
                continue
            hers = set(self.edits[who].values())
            if repo in self.stored:
                assert [p for p, node in expected.items() if found.get(p) != node and found.get(p) not in hers] == []

    def _check_that_twice_is_once(self, machine: Machine) -> None:
        before = machine.trees()
        assert self.lab.counted(machine.pull) == {"conditional_get": 1}
        assert {line.outcome for line in machine.pull().repos} <= {PullOutcome.UNCHANGED, PullOutcome.NO_LONGER_UPDATED}
        assert machine.trees() == before
        assert_nothing_unfinished(machine)

    @invariant()
    def no_edit_is_lost(self) -> None:
        for machine, edits in zip(self.machines, self.edits, strict=True):
            if edits:
                assert_not_lost(edits, machine)

    @invariant()
    def the_head_names_what_was_uploaded(self) -> None:
        assert set(self.lab.snapshots()) == set(self.stored)


IS_DEEP = settings().max_examples > 100
LabOfMany.TestCase.settings = settings(max_examples=400 if IS_DEEP else 40, stateful_step_count=60 if IS_DEEP else 25)
TestALab = LabOfMany.TestCase
