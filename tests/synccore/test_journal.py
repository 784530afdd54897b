from collections.abc import Callable
from copy import deepcopy
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zstandard import ZstdDecompressor

from synccore.bundle import inline_places, pack_block
from synccore.diff import diff
from synccore.digest import Digest, digest_of
from synccore.errors import ErrorKind, IntegrityError
from synccore.gitfacts import GitFacts
from synccore.journal import (
    MAX_DELTA_BYTES,
    Change,
    Counts,
    Delta,
    JournalObject,
    Known,
    Move,
    Record,
    Start,
    decode_delta,
    decode_journal,
    encode_change,
    encode_journal,
    known_of,
)
from synccore.manifest import FileKind
from synccore.places import InlineBlock, ObjectRef, Place, StoredBlock
from synccore.provenance import Author, SnapshotId
from synccore.testing.stored_bytes import bomb, checksum, envelope, frame, packed, sha
from synccore.testing.strategies import trees
from synccore.testing.trees import NodeTree, contents, entries, executable
from synccore.treepath import TreePath

GIT = GitFacts(commit="c0ffee", branch="main", origin="git@host:lab/alpha", dirty=("b", "é"), dirty_count=7)
BEFORE, AFTER = SnapshotId(Digest(b"\1" * 32)), SnapshotId(Digest(b"\2" * 32))
BUNDLE = ObjectRef(digest_of(b"bundle"), 500)

# "b" was an executable and is a file of the delta's own; "new" stands in a bundle; "gone" is gone.
INLINE = frame(b"bbb")
GOLDEN: list[object] = [
    ["c0ffee", "main", "git@host:lab/alpha", ["b", "é"], 7],
    [1, 1, 1, 9, 1234],
    None,
    [["gone", 2, sha(b"target")]],
    [["b", "new"], b"\0\1", [3, 5], sha(b"bbb") + sha(b"new n"), []],
    [[1, sha(b"was b")], None],
    [[[sha(b"bundle"), 500]], [[0, 0, len(INLINE), 3, checksum(INLINE)], [1, 8, 40, 9, 77]], [0, 0, 1, 4]],
    INLINE,
    [["lib/old", "lib/new"], ["old", "old/er"]],
]

DELTA = Delta(
    git=GIT,
    counts=Counts(1, 1, 1, 9, 1234),
    manifest=None,
    removed={TreePath("gone"): Known(FileKind.SYMLINK, digest_of(b"target"))},
    changed=entries({"b": "bbb", "new": executable("new n")}),
    was={TreePath("b"): Known(FileKind.EXECUTABLE, digest_of(b"was b"))},
    places={
        digest_of(b"bbb"): Place(InlineBlock(INLINE, 3, checksum(INLINE)), 0),
        digest_of(b"new n"): Place(StoredBlock(BUNDLE, 8, 40, 9, 77), 4),
    },
    moves=(Move(TreePath("lib/old"), TreePath("lib/new")), Move(TreePath("old"), TreePath("old/er"))),
)


def change_of(value: object) -> Change:
    data = packed(value)
    return Change("alpha", BEFORE, AFTER, len(data), frame(data))


def test_a_delta_is_these_bytes() -> None:
    change = encode_change("alpha", BEFORE, AFTER, DELTA)
    assert ZstdDecompressor().decompress(change.frame) == packed(GOLDEN)
    assert change[:4] == ("alpha", BEFORE, AFTER, len(packed(GOLDEN)))


def test_a_delta_that_another_program_has_written_is_read() -> None:
    assert decode_delta(change_of(GOLDEN), "it") == DELTA


def test_a_delta_may_refer_to_a_manifest_instead_and_know_nothing_of_git() -> None:
    value = [None, [0, 0, 0, 9, 1234], [sha(b"m"), 99], [], [[], b"", [], b"", []], [], [[], [], []], b"", []]
    delta = Delta(None, Counts(0, 0, 0, 9, 1234), ObjectRef(digest_of(b"m"), 99), {}, {}, {}, {})
    assert decode_delta(change_of(value), "it") == delta
    assert ZstdDecompressor().decompress(encode_change("alpha", None, AFTER, delta).frame) == packed(value)


