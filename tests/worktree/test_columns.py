"""The entries of a tree as columns: whatever is asked of them is what the entries say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synccore.digest import digest_of
from synccore.journal import known_of
from synccore.manifest import digests_of
from synccore.snapshot import snapshot_id
from synccore.testing.strategies import contents_around_the_boundary, small_contents, trees
from synccore.testing.trees import NodeTree, entries
from synccore.worktree.columns import Columns, picked, runs_of

some_trees = trees(small_contents() | small_contents() | contents_around_the_boundary(), max_files=6)


@given(some_trees)
def test_columns_say_what_the_entries_say(nodes: NodeTree) -> None:
    tree = entries(nodes)
    columns = Columns.of(list(tree.values()))
    assert columns.belong_together(len(tree))
    assert columns.entries(list(tree)) == tree
    assert [columns.entry(row) for row in range(len(tree))] == list(tree.values())
    assert columns.size_bytes == sum(entry.size_bytes for entry in tree.values())
    assert columns.snapshot_id(list(tree)) == snapshot_id(tree)


@given(some_trees, some_trees)
def test_columns_have_the_chunks_of_the_entries_and_no_others(nodes: NodeTree, others: NodeTree) -> None:
    tree, other = entries(nodes), entries(others)
    columns, chunks = Columns.of(list(tree.values())), set(digests_of(tree))
    wholes = [entry.digest for entry in (*tree.values(), *other.values())]
    for digest in (*chunks, *digests_of(other), *wholes, digest_of(b""), digest_of(b"nowhere")):
        assert columns.have_chunk(digest) == (digest in chunks)


@given(some_trees, some_trees, st.data())
def test_rows_that_are_changed_make_the_columns_of_the_changed_entries(
    nodes: NodeTree, others: NodeTree, data: st.DataObject
) -> None:
    before = list(entries(nodes).values())
    after = list(entries(others).values())
    rows = (
        data.draw(st.dictionaries(st.integers(0, len(before) - 1), st.sampled_from(after))) if before and after else {}
    )
    changed = [rows.get(row, entry) for row, entry in enumerate(before)]
    assert Columns.of(before).with_rows(rows) == Columns.of(changed)


@given(some_trees, some_trees, st.data())
def test_rows_that_are_picked_make_the_columns_of_the_picked_entries(
    nodes: NodeTree, others: NodeTree, data: st.DataObject
) -> None:
    one, other = list(entries(nodes).values()), list(entries(others).values())
    both = [*one, *other]
    rows = data.draw(st.lists(st.sampled_from(range(len(both))), max_size=12)) if both else []
    assert Columns.of(one).picked(rows, Columns.of(other)) == Columns.of([both[row] for row in rows])
    assert Columns.of(both).known(rows) == [known_of(both[row]) for row in rows]


@given(st.lists(st.integers(0, 12), max_size=20), st.integers(1, 5))
def test_runs_are_the_rows_in_their_order_and_as_few_as_can_be(rows: list[int], width: int) -> None:
    runs = runs_of(rows)
    assert [row for start, end in runs for row in range(start, end)] == rows
    assert all(runs[at][1] != runs[at + 1][0] for at in range(len(runs) - 1))
    column = bytes(range(13 * width))
    assert picked(column, runs, width) == b"".join(column[row * width : (row + 1) * width] for row in rows)
