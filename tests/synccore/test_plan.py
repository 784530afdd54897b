from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from synccore.diff import diff
from synccore.journal import Counts, Delta, Known, known_of
from synccore.manifest import Entry, FileKind, Tree
from synccore.plan import Plan, Verdict, judge, plan_from_deltas, plan_from_trees
from synccore.testing.strategies import histories, trees
from synccore.testing.trees import entries
from synccore.treepath import TreePath
from synccore.trees import overlay

knowns = st.none() | st.builds(Known, st.sampled_from(FileKind), st.sampled_from([b"1" * 32, b"2" * 32]))
entry_trees = trees().map(entries)


def delta_between(before: Tree, after: Tree) -> Delta:
    removed, changed, was = diff(before, after)
    return Delta(None, Counts(0, 0, 0, 0, 0), None, removed, changed, was, {})


def deltas_along(history: list[dict[TreePath, Entry]]) -> list[Delta]:
    return [delta_between(before, after) for before, after in pairwise(history)]


def carried_out(plan: Plan, local: Tree) -> tuple[dict[TreePath, Entry], dict[TreePath, Entry]]:
    """Return the tree that *plan* makes of *local*, and what it saves; as if directories were never in the way."""
    after, saved = dict(local), {}
    wants = [*((path, None) for path in plan.removes), *plan.writes.items()]
    for path, wanted in wants:
        there = after.get(path)
        known = known_of(there) if there else None
        verdict = judge(known, plan.ours[path], known_of(wanted) if wanted else None)
        if verdict is Verdict.SAVE_THEN_REPLACE and there is not None:
            saved[path] = there
        if verdict is not Verdict.LEAVE:
            after.pop(path, None)
            if wanted is not None:
                after[path] = wanted
    return after, saved


def as_known(tree: Tree) -> dict[TreePath, Known]:
    return {path: known_of(entry) for path, entry in tree.items()}


@given(knowns, st.frozensets(knowns.filter(bool)), knowns)
def test_what_is_neither_ours_nor_wanted_is_saved_before_anything_is_done(
    found: Known | None, ours: frozenset[Known], wanted: Known | None
) -> None:
    verdict = judge(found, ours, wanted)
    is_somebodys = found is not None and found not in ours and found != wanted
    assert (verdict is Verdict.SAVE_THEN_REPLACE) == is_somebodys
    assert (verdict is Verdict.LEAVE) == (found == wanted)


@given(entry_trees, entry_trees)
def test_a_tree_that_is_as_we_left_it_becomes_the_target_without_a_conflict(base: Tree, target: Tree) -> None:
    after, saved = carried_out(plan_from_trees(base, target), base)
    assert saved == {}
    assert as_known(after) == as_known(target)


@given(entry_trees, entry_trees)
def test_a_target_that_is_the_base_asks_for_nothing_whatever_is_there(base: Tree, local: Tree) -> None:
    plan = plan_from_trees(base, base)
    assert plan == Plan({}, {}, {})
    assert carried_out(plan, local) == (local, {})


@given(entry_trees, entry_trees)
def test_a_tree_that_is_the_target_already_is_left_alone(base: Tree, target: Tree) -> None:
    after, saved = carried_out(plan_from_trees(base, target), target)
    assert (after, saved) == (target, {})


@given(entry_trees, entry_trees, entry_trees)
def test_every_edit_in_the_way_is_saved_and_every_other_stays(base: Tree, local: Tree, target: Tree) -> None:
    plan = plan_from_trees(base, target)
    after, saved = carried_out(plan, local)
    for path, entry in local.items():
        is_an_edit = path not in base or known_of(base[path]) != known_of(entry)
        if is_an_edit and path not in saved:
            assert known_of(after[path]) == known_of(entry)


@given(entry_trees, entry_trees, entry_trees, entry_trees)
def test_whatever_an_unfinished_run_has_done_the_next_one_comes_to_the_target(
    base: Tree, begun_for: Tree, target: Tree, mixture: Tree
) -> None:
    first = plan_from_trees(base, begun_for)
    touched = [*first.writes, *first.removes]
    # At each path that it touches, an unfinished run has done its work or has not.
    done = set(touched[: len(mixture)])
    local = {path: entry for path, entry in base.items() if path not in done or path not in first.removes}
    local.update({path: entry for path, entry in first.writes.items() if path in done})
    begun: dict[TreePath, set[Known]] = {path: {known_of(entry)} for path, entry in first.writes.items()}
    for path in first.removes:
        begun.setdefault(path, set()).update(first.ours[path])
    after, saved = carried_out(plan_from_trees(base, target, begun=begun), local)
    assert saved == {}
    assert as_known(after) == as_known(target)


@given(histories(max_size=5).map(lambda history: [entries(tree) for tree in history]))
def test_the_way_along_deltas_is_the_way_between_trees(history: list[dict[TreePath, Entry]]) -> None:
    assert plan_from_deltas(deltas_along(history)) == plan_from_trees(history[0], history[-1])


@given(histories(max_size=5).map(lambda history: [entries(tree) for tree in history]))
def test_deltas_overlaid_on_the_first_tree_give_the_last(history: list[dict[TreePath, Entry]]) -> None:
    assert as_known(overlay(history[0], deltas_along(history), "it")) == as_known(history[-1])


def test_plans_are_in_path_order() -> None:
    before = entries({"b": "1", "a": "1", "d": "1", "c": "1"})
    after = entries({"z": "1", "y": "1", "x": "1"})
    make: list[Callable[[], Plan]] = [
        lambda: plan_from_trees(before, after),
        lambda: plan_from_deltas([delta_between(before, after)]),
    ]
    for plan in [act() for act in make]:
        assert list(plan.removes) == sorted(before)
        assert list(plan.writes) == sorted(after)


def test_what_came_and_went_or_is_again_what_it_was_is_not_looked_at() -> None:
    one, two, three = entries({"a": "1", "b": "1"}), entries({"a": "1", "b": "2", "new": "2"}), entries({"b": "1"})
    assert plan_from_deltas(deltas_along([one, two, three])) == plan_from_trees(one, three)
    assert list(plan_from_trees(one, three).ours) == ["a"]
