import hashlib

from hypothesis import given

from synccore.snapshot import snapshot_id
from synccore.testing.strategies import trees
from synccore.testing.trees import NodeTree, entries, executable, link, snapshot_of


def test_a_snapshot_id_is_the_digest_of_these_bytes() -> None:
    tree = entries({"b": executable("run"), "a/é": "text", "l": link("b")})
    expected = (
        b"epic-lab snapshot 1\n"
        + (b"0a/\xc3\xa9\0" + hashlib.sha256(b"text").digest())
        + (b"1b\0" + hashlib.sha256(b"run").digest())
        + (b"2l\0" + hashlib.sha256(b"b").digest())
    )
    assert snapshot_id(tree) == hashlib.sha256(expected).digest()
    assert snapshot_id({}).hex() == "15af7f8be17d7ca6ea341691769896304574cc1370751e40de3459b292ec7ae1"


@given(trees())
def test_the_order_in_which_a_tree_was_made_does_not_matter(tree: NodeTree) -> None:
    made = entries(tree)
    assert snapshot_id(dict(reversed(made.items()))) == snapshot_id(made) == snapshot_of(made)


def test_paths_stand_in_the_order_of_their_bytes() -> None:
    # U+FF5E is below U+1F600 in UTF-8 as by code point, and above it in UTF-16.
    tree = entries({"\uff5e": "1", "\U0001f600": "2", "z": "3", "a.b": "4", "a/b": "5"})
    assert snapshot_id(tree) == snapshot_of(tree)