@given(trees(), trees())
def test_a_delta_between_any_two_trees_comes_back_as_it_was(before: NodeTree, after: NodeTree) -> None:
    difference = diff(entries(before), entries(after))
    new = contents(after)
    wanted = {entry.digest for entry in difference.changed.values() if entry.size_bytes}
    places = inline_places(pack_block((digest, new[digest]) for digest in sorted(wanted)))
    delta = Delta(GIT, difference.counts(files=9, size_bytes=1234), None, *difference, places=places)
    assert decode_delta(encode_change("alpha", None, AFTER, delta), "it") == delta


@pytest.mark.parametrize(
    ("path", "is_fine"), [("lib/old/b", True), ("old/b/c", True), ("lib/older", False), ("lib", False)]
)
def test_a_path_is_removed_and_changed_only_below_what_moves(path: str, is_fine: bool) -> None:  # noqa: FBT001 - a parameter by name
    value = deepcopy(GOLDEN)
    value[3], value[4] = [[path, 0, b"\0" * 32]], [[path, "new"], *cast("list[object]", GOLDEN[4])[1:]]
    if path > "new":
        value[4] = [["new", path], *cast("list[object]", GOLDEN[4])[1:]]
    if is_fine:
        assert decode_delta(change_of(value), "it").removed.keys() == {path}
    else:
        with pytest.raises(IntegrityError, match="both removed and changed"):
            decode_delta(change_of(value), "it")


def test_a_delta_that_refers_to_a_manifest_moves_nothing() -> None:
    value = [None, [0, 0, 0, 9, 1], [sha(b"m"), 9], [], [[], b"", [], b"", []], [], [[], [], []], b"", [["a", "b"]]]
    with pytest.raises(IntegrityError, match="refers to a manifest"):
        decode_delta(change_of(value), "it")


def test_the_list_of_dirty_paths_is_capped_and_its_count_is_not() -> None:
    many = GitFacts(commit=None, branch=None, origin=None, dirty=tuple(map(str, range(150))), dirty_count=150)
    delta = Delta(many, Counts(0, 0, 0, 0, 0), None, {}, {}, {}, {})
    git = decode_delta(encode_change("alpha", None, AFTER, delta), "it").git
    assert git is not None
    assert (len(git.dirty), git.dirty_count) == (100, 150)


def changed(*steps: int, to: object) -> Callable[[], object]:
    """The golden delta with one value exchanged; *steps* lead to it."""

    def rebuilt(value: object, rest: tuple[int, ...]) -> object:
        if not rest:
            return to
        assert isinstance(value, list)
        return [rebuilt(item, rest[1:]) if index == rest[0] else item for index, item in enumerate(value)]

    return lambda: rebuilt(GOLDEN, steps)


