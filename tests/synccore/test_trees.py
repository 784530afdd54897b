from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.diff import diff
from synccore.digest import Digest, digest_of
from synccore.errors import IntegrityError
from synccore.journal import Change, Counts, Delta, Record
from synccore.manifest import Manifest
from synccore.provenance import Author, SnapshotId
from synccore.snapshot import snapshot_id
from synccore.testing.strategies import histories
from synccore.testing.trees import NodeTree, entries
from synccore.trees import EMPTY_TREE, chain, changes_above, follow

ANN = Author(user="ann", host="laptop")


def snapshot(number: int) -> SnapshotId:
    return SnapshotId(Digest(digest_of(str(number).encode())))


def records_along(states: list[int | None]) -> tuple[Record, ...]:
    """Records in which alpha goes from each of *states* to the next, with others that are about beta between them."""
    made: list[Record] = []
    for before, after in pairwise(states):
        for repo in ("alpha", "beta"):
            change = Change(
                repo,
                None if before is None else snapshot(before),
                None if after is None else snapshot(after),
                len(made),
                b"",
            )
            made.append(Record(len(made) + 1, 0, ANN, (change,)))
    return tuple(made)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.integers(0, 3))
def test_a_chain_leads_from_a_snapshot_to_the_newest_by_its_last_occurrence(states: list[int], start: int) -> None:
    history = [states[0]] + [after for before, after in pairwise(states) if before != after]
    if len(history) < 2:
        return
    records = records_along(list(history))
    found = chain(records, "alpha", snapshot(start), snapshot(history[-1]))
    starts = [index for index, state in enumerate(history[:-1]) if state == start]
    if not starts:
        assert found is None
    else:
        expected = [record.changes[0] for record in records if record.changes[0].repo == "alpha"][starts[-1] :]
        assert found == expected


def test_no_chain_leads_through_a_time_when_the_repository_was_out() -> None:
    records = records_along([1, None, 2, 3])
    assert chain(records, "alpha", snapshot(1), snapshot(3)) is None
    assert chain(records, "alpha", snapshot(2), snapshot(3)) is not None


def test_a_head_that_names_another_snapshot_than_its_newest_record_is_not_followed() -> None:
    assert chain(records_along([1, 2]), "alpha", snapshot(1), snapshot(3)) is None


def test_changes_above_a_base_are_those_of_later_records_of_that_repository() -> None:
    records = records_along([1, 2, 3])
    assert [change.plain_bytes for change in changes_above(records, "alpha", 1)] == [2]
    assert [change.plain_bytes for change in changes_above(records, "beta", 0)] == [1, 3]


@given(histories(min_size=1))
def test_following_deltas_gives_the_last_tree_or_refuses(history: list[NodeTree]) -> None:
    states = [entries(tree) for tree in history]
    deltas = [
        Delta(None, Counts(0, 0, 0, 0, 0), None, *diff(before, after), places={}) for before, after in pairwise(states)
    ]
    start = Manifest(snapshot_id(states[0]), states[0], {})
    last = snapshot_id(states[-1])
    found = follow(start, deltas, last, "repository alpha in the head")
    assert (dict(sorted(found.tree.items())), found.snapshot) == (states[-1], last)
    with pytest.raises(IntegrityError, match=r"^repository alpha in the head comes to snapshot"):
        follow(start, deltas, snapshot(7), "repository alpha in the head")


def test_the_empty_tree_has_the_id_of_nothing() -> None:
    assert (snapshot_id({}), {}, {}) == EMPTY_TREE
