"""Directories that have moved are said in a few words, and whatever is said gives the tree that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore import moves as module
from synccore.bundle import inline_places, pack_block
from synccore.diff import diff
from synccore.digest import digest_of
from synccore.errors import IntegrityError
from synccore.journal import Counts, Delta, Move, decode_delta, encode_change
from synccore.manifest import Entry, Tree
from synccore.moves import Listing, Way, advance, listing, listing_by
from synccore.plan import plan_from_deltas, plan_from_trees
from synccore.testing.strategies import paths, trees
from synccore.testing.trees import NodeTree, entries, executable, link
from synccore.treepath import TreePath, directories_above

NOTHING = Counts(0, 0, 0, 0, 0)
PACKAGE = {
    f"{folder}{number}.py": f"{folder} {number}"
    for folder in ("", "sub/", "sub/deep/", "tests/")
    for number in range(9)
}


def below(directory: str, files: NodeTree | dict[str, str]) -> dict[str, str]:
    return {f"{directory}/{path}": str(data) for path, data in files.items()}


def delta_of(listed: Listing, before: Tree = {}) -> Delta:  # noqa: B006 - it is not changed
    removed, changed, was, moves = listed
    return Delta(None, NOTHING, None, removed, changed, was, {}, moves)


def made(before: Tree, delta: Delta) -> dict[TreePath, Entry]:
    tree = dict(before)
    advance(tree, delta, "it")
    return dict(sorted(tree.items()))


def way(before: Tree, after: Tree) -> Way:
    """Return the way from one to the other; only of what both have is it told what it is."""
    return Way(diff(before, after), lambda: sorted(before), unchanged(before, after))


def unchanged(before: Tree, after: Tree) -> Callable[[str], Entry]:
    both = {
        str(path): entry
        for path, entry in after.items()
        if path in before and module.known_of(before[path]) == module.known_of(entry)
    }
    return both.__getitem__


def worded(before: Tree, after: Tree) -> Listing:
    return listing(diff(before, after), lambda: sorted(before), unchanged(before, after))


def said(before: Tree, after: Tree) -> Listing:
    """Return how the way from one to the other is said, having followed it."""
    listed = worded(before, after)
    assert made(before, delta_of(listed)) == after
    return listed


def outermost(moves: Iterable[tuple[str, str]]) -> list[Move]:
    """Return those of *moves* that may stand together."""
    found: dict[str, Move] = {}
    for old, new in sorted(moves):
        if old != new and directories_above([f"{old}/"]).isdisjoint(found):
            found[old] = Move(TreePath(old), TreePath(new))
    return list(found.values())


@st.composite
def rearranged(draw: st.DrawFn) -> tuple[dict[TreePath, Entry], dict[TreePath, Entry]]:
    """A tree, and one that has some of its directories at other places, and a few edits."""
    before = draw(trees(max_files=12))
    moves = outermost(draw(st.lists(st.tuples(paths(), paths()), max_size=3)))
    after: NodeTree = {}
    for path, node in before.items():
        place = next((new + path[len(old) :] for old, new in moves if path.startswith(f"{old}/")), path)
        if directories_above([place]).isdisjoint(after) and place not in directories_above(after):
            after[place] = node
    for path, node in draw(trees(max_files=3)).items():
        if path in after or (directories_above([path]).isdisjoint(after) and path not in directories_above(after)):
            after[path] = node
    return entries(before), entries(dict(sorted(after.items())))


pairs = rearranged() | st.tuples(trees(max_files=12).map(entries), trees(max_files=12).map(entries))


@given(pairs, st.lists(st.tuples(paths(), paths()), max_size=4))
def test_whatever_moves_a_difference_is_said_by_it_gives_the_second_tree(
    both: tuple[Tree, Tree], drawn: list[tuple[str, str]]
) -> None:
    before, after = both
    listed = listing_by(outermost(drawn), way(before, after))
    assert made(before, delta_of(listed)) == after


@given(pairs, st.lists(st.tuples(paths(), paths()), max_size=4))
def test_what_is_said_by_moves_is_a_delta_that_readers_take(
    both: tuple[Tree, Tree], drawn: list[tuple[str, str]]
) -> None:
    before, after = both
    listed = listing_by(outermost(drawn), way(before, after))
    data = {entry.digest: b"%d" % number for number, entry in enumerate(listed.changed.values()) if entry.size_bytes}
    places = inline_places(pack_block((digest, bytes(5000)) for digest in data))
    delta = delta_of(listed)._replace(places=places)
    if all(not entry.chunks for entry in listed.changed.values()):
        assert decode_delta(encode_change("alpha", None, None, delta), "it") == delta


@given(pairs)
def test_the_moves_that_are_found_give_the_second_tree(both: tuple[Tree, Tree]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEWEST", 1)
        said(*both)


@given(pairs)
def test_what_is_guessed_gives_the_second_tree_too(both: tuple[Tree, Tree]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEWEST", 1)
        patch.setattr(module, "_MANY", 1)
        patch.setattr(module, "_LITTLE_IS_LEFT", 1)
        said(*both)


@given(pairs)
def test_what_a_delta_without_moves_plans_is_what_the_trees_do_that_one_with_moves_gives(
    both: tuple[Tree, Tree],
) -> None:
    before, after = both
    plain = Delta(None, NOTHING, None, *diff(before, after), places={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEWEST", 1)
        listed = worded(before, after)
    assert plan_from_trees(before, made(before, delta_of(listed))) == plan_from_deltas([plain])


def moves_of(before: dict[str, str], after: dict[str, str]) -> list[tuple[str, str]]:
    return [(old, new) for old, new in said(entries(before), entries(after)).moves]


STAYS = {"README": "1", "other/x": "2"}


def test_a_renamed_directory_is_one_move_of_the_topmost_one() -> None:
    listed = said(entries({**below("a/old", PACKAGE), **STAYS}), entries({**below("a/new", PACKAGE), **STAYS}))
    assert listed == ({}, {}, {}, (("a/old", "a/new"),))


@pytest.mark.parametrize("largest", ["moves along", "goes elsewhere", "is copied", "stays"])
def test_many_are_one_move_wherever_the_largest_file_leads_the_guess(largest: str) -> None:
    files = {f"p{number % 7}/{number}.py": f"{number}" for number in range(600)}
    files["p0/largest.py"] = "x" * 5000
    old, new = below("src", files), below("lib", files)
    if largest in {"goes elsewhere", "stays"}:
        data = new.pop("lib/p0/largest.py")
        new["away/largest.py" if largest == "goes elsewhere" else "src/p0/largest.py"] = data
    elif largest == "is copied":
        new["lib/p1/largest.py"] = files["p0/largest.py"]
    listed = said(entries({"README": "1", **old}), entries({"README": "1", **dict(sorted(new.items()))}))
    assert (TreePath("src"), TreePath("lib")) in listed.moves or len(listed.moves) > 1
    assert listed.size <= 2


def test_what_was_edited_in_it_is_all_that_is_listed() -> None:
    before, after = below("old", PACKAGE), below("new", PACKAGE)
    after["new/sub/3.py"] = "edited"
    after["new/more"] = "new"
    del after["new/tests/1.py"]
    listed = said(entries(before), entries(after))
    assert listed.moves == (("old", "new"),)
    assert (list(listed.removed), list(listed.changed)) == (["old/tests/1.py"], ["new/more", "new/sub/3.py"])
    assert listed.was == {}


def test_executables_and_links_move_too() -> None:
    tree = {**PACKAGE, "run": executable("1"), "at": link("run")}
    before, after = ({f"{name}/{path}": node for path, node in tree.items()} for name in ("old", "new"))
    assert said(entries(before), entries(after)).size == 0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": PACKAGE, "b": STAYS}, {"c": PACKAGE, "b": STAYS}, [("a", "c")]),
        ({"a": PACKAGE}, {"lib/a": PACKAGE}, [("a", "lib/a")]),
        ({"lib/a": PACKAGE}, {"a": PACKAGE}, [("lib/a", "a")]),
        ({"a": PACKAGE}, {"a/a": PACKAGE}, [("a", "a/a")]),
        ({"a": PACKAGE}, {"A": PACKAGE}, [("a", "A")]),
        ({"a": PACKAGE, "b": STAYS}, {"b/c": PACKAGE, "b": STAYS}, [("a", "b/c")]),
        ({"a": PACKAGE, "z": {"1": "z"}}, {"z": {**PACKAGE, "1": "z"}}, [("a", "z")]),
    ],
    ids=["renamed", "deeper", "higher", "into itself", "case", "into another", "merged"],
)
def test_a_directory_that_went_elsewhere_is_found(
    before: dict[str, dict[str, str]], after: dict[str, dict[str, str]], expected: list[tuple[str, str]]
) -> None:
    one, other = (
        {path: data for name, files in side.items() for path, data in below(name, files).items()}
        for side in (before, after)
    )
    assert moves_of(one, other) == expected
    assert said(entries(one), entries(other)).size == 0


def test_two_directories_that_were_exchanged_are_two_moves() -> None:
    one, other = PACKAGE, {path: f"other {data}" for path, data in PACKAGE.items()}
    before, after = {**below("a", one), **below("b", other)}, {**below("b", one), **below("a", other)}
    listed = said(entries(before), entries(after))
    assert listed == ({}, {}, {}, (("a", "b"), ("b", "a")))


def test_several_renamed_at_once_are_all_found() -> None:
    before, after = dict(STAYS), dict(STAYS)
    for number in range(5):
        files = {path: f"{number} {data}" for path, data in PACKAGE.items()}
        before |= below(f"old{number}", files)
        after |= below(f"new{number}", files)
    assert moves_of(before, after) == [(f"old{number}", f"new{number}") for number in range(5)]


def test_of_a_directory_in_which_much_stays_the_parts_that_went_are_moved() -> None:
    stays = {f"{number}": f"stays {number}" for number in range(50)}
    before = {**below("a", PACKAGE), **below("a/stays", stays)}
    after = {**below("b", PACKAGE), **below("a/stays", stays)}
    assert moves_of(before, after) == [("a/sub", "b/sub"), ("a/tests", "b/tests")]


def test_a_file_left_at_the_old_place_does_not_keep_the_rest_from_moving() -> None:
    before, after = below("old", PACKAGE), below("new", PACKAGE)
    after["old/0.py"] = "from new import *"
    after["new/0.py"] = "edited"
    listed = said(entries(before), entries(after))
    assert (list(listed.removed), set(listed.changed)) == ([], {"old/0.py", "new/0.py"})
    assert listed.was.keys() == {"old/0.py"}


def test_what_stays_as_it_was_in_a_directory_that_moved_is_gone_and_there_again() -> None:
    before, after = below("old", PACKAGE), below("new", PACKAGE)
    after["old/0.py"] = after.pop("new/0.py")
    listed = said(entries(before), entries(after))
    assert (list(listed.removed), list(listed.changed), list(listed.moves)) == (
        ["old/0.py"],
        ["old/0.py"],
        [("old", "new")],
    )
    decode_delta(
        encode_change(
            "alpha",
            None,
            None,
            delta_of(listed)._replace(places=inline_places(pack_block([(digest_of(b" 0"), b" 0")]))),
        ),
        "it",
    )


def never(*_: object) -> Any:
    raise AssertionError("the trees were asked for")


def test_where_nothing_can_have_moved_no_tree_is_looked_at() -> None:
    before = entries({f"{number}": f"{number}" for number in range(100)})
    after = entries({**{f"{number}": f"edited {number}" for number in range(100)}, "new": "1"})
    difference = diff(before, after)
    assert listing(difference, never, never) == Listing(*difference)


def test_a_few_files_of_many_are_listed() -> None:
    few = {f"{number}": f"{number}" for number in range(module._FEWEST + 2)}
    many = {f"m{number}": f"m{number}" for number in range(2000)}
    assert moves_of({**below("a", few), **many}, {**below("b", few), **many}) == []
    assert moves_of(below("a", few), below("b", few)) == [("a", "b")]


def test_what_was_copied_has_not_moved() -> None:
    before = below("a", PACKAGE)
    assert moves_of(before, {**before, **below("b", PACKAGE)}) == []


# What a store of somebody who means harm may say

TREE = entries({"a/x": "1", "a/y": "2", "b/x": "3", "b/z/q": "4", "c": "5"})
LONG = "/".join(["d" * 250] * 16)

SENSELESS = {
    "from where nothing is": ([("no", "new")], "where nothing is"),
    "of a file": ([("c", "new")], "where nothing is"),
    "to where something is": ([("a", "b")], "taken"),
    "two to one path": ([("a", "e"), ("b", "e")], "taken"),
    "below a path that becomes too long": ([("b", f"{LONG}/{'d' * 80}")], "cannot be"),
    "what is gone": ([("b/z", "new")], "where nothing is"),
    "a directory between others": ([("a", "e"), ("aa", "f")], "where nothing is"),
}


@pytest.mark.parametrize(("moves", "finding"), SENSELESS.values(), ids=SENSELESS)
def test_a_move_that_is_none_of_the_tree_is_refused(moves: list[tuple[str, str]], finding: str) -> None:
    removed = {TreePath("b/z/q"): module.known_of(TREE[TreePath("b/z/q")])}
    delta = Delta(
        None, NOTHING, None, removed, {}, {}, {}, tuple(Move(TreePath(old), TreePath(new)) for old, new in moves)
    )
    with pytest.raises(IntegrityError, match=f"^record 7 moves .*{finding}"):
        advance(dict(TREE), delta, "record 7")


def test_moves_that_would_make_immensely_long_listings_are_refused_before_they_do() -> None:
    entry = TREE[TreePath("c")]
    tree = {TreePath(f"a/{number}"): entry for number in range(module.MAX_MOVED_BYTES // len(LONG) + 1)}
    delta = Delta(None, NOTHING, None, {}, {}, {}, {}, (Move(TreePath("a"), TreePath(LONG)),))
    with pytest.raises(IntegrityError, match=r"^it moves so much"):
        advance(tree, delta, "it")
    assert len(tree) == module.MAX_MOVED_BYTES // len(LONG) + 1


def test_contents_that_stand_everywhere_do_not_make_the_search_long() -> None:
    before = entries({f"{folder}/{number}/__init__.py": "" for folder in range(40) for number in range(10)})
    after = entries({f"new{folder}/{number}/__init__.py": "" for folder in range(40) for number in range(10)})
    assert said(before, after).moves == ()
