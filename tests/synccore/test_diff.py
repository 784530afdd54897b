from hypothesis import given

from synccore.diff import diff
from synccore.journal import Counts, Delta, known_of
from synccore.testing.strategies import trees
from synccore.testing.trees import NodeTree, entries, executable
from synccore.trees import overlay


@given(trees(), trees())
def test_a_difference_overlaid_on_the_first_tree_gives_the_second(one: NodeTree, other: NodeTree) -> None:
    before, after = entries(one), entries(other)
    difference = diff(before, after)
    made = overlay(before, [Delta(None, Counts(0, 0, 0, 0, 0), None, *difference, places={})], "it")
    assert dict(sorted(made.items())) == after


@given(trees(), trees())
def test_a_difference_says_what_stood_there_and_touches_nothing_else(one: NodeTree, other: NodeTree) -> None:
    before, after = entries(one), entries(other)
    removed, changed, was = diff(before, after)
    assert removed == {path: known_of(before[path]) for path in before if path not in after}
    assert set(changed) == {path for path in after if one.get(path) != other[path]}
    assert was == {path: known_of(before[path]) for path in changed if path in before}


@given(trees(), trees())
def test_the_counts_are_those_of_the_trees(one: NodeTree, other: NodeTree) -> None:
    counts = diff(entries(one), entries(other)).counts(files=9, size_bytes=1234)
    assert counts == Counts(
        added=len(other.keys() - one.keys()),
        modified=sum(one[path] != other[path] for path in one.keys() & other.keys()),
        deleted=len(one.keys() - other.keys()),
        files=9,
        size_bytes=1234,
    )


@given(trees())
def test_a_tree_does_not_differ_from_itself(tree: NodeTree) -> None:
    assert diff(entries(tree), entries(tree)) == ({}, {}, {})


def test_how_a_content_is_cut_makes_no_difference_and_being_executable_does() -> None:
    whole = entries({"a": "x"})
    cut = {path: entry._replace(chunks=(("other", 1),)) for path, entry in whole.items()}  # type: ignore[arg-type]
    assert diff(whole, cut) == ({}, {}, {})
    assert set(diff(whole, entries({"a": executable("x")})).changed) == {"a"}