MALFORMED: dict[str, Callable[[], object]] = {
    "no array": lambda: "delta",
    "eight parts": lambda: GOLDEN[:8],
    "facts of git that are four": changed(0, to=["c", "b", "o", []]),
    "a commit that is a number": changed(0, 0, to=7),
    "a branch in binary": changed(0, 1, to=b"main"),
    "an origin that is false": changed(0, 2, to=False),
    "a dirty path in binary": changed(0, 3, to=[b"b"]),
    "a negative count of dirty paths": changed(0, 4, to=-1),
    "four counts": changed(1, to=[1, 1, 1, 9]),
    "a negative count": changed(1, 0, to=-1),
    "a manifest by half a digest": changed(2, to=[b"\0" * 16, 9]),
    "a manifest beside a list": changed(2, to=[b"\0" * 32, 9]),
    "a removed path without its kind": changed(3, to=[["gone", b"\0" * 32]]),
    "a removed path of kind 3": changed(3, 0, 1, to=3),
    "a removed path twice": changed(3, to=[GOLDEN[3][0], GOLDEN[3][0]]),  # type: ignore[index]
    "removed paths out of order": changed(3, to=[["z", 0, b"\0" * 32], ["a", 0, b"\0" * 32]]),
    "a removed path that leaves": changed(3, 0, 0, to="../gone"),
    "a path removed and changed": changed(3, 0, 0, to="b"),
    "a changed path that leaves": changed(4, 0, to=["b", "new/../../x"]),
    "a file above a file": changed(4, 0, to=["b", "b/new"]),
    "too little of what was": changed(5, to=[None]),
    "too much of what was": changed(5, to=[None, None, None]),
    "what was of kind 3": changed(5, 0, 0, to=3),
    "what was by half a digest": changed(5, 0, 1, to=b"\0" * 16),
    "an inline block beyond its bytes": changed(7, to=INLINE[:-1]),
    "a block of a bundle that is not named": changed(6, 1, 1, 0, to=2),
    "inline bytes as text": changed(7, to="inline"),
    "places too few": changed(6, 2, to=[0, 0]),
    "moves that are none": changed(8, to=None),
    "a move without an end": changed(8, 0, to=["lib/old"]),
    "a move from a path that leaves": changed(8, 0, 0, to="../old"),
    "a move to a path that leaves": changed(8, 0, 1, to="../new"),
    "a move to the root": changed(8, 0, 1, to=""),
    "a move to a number": changed(8, 0, 1, to=7),
    "a move to where it is": changed(8, 0, 1, to="lib/old"),
    "a directory moved twice": changed(8, to=[["lib/old", "a"], ["lib/old", "z"]]),
    "moves out of order": changed(8, to=[["old", "a"], ["lib/old", "z"]]),
    "a directory moved and one below it": changed(8, to=[["lib", "a"], ["lib-", "y"], ["lib/old/x", "z"]]),
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_a_delta_that_is_not_as_it_must_be_is_refused_by_name(make: Callable[[], object]) -> None:
    with pytest.raises(IntegrityError, match=r"^record 7 ") as refused:
        decode_delta(change_of(make()), "record 7")
    assert refused.value.kind is ErrorKind.DAMAGED_OBJECT
    assert refused.value.facts["object"] == "record 7"


@pytest.mark.parametrize(
    ("plain", "stored"),
    [
        (len(packed(GOLDEN)) + 1, frame(packed(GOLDEN))),
        (len(packed(GOLDEN)), frame(packed(GOLDEN))[:-1]),
        (MAX_DELTA_BYTES, bomb(MAX_DELTA_BYTES)),
        (0, b""),
    ],
)
def test_a_delta_whose_frame_is_not_what_was_said_is_refused(plain: int, stored: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"^record 7 "):
        decode_delta(Change("alpha", None, AFTER, plain, stored), "record 7")


# Records and journal objects

CHANGE_ROW = ["alpha", b"\1" * 32, b"\2" * 32, 50, b"frame"]
RECORD_ROWS: list[object] = [
    [8, 1_700_000_000_000, "ann", "laptop", [CHANGE_ROW, ["beta", None, b"\3" * 32, 4 * 2**20, b""]]],
    [9, 0, "ben", "", [["alpha", b"\2" * 32, None, 0, b"x"]]],
    [10, 1, "", "", []],
]
ANN = Author(user="ann", host="laptop")
RECORDS = (
    Record(
        8,
        1_700_000_000_000,
        ANN,
        (
            Change("alpha", BEFORE, AFTER, 50, b"frame"),
            Change("beta", None, SnapshotId(Digest(b"\3" * 32)), 4 * 2**20, b""),
        ),
    ),
    Record(9, 0, Author(user="ben", host=""), (Change("alpha", AFTER, None, 0, b"x"),)),
    Record(10, 1, Author(user="", host=""), ()),
)


@pytest.mark.parametrize("earlier", [None, ObjectRef(digest_of(b"j"), 12)])
def test_a_journal_object_is_these_bytes_and_is_read_back(earlier: ObjectRef | None) -> None:
    starts = (Start("alpha", ObjectRef(digest_of(b"m"), 34), 7), Start("beta", None, 8))
    journal = JournalObject(RECORDS, starts[::-1], earlier)
    start_rows = [["alpha", [sha(b"m"), 34], 7], ["beta", None, 8]]
    payload = packed([RECORD_ROWS, start_rows, None if earlier is None else [sha(b"j"), 12]])
    data = encode_journal(journal)
    assert data[:48] == envelope(b"J", payload)[:48]
    assert ZstdDecompressor().decompress(data[48:]) == payload
    assert decode_journal(envelope(b"J", payload), "it") == journal._replace(starts=starts)


def records_with(row: object) -> list[object]:
    return [[*RECORD_ROWS[:2], row], [], None]


def change_with(**parts: object) -> list[object]:
    row = dict(zip(("repo", "before", "after", "plain", "frame"), CHANGE_ROW, strict=True)) | parts
    return records_with([10, 1, "", "", [list(row.values())]])


MALFORMED_JOURNALS: dict[str, object] = {
    "no array": 7,
    "one part": [RECORD_ROWS],
    "records that are none": [7, [], None],
    "a gap": [[RECORD_ROWS[0], RECORD_ROWS[2]], [], None],
    "the same number twice": [[RECORD_ROWS[0], RECORD_ROWS[0]], [], None],
    "the newest first": [RECORD_ROWS[::-1], [], None],
    "an earlier object without a size": [RECORD_ROWS, [], [b"\0" * 32]],
    "starts that are none": [RECORD_ROWS, None, None],
    "a start of two parts": [RECORD_ROWS, [["alpha", None]], None],
    "a start of a repository that leaves": [RECORD_ROWS, [["../x", None, 1]], None],
    "starts out of order": [RECORD_ROWS, [["b", None, 1], ["a", None, 1]], None],
    "a start before all records": [RECORD_ROWS, [["a", None, -1]], None],
    "a record of four parts": records_with([10, 1, "", []]),
    "a sequence as text": records_with(["10", 1, "", "", []]),
    "a time before 1970": records_with([10, -1, "", "", []]),
    "a user in binary": records_with([10, 1, b"ann", "", []]),
    "a host that is nil": records_with([10, 1, "", None, []]),
    "repositories out of order": records_with([10, 1, "", "", [["b", *CHANGE_ROW[1:]], ["a", *CHANGE_ROW[1:]]]]),
    "a repository twice": records_with([10, 1, "", "", [CHANGE_ROW, CHANGE_ROW]]),
    "a repository that leaves": change_with(repo="../x"),
    "a repository called .git": change_with(repo=".git"),
    "a repository in binary": change_with(repo=b"alpha"),
    "a snapshot before by half a digest": change_with(before=b"\0" * 16),
    "a snapshot after that is text": change_with(after="\0" * 32),
    "a delta larger than may be": change_with(plain=MAX_DELTA_BYTES + 1),
    "a delta as text": change_with(frame="frame"),
}


@pytest.mark.parametrize("payload", MALFORMED_JOURNALS.values(), ids=MALFORMED_JOURNALS)
def test_a_journal_object_that_is_not_as_it_must_be_is_refused_by_name(payload: object) -> None:
    with pytest.raises(IntegrityError, match=r"^journal object j ") as refused:
        decode_journal(envelope(b"J", packed(payload)), "journal object j")
    assert refused.value.kind is ErrorKind.DAMAGED_OBJECT


@given(st.integers(0, 2))
def test_a_record_finds_its_change_by_name(index: int) -> None:
    record = RECORDS[index]
    for change in record.changes:
        assert record.change_of(change.repo) is change
    assert record.change_of("gamma") is None


def test_what_is_known_of_an_entry_is_kind_and_content() -> None:
    (entry,) = entries({"a": executable("x")}).values()
    assert known_of(entry) == (FileKind.EXECUTABLE, digest_of(b"x"))
