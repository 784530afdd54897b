"""Laws of the writer over random trees, random edits and random targets."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synccore.plan import FOREIGN, Verdict, judge
from synccore.testing.disk_tree import (
    Content,
    Folder,
    Link,
    Node,
    Pipe,
    Program,
    apply,
    build,
    known,
    lay_out,
    marks,
    read_back,
)
from synccore.worktree.outcome import Effect
from synccore.worktree.rescue import RescueFolder, rescued_under

# A busy machine is no failure.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# So few names that paths collide: a file here is a directory there.
NAMES = st.sampled_from(["a", "b", "m.py"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TEXTS = st.sampled_from(["", "1", "2", "outside"])
CONTENTS: st.SearchStrategy[Content] = st.one_of(
    TEXTS, TEXTS.map(Program), st.just(Link("../outside")), st.just(Link("a"))
)
NODES: st.SearchStrategy[Node] = st.one_of(CONTENTS, st.just(Folder()), st.just(Pipe()))
OUTSIDE: dict[str, Node] = {"outside/a": "theirs", "outside/b/m.py": "theirs"}


def without_collisions(tree: Mapping[str, Node]) -> dict[str, Node]:
    """Keep the first of any two paths that could not both be on a disk."""
    kept: dict[str, Node] = {}
    for path, node in tree.items():
        if not any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in kept):
            kept[path] = node
    return kept


TREES = st.dictionaries(PATHS, CONTENTS, max_size=6).map(without_collisions)
EDITS = st.dictionaries(PATHS, st.one_of(st.none(), NODES), max_size=4)


def edited(base: Mapping[str, Node], edits: Mapping[str, Node | None]) -> dict[str, Node]:
    """Return *base* after somebody's *edits*: each replaces whatever was at its path, above or below it."""
    local = dict(base)
    for path, node in without_collisions(edits).items():
        related = [other for other in local if f"{other}/".startswith(f"{path}/") or path.startswith(f"{other}/")]
        for other in related:
            del local[other]
        if node is not None:
            local[path] = node
    return local


@settings(UNTIMED, max_examples=200)
@given(base=TREES, edits=EDITS, target=TREES)
def test_the_target_is_there_and_no_edit_is_lost(
    base: dict[str, Content], edits: dict[str, Node | None], target: dict[str, Content]
) -> None:
    local = edited(base, edits)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        root = home / "alpha"
        lay_out(home, OUTSIDE)
        lay_out(root, local)

        apply(root, base, target, RescueFolder(home))

        now = read_back(root)
        assert {path: now.get(path) for path in target} == target

        saved = read_back(home / ".rescued") if (home / ".rescued").exists() else {}
        saved_nodes = {(path.partition("/alpha/")[2], node) for path, node in saved.items()}
        for path, node in local.items():
            is_ours = path in base and base[path] == node
            if not is_ours and target.get(path) != node and not isinstance(node, Folder):
                assert now.get(path) == node or (path, node) in saved_nodes
        assert not any(path in base and base[path] == local[path] for path in now.keys() - target.keys())
        assert set(now) - set(target) <= set(local)

        assert {path: node for path, node in read_back(home).items() if path in OUTSIDE} == OUTSIDE
        noted = {str(one.saved_as.relative_to(home / ".rescued")) for one in rescued_under(home)}
        assert all(any(f"{path}/".startswith(f"{top}/") for top in noted) for path in saved if "/" in path)

        before = marks(root)
        again = RescueFolder(home)
        apply(root, base, target, again)
        assert not again.saved
        assert marks(root) == before


@settings(UNTIMED, max_examples=200)
@given(ours=st.none() | CONTENTS, there=st.none() | CONTENTS | st.just(Pipe()), target=st.none() | CONTENTS)
def test_what_is_done_at_a_path_is_what_the_pure_decision_says(
    ours: Content | None, there: Node | None, target: Content | None
) -> None:
    found = None if there is None else FOREIGN if isinstance(there, Pipe) else known(there)
    verdict = judge(found, () if ours is None else (known(ours),), None if target is None else known(target))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lay_out(home / "alpha", {} if there is None else {"a": there})
        base = {"a": "anything"} if ours is None and target is None else {} if ours is None else {"a": ours}
        rescue = RescueFolder(home)
        outcomes = apply(home / "alpha", base, {} if target is None else {"a": target}, rescue)
        left_alone = all(outcome.effect in {Effect.ALREADY_THERE, Effect.ABSENT} for outcome in outcomes)
        assert (verdict is Verdict.LEAVE) == left_alone
        assert (verdict is Verdict.SAVE_THEN_REPLACE) == bool(rescue.saved)


@settings(UNTIMED, max_examples=100)
@given(target=TREES)
def test_a_fresh_tree_is_the_same_as_one_that_grew(target: dict[str, Content]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        apply(home / "grown", {}, target, RescueFolder(home))
        build(home / "fresh", target)
        assert read_back(home / "fresh") == read_back(home / "grown") == target


@settings(UNTIMED)
@given(one=CONTENTS, other=CONTENTS)
def test_contents_are_known_apart(one: Content, other: Content) -> None:
    assert (known(one) == known(other)) == (one == other)
