"""Stores made by somebody who means harm: every name and digest is right, and what they say is not.

Whatever they say: it is refused by an error that names the object, nothing is written outside of the tree, and the tree, with
somebody's edit in it, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from synccore.errors import IntegrityError, SyncError
from synccore.history import log
from synccore.testing.hostile import (
    LINK,
    HostileStore,
    Item,
    Rows,
    change_rows,
    delta_rows,
    head_rows,
    record_rows,
    repo_rows,
    snapshot_of_items,
)
from synccore.testing.invariants import assert_same_tree
from synccore.testing.lab import USER, Lab
from synccore.testing.stored_bytes import bomb, checksum, envelope, frame, packed, sha
from synccore.testing.trees import read

FIRST = [Item("kept", b"1")]
FIRST_ID = snapshot_of_items(FIRST)

# What no path may be; the reason stands at the end of each.
BAD_PATHS = [
    "",
    ".",
    "..",
    "../outside/new",
    "a/../../outside/new",
    "/etc/new",
    "//new",
    "a//b",
    "a/",
    "a/./b",
    "a\\..\\b",
    "C:\\new",
    "a\0b",
    ".git",
    ".GIT/config",
    "a/.git/hooks/post-checkout",
    "a/.Git",
    ".git./config",
    ".git /config",
    ".git. . /config",
    ".git::$INDEX_ALLOCATION/config",
    "GIT~1/config",
    ".g\u200cit/config",
    "\ufeff.git/config",
    "a/.gi\u202et/config",
    ".\u200d.",
    "x" * 256,
    "é" * 128,
    "/".join(["d" * 200] * 21),
]


class Victim:
    """A machine that has one good tree, with an edit in it, and a place beside it that nobody may write to."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.store = HostileStore(lab.inner)
        self.machine = lab.machine
        self.lab = lab
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "precious").write_bytes(b"precious")
        self.manifest = self.store.put_manifest(self.store.manifest_rows(FIRST))
        self.first = record_rows(1, change_rows("alpha", None, FIRST_ID, [*delta_rows([])[:2], self.manifest, *EMPTY]))
        self.store.put_head(head_rows(1, [repo_rows("alpha", FIRST_ID, self.manifest, 1)], [self.first]))
        self.machine.pull()
        (self.machine.home / "alpha" / "hers").write_bytes(b"hers")

    def uploads(self, *deltas: Rows, after: bytes) -> None:
        """Put a head that goes from the first snapshot to *after* by *deltas*, a record each."""
        records = [self.first]
        ids = [FIRST_ID, *[sha(b"%d" % number) for number in range(1, len(deltas))], after]
        for number, delta in enumerate(deltas):
            records.append(record_rows(number + 2, change_rows("alpha", ids[number], ids[number + 1], delta)))
        row = repo_rows("alpha", after, self.manifest, 1)
        self.store.put_head(head_rows(len(records), [row], records))

    def uploads_manifest(self, rows: Rows) -> None:
        """Put a head whose repository is at the manifest *rows*."""
        ref = self.store.put_manifest(rows)
        record = record_rows(2, change_rows("alpha", FIRST_ID, rows[0], [*delta_rows([])[:2], ref, *EMPTY]))
        self.store.put_head(head_rows(2, [repo_rows("alpha", rows[0], ref, 2)], [self.first, record]))

    def assert_refused(self, *, by: type[SyncError] = IntegrityError, naming: str = "") -> str:
        """Check that machines that know the first snapshot, and new ones, refuse, and that nothing has changed."""
        before = self._all_files()
        fresh = self.lab.another_machine("fresh")
        messages = []
        for machine in (self.machine, fresh, self.machine):
            with pytest.raises(by) as refused:
                machine.pull()
            messages.append(refused.value.message)
            assert naming in refused.value.message
            assert len(refused.value.message) < 1000
        assert self._all_files() == before
        assert not [path for path in fresh.home.iterdir() if path.name[0] != "."]
        assert not list((fresh.home / ".synccode").glob("staging-*/*"))
        return messages[0]

    def assert_untouched_outside(self) -> None:
        assert_same_tree(read(self.outside), {"precious": "precious"})

    def _all_files(self) -> object:
        return read(self.machine.home / "alpha"), read(self.outside), self.machine.rescued()


# removed, tree, was, places, inline, moves
EMPTY: Rows = [[], [[], b"", [], b"", []], [], [[], [], []], b"", []]


@pytest.fixture
def victim(lab: Lab, tmp_path: Path) -> Victim:
    return Victim(lab, tmp_path)


def test_what_the_kit_makes_is_taken_where_nothing_is_wrong_with_it(victim: Victim) -> None:
    after = [*FIRST, Item("new/é", b"2"), Item("link", b"kept", LINK)]
    victim.uploads(delta_rows([Item("link", b"kept", LINK), Item("new/é", b"2")]), after=snapshot_of_items(after))
    victim.machine.pull()
    fresh = victim.lab.another_machine("fresh")
    fresh.pull()
    found = {path: node for path, node in victim.machine.read("alpha").items() if path != "hers"}
    assert found == fresh.read("alpha")
    assert found.keys() == {"kept", "new/é", "link"}


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path[:30]))
def test_a_listing_with_such_a_path_is_refused(victim: Victim, path: str) -> None:
    items = sorted([*FIRST, Item(path)], key=lambda item: item.path.encode())
    victim.uploads_manifest(victim.store.manifest_rows(items))
    victim.assert_refused(naming=f"manifest {USER}/manifests/")


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path[:30]))
def test_a_delta_that_writes_or_removes_such_a_path_is_refused(victim: Victim, path: str) -> None:
    victim.uploads(delta_rows([Item(path)]), after=snapshot_of_items([*FIRST, Item(path)]))
    victim.assert_refused(naming="a record of alpha in the head")
    victim.uploads(delta_rows([], [Item(path)]), after=sha(b"after"))
    victim.assert_refused(naming="a record of alpha in the head")


def test_a_path_that_is_no_text_is_refused(victim: Victim) -> None:
    rows = victim.store.manifest_rows(FIRST)
    packed_rows = packed(rows).replace(b"\xa4kept", b"\xa4k\xed\xa0\x80")  # half of a surrogate pair
    ref = victim.store._put(lambda user, digest: f"{user}/manifests/{digest.hex()}", envelope(b"M", packed_rows))
    victim.store.put_head(head_rows(1, [repo_rows("alpha", sha(b"other"), ref, 1)], [victim.first]))
    victim.assert_refused(naming="manifest")


# A link, and a file through it


def test_a_listing_with_a_file_below_a_link_is_refused(victim: Victim) -> None:
    items = [Item("a", str(victim.outside).encode(), LINK), Item("a/new"), *FIRST]
    victim.uploads_manifest(victim.store.manifest_rows(items))
    victim.assert_refused(naming="both as an entry and as a directory")


def through_a_link(victim: Victim) -> tuple[Item, Item, bytes]:
    link, file = Item("a", str(victim.outside).encode(), LINK), Item("a/precious", b"overwritten")
    return link, file, snapshot_of_items([link, file, *FIRST])


def test_a_link_and_then_a_file_below_it_are_refused_when_they_come_together(victim: Victim) -> None:
    link, file, after = through_a_link(victim)
    victim.uploads(delta_rows([link]), delta_rows([file]), after=after)
    victim.assert_refused(naming="'a' both as an entry and as a directory")
    victim.uploads(delta_rows([file]), delta_rows([link]), after=after)
    victim.assert_refused(naming="'a' both as an entry and as a directory")


@pytest.mark.parametrize("is_large", [False, True])
def test_a_file_below_a_link_that_came_before_lands_in_the_tree_and_the_link_is_saved(
    victim: Victim,
    is_large: bool,  # noqa: FBT001 - a parameter by name
) -> None:
    link, file, after = through_a_link(victim)
    with_link = snapshot_of_items([link, *FIRST])
    victim.uploads(delta_rows([link]), after=with_link)
    victim.machine.pull()
    assert (victim.machine.home / "alpha/a").is_symlink()
    delta = delta_rows([file])
    if is_large:
        delta = large_file_delta("a/precious", 2**20 + 5)
    rows = [
        victim.first,
        record_rows(2, change_rows("alpha", FIRST_ID, with_link, delta_rows([link]))),
        record_rows(3, change_rows("alpha", with_link, after, delta)),
    ]
    victim.store.put_head(head_rows(3, [repo_rows("alpha", after, victim.manifest, 1)], rows))
    (line,) = victim.machine.pull().repos
    victim.assert_untouched_outside()
    assert not (victim.machine.home / "alpha/a").is_symlink()
    assert [item.path for item in line.saved] == ["alpha/a"]
    assert (victim.machine.home / "alpha/hers").read_bytes() == b"hers"
    with pytest.raises(IntegrityError, match="both as an entry and as a directory"):
        victim.lab.another_machine("fresh").pull()


def large_file_delta(path: str, size: int) -> Rows:
    first, rest = bytes(2**20), bytes(size - 2**20)
    whole = first + rest
    blocks = [frame(first), frame(rest)]
    delta = delta_rows([Item(path)])
    delta[4] = [[path], b"\0", [size], sha(whole), [[0, sha(first) + sha(rest), [len(first), len(rest)]]]]
    delta[6] = [
        [],
        [
            [0, 0, len(blocks[0]), len(first), checksum(blocks[0])],
            [0, len(blocks[0]), len(blocks[1]), len(rest), checksum(blocks[1])],
        ],
        [0, 0, 1, 0],
    ]
    delta[7] = b"".join(blocks)
    return delta


def test_a_directory_of_ours_that_a_delta_makes_a_file_without_removing_it_loses_nothing(victim: Victim) -> None:
    inside = Item("d/inside", b"inside")
    with_inside = snapshot_of_items([inside, *FIRST])
    both = snapshot_of_items([inside, Item("d"), *FIRST])
    records = [victim.first, record_rows(2, change_rows("alpha", FIRST_ID, with_inside, delta_rows([inside])))]
    victim.store.put_head(head_rows(2, [repo_rows("alpha", with_inside, victim.manifest, 1)], records))
    victim.machine.pull()
    (victim.machine.home / "alpha/d/edit").write_bytes(b"edit")
    records.append(record_rows(3, change_rows("alpha", with_inside, both, delta_rows([Item("d")]))))
    victim.store.put_head(head_rows(3, [repo_rows("alpha", both, victim.manifest, 1)], records))
    victim.machine.pull()
    (saved,) = victim.machine.rescued()
    assert (saved["alpha/d/edit"], saved["alpha/d/inside"]) == (b"edit", b"inside")


def test_paths_that_differ_by_case_alone_are_two_files_where_the_disk_says_so(victim: Victim) -> None:
    items = [Item("A", b"upper"), Item("a", b"lower"), *FIRST]
    victim.uploads_manifest(victim.store.manifest_rows(items))
    victim.machine.pull()
    found = victim.machine.read("alpha")
    assert (found["A"], found["a"], found["kept"], found["hers"]) == (b"upper", b"lower", b"1", b"hers")


# What a listing can say beside its paths


def spoilt(change: Callable[[Rows], object]) -> Callable[[Victim], Rows]:
    def build(victim: Victim) -> Rows:
        rows = deepcopy(victim.store.manifest_rows([Item("a", b"aaaa"), Item("b", b"bb"), Item("l", b"a", LINK)]))
        change(rows)
        return rows

    return build


def set_at(*where: int) -> Callable[[object], Callable[[Rows], None]]:
    def to(value: object) -> Callable[[Rows], None]:
        def change(rows: Rows) -> None:
            for number in where[:-1]:
                rows = rows[number]
            rows[where[-1]] = value

        return change

    return to


SPOILT_LISTINGS: dict[str, Callable[[Rows], object]] = {
    "a path twice": set_at(1, 0)(["a", "a", "l"]),
    "paths out of order": set_at(1, 0)(["b", "a", "l"]),
    "a path too few": set_at(1, 0)(["a", "l"]),
    "no paths": set_at(1, 0)(None),
    "a fourth kind": set_at(1, 1)(b"\0\3\2"),
    "sizes that lie by much": set_at(1, 2)([4, 2**63, 1]),
    "a size below nothing": set_at(1, 2)([4, -1, 1]),
    "a size that is no number": set_at(1, 2)([4, True, 1]),
    "an empty file with a content": set_at(1, 2)([4, 0, 1]),
    "half a digest": lambda rows: set_at(1, 3)(rows[1][3][:-16])(rows),
    "other digests": set_at(1, 3)(bytes(96)),
    "a small file in chunks": lambda rows: set_at(1, 4)([[0, rows[1][3][:32], [4]]])(rows),
    "a link without a target": lambda rows: (set_at(1, 2)([4, 2, 0])(rows), set_at(2, 2)([0, 0, 0, 4])(rows)),
    "chunks of no entry": set_at(1, 4)([[7, b"", []]]),
    "chunks of nothing": set_at(1, 4)([[0, bytes(32), [0]]]),
    "chunks with half a digest": set_at(1, 4)([[0, bytes(33), [4]]]),
    "a block beyond its bundle": set_at(2, 1, 0, 1)(2**40),
    "a block larger than any": set_at(2, 1, 0, 3)(2**40),
    "a block stored larger than any": set_at(2, 1, 0, 2)(2**30),
    "an inline block": set_at(2, 1, 0, 0)(0),
    "a block of a bundle that is not named": set_at(2, 1, 0, 0)(2),
    "a bundle larger than any": set_at(2, 0, 0, 1)(2**50),
    "a chunk that overlaps the end of its block": set_at(2, 2)([0, 0, 0, 6, 0, 5]),
    "a chunk of another block": set_at(2, 2)([0, 0, 9, 4, 0, 6]),
    "a place too many": set_at(2, 2)([0, 0, 0, 4, 0, 6, 0, 0]),
    "half a place": set_at(2, 2)([0, 0, 0, 4, 0]),
    "another tree's id": set_at(0)(sha(b"another")),
    "no id": set_at(0)(None),
}


@pytest.mark.parametrize("name", SPOILT_LISTINGS)
def test_a_listing_that_contradicts_itself_is_refused(victim: Victim, name: str) -> None:
    rows = spoilt(SPOILT_LISTINGS[name])(victim)
    ref = victim.store.put_manifest(rows)
    at = rows[0] if isinstance(rows[0], bytes) else sha(b"none")
    victim.store.put_head(head_rows(2, [repo_rows("alpha", at, ref, 2)], [record_rows(2)]))
    victim.assert_refused(naming=f"{USER}/manifests/{ref[0].hex()}")


# What is found only when contents arrive: nothing wrong is written, and what was not of ours stays.
LIES_ABOUT_CONTENTS: dict[str, Callable[[Rows], object]] = {
    "chunks that overlap": set_at(2, 2)([0, 0, 0, 3, 0, 6]),
    "chunks that are exchanged": set_at(2, 2)([0, 2, 0, 0, 0, 6]),
    "a block that is smaller than it says": set_at(2, 1, 0, 3)(2**20),
    "a block with another checksum": set_at(2, 1, 0, 4)(1),
    "a block somewhere else": set_at(2, 1, 0, 1)(9),
    "sizes that lie by little": set_at(1, 2)([4, 1, 1]),
    "a bundle that is not there": set_at(2, 0, 0, 0)(bytes(32)),
}


@pytest.mark.parametrize("name", LIES_ABOUT_CONTENTS)
def test_places_that_lie_are_found_out_when_the_contents_arrive(victim: Victim, name: str) -> None:
    victim.uploads_manifest(spoilt(LIES_ABOUT_CONTENTS[name])(victim))
    machine = victim.machine
    with pytest.raises(SyncError, match=f"{USER}/bundles/|content of alpha/"):
        machine.pull()
    found = machine.read("alpha")
    assert found.items() <= {"hers": b"hers", "kept": b"1", "a": b"aaaa", "b": b"bb"}.items()
    assert found["hers"] == b"hers"
    victim.assert_untouched_outside()


# Deltas


def test_inline_blocks_that_share_their_bytes_are_refused(victim: Victim) -> None:
    """Ten thousand copies of two megabytes would come out of a delta of as much."""
    delta = delta_rows([Item("a", b"aaaa"), Item("b", b"bb")])
    block = delta[6][1][0]
    delta[6][1] = [block] * 2
    victim.uploads(delta, after=sha(b"after"))
    victim.assert_refused(naming="inline block")
    delta[6][1] = [[*block[:2], block[2] + 1, *block[3:]]]
    victim.uploads(delta, after=sha(b"after"))
    victim.assert_refused(naming="inline block")


SPOILT_DELTAS: dict[str, Callable[[Rows], object]] = {
    "removed and written": set_at(3)([["a", 0, bytes(32)]]),
    "removed twice": set_at(3)([["x", 0, bytes(32)], ["x", 0, bytes(32)]]),
    "was of nothing": set_at(5)([]),
    "was of a fifth kind": set_at(5)([[5, bytes(32)]]),
    "a manifest beside a difference": set_at(2)([bytes(32), 1]),
    "bytes beside the blocks": lambda delta: set_at(7)(delta[7] + b"more")(delta),
    "counts that are texts": set_at(1)(["1"] * 5),
    "git that is a text": set_at(0)("main"),
    "moves without an end": set_at(8)([["kept"]]),
    "a move to where it is": set_at(8)([["d", "d"]]),
    "a move and one below it": set_at(8)([["d", "e"], ["d/d", "f"]]),
    "a move beside a manifest": lambda delta: (set_at(2)([bytes(32), 1])(delta), set_at(8)([["d", "e"]])(delta)),
    "more dirty paths than are kept": set_at(0)([None, None, None, ["a"] * 101, 101]),
    "one more column": lambda delta: delta.append(None),
}


@pytest.mark.parametrize("name", SPOILT_DELTAS)
def test_a_delta_that_contradicts_itself_is_refused(victim: Victim, name: str) -> None:
    delta = delta_rows([Item("a", b"aaaa")])
    SPOILT_DELTAS[name](delta)
    victim.uploads(delta, after=sha(b"after"))
    victim.assert_refused(naming="a record of alpha in the head")


MOVED = [Item("d/a", b"a"), Item("d/b/c", b"c"), Item("e/a", b"e"), Item("f", b"f")]

SENSELESS_MOVES = {
    "of nothing": [["no", "new"]],
    "of a file": [["f", "new"]],
    "to what is taken": [["d", "e"]],
    "to one path": [["d", "n"], ["e", "n"]],
    "below a file": [["d", "f/d"]],
    "to a file": [["d/b", "f"]],
    "to what is too long": [["d", "/".join(["d" * 200] * 20) + "/" + "d" * 75]],
    "a thousand of them": [[f"d{number:04}", f"n{number}"] for number in range(1000)],
}


@pytest.mark.parametrize("name", SENSELESS_MOVES)
def test_moves_that_are_none_of_the_tree_are_refused(victim: Victim, name: str) -> None:
    with_more = snapshot_of_items([*MOVED, *FIRST])
    records = [victim.first, record_rows(2, change_rows("alpha", FIRST_ID, with_more, delta_rows(MOVED)))]
    row = repo_rows("alpha", with_more, victim.manifest, 1)
    victim.store.put_head(head_rows(2, [row], records))
    victim.machine.pull()
    delta = delta_rows([])
    delta[8] = SENSELESS_MOVES[name]
    records.append(record_rows(3, change_rows("alpha", with_more, sha(b"after"), delta)))
    victim.store.put_head(head_rows(3, [repo_rows("alpha", sha(b"after"), victim.manifest, 1)], records))
    victim.assert_refused(naming="alpha in the head")


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path[:30]))
def test_a_delta_that_moves_from_or_to_such_a_path_is_refused(victim: Victim, path: str) -> None:
    for move in ([path, "new"], ["kept", path]):
        delta = delta_rows([])
        delta[8] = [move]
        victim.uploads(delta, after=sha(b"after"))
        victim.assert_refused(naming="a record of alpha in the head")


def test_a_move_that_is_one_of_the_tree_is_taken(victim: Victim) -> None:
    after = [Item("new/d/a", b"a"), Item("new/d/b/c", b"c"), *MOVED[2:], *FIRST]
    delta = delta_rows([])
    delta[8] = [["d", "new/d"]]
    with_more = snapshot_of_items([*MOVED, *FIRST])
    records = [
        victim.first,
        record_rows(2, change_rows("alpha", FIRST_ID, with_more, delta_rows(MOVED))),
        record_rows(3, change_rows("alpha", with_more, snapshot_of_items(after), delta)),
    ]
    victim.store.put_head(head_rows(3, [repo_rows("alpha", snapshot_of_items(after), victim.manifest, 1)], records))
    victim.machine.pull()
    assert victim.machine.read("alpha").keys() == {"hers", *[item.path for item in after]}


def test_a_delta_that_is_not_as_large_as_it_says_is_refused(victim: Victim) -> None:
    change = change_rows("alpha", FIRST_ID, sha(b"after"), delta_rows([Item("a")]))
    for plain, stored in ((change[3] + 1, change[4]), (4 * 2**20, bomb(4 * 2**20)), (change[3], b""), (0, frame(b""))):
        spoilt_change = [*change[:3], plain, stored]
        records = [victim.first, record_rows(2, spoilt_change)]
        victim.store.put_head(head_rows(2, [repo_rows("alpha", sha(b"after"), victim.manifest, 1)], records))
        victim.assert_refused(naming="a record of alpha in the head")


def test_records_that_do_not_lead_to_what_the_head_says_are_refused(victim: Victim) -> None:
    there, back = sha(b"there"), delta_rows([Item("a")])
    chains = [
        # In a circle, which never comes to what the head names.
        [change_rows("alpha", FIRST_ID, there, back), change_rows("alpha", there, FIRST_ID, delta_rows([]))],
        # From something that nobody had.
        [change_rows("alpha", there, sha(b"after"), back)],
        # The same step twice.
        [change_rows("alpha", FIRST_ID, there, back), change_rows("alpha", FIRST_ID, there, back)],
        # To itself.
        [change_rows("alpha", there, there, back)],
        # Nowhere.
        [change_rows("alpha", FIRST_ID, None, delta_rows([]))],
    ]
    for steps in chains:
        records = [victim.first, *[record_rows(number + 2, step) for number, step in enumerate(steps)]]
        row = repo_rows("alpha", sha(b"after"), victim.manifest, 1)
        victim.store.put_head(head_rows(len(records), [row], records))
        victim.assert_refused(naming="repository alpha in the head comes to snapshot")


# Heads


def nested(depth: int) -> Rows:
    rows: Rows = []
    for _ in range(depth):
        rows = [rows]
    return rows


HEADS: dict[str, Callable[[Rows], object]] = {
    "a write id of three bytes": set_at(0)(b"abc"),
    "another newest record": set_at(1)(9),
    "a sequence below nothing": set_at(1)(-1),
    "based on a record of the future": set_at(2, 0, 3)(7),
    "based on a record long gone": lambda rows: (set_at(3)([record_rows(9)])(rows), set_at(1)(9)(rows)),
    "a name that leaves": set_at(2, 0, 0)(".."),
    "a name with a slash": set_at(2, 0, 0)("a/b"),
    "a hidden name": set_at(2, 0, 0)(".synccode"),
    "the name of git's folder": set_at(2, 0, 0)(".git"),
    "no name": set_at(2, 0, 0)(""),
    "a name twice": lambda rows: rows[2].append(rows[2][0]),
    "a time that no calendar has": set_at(2, 0, 6)(2**63),
    "a record's time that no calendar has": set_at(3, 0, 1)(2**63),
    "a user that is a number": set_at(2, 0, 7)(7),
    "a branch that is an array": set_at(2, 0, 9)([None, ["main"], 0]),
    "records with a gap": lambda rows: (rows[3].append(record_rows(3)), set_at(1)(3)(rows)),
    "a horizon beyond": set_at(5)(7),
    "one more column": lambda rows: rows.append(None),
    "a deep nest in a column": set_at(1)(nested(900)),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_contradicts_itself_is_refused(victim: Victim, name: str) -> None:
    rows = deepcopy(head_rows(1, [repo_rows("alpha", FIRST_ID, victim.manifest, 1)], [victim.first]))
    HEADS[name](rows)
    victim.store.put_head(rows)
    victim.assert_refused(naming=f"head {USER}/head")


def test_repositories_that_name_each_others_listings_are_refused(victim: Victim) -> None:
    others = [Item("other")]
    other = victim.store.put_manifest(victim.store.manifest_rows(others))
    rows = [repo_rows("alpha", FIRST_ID, other, 1), repo_rows("beta", snapshot_of_items(others), victim.manifest, 1)]
    victim.store.put_head(head_rows(1, rows, [victim.first]))
    with pytest.raises(IntegrityError, match=r"repository (alpha|beta) in the head comes to snapshot"):
        victim.lab.another_machine("fresh").pull()
    with pytest.raises(IntegrityError, match="repository beta in the head comes to snapshot"):
        victim.machine.pull()
    assert_same_tree(victim.machine.read("alpha"), {"kept": "1", "hers": "hers"})


def test_a_head_of_very_many_repositories_is_read_and_none_of_them_is_believed(victim: Victim) -> None:
    rows = [repo_rows(f"r{number:06}", FIRST_ID, [bytes(32), 1], 1) for number in range(20_000)]
    victim.store.put_head(head_rows(1, rows, [victim.first]))
    with pytest.raises(IntegrityError, match=f"object {USER}/manifests/{'0' * 64} is missing"):
        victim.machine.pull()
    assert_same_tree(victim.machine.read("alpha"), {"kept": "1", "hers": "hers"})


# Journal objects


def test_a_chain_of_ten_thousand_journal_objects_is_read_as_far_as_it_is_asked_for(victim: Victim) -> None:
    earlier: Rows | None = None
    for number in range(1, 10_000):
        earlier = victim.store.put_journal([[record_rows(number)], [], earlier])
    victim.store.put_head(head_rows(10_000, [], [record_rows(10_000)], earlier))
    calls = victim.lab.counted(lambda: log(USER, victim.lab.backend, limit=3))
    assert sum(calls.values()) == 3
    assert len(log(USER, victim.lab.inner, limit=9000)) == 9000


@pytest.mark.parametrize(
    "records",
    [[], [record_rows(1)], [record_rows(9)], [record_rows(3), record_rows(5)]],
    ids=lambda rows: str(len(rows)),
)
def test_a_journal_object_that_does_not_continue_the_records_is_refused(victim: Victim, records: Rows) -> None:
    ref = victim.store.put_journal([records, [], None])
    victim.store.put_head(head_rows(5, [], [record_rows(5)], ref))
    with pytest.raises(IntegrityError, match=f"journal object {USER}/journal/{ref[0].hex()}"):
        log(USER, victim.lab.inner, limit=10)


def test_journal_objects_that_have_each_other_as_the_one_before_cannot_be_stored(victim: Victim) -> None:
    """A circle would need two digests that contain each other; one that is claimed is found out by the digest."""
    ref = victim.store.put_journal([[record_rows(4)], [], None])
    victim.store.put_head(head_rows(5, [], [record_rows(5)], [sha(b"claimed"), ref[1]]))
    with pytest.raises(IntegrityError, match="is missing"):
        log(USER, victim.lab.inner, limit=10)


# Frames


FRAMES = {
    "an immense content": bomb(2**40),
    "a content beyond every limit": bomb(2**63),
    "no content size": frame(b"x" * 100, states_size=False),
    "a frame to be skipped": b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd",
    "a frame to be skipped before it": b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + frame(b"x" * 100),
    "two frames": frame(b"x" * 50) + frame(b"x" * 50),
    "ten thousand frames": frame(b"x") * 10_000,
    "a window of two gigabytes": b"\x28\xb5\x2f\xfd" + b"\x80\xa8" + (100).to_bytes(4, "little") + b"\x01\x00\x00",
    "a dictionary": b"\x28\xb5\x2f\xfd" + b"\x21\x07\x64" + b"\x01\x00\x00",
    "no frame": b"x" * 100,
    "nothing": b"",
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("size", [100, 2**62])
def test_a_head_around_such_a_frame_is_refused(victim: Victim, name: str, size: int) -> None:
    victim.store.put_head_bytes(envelope(b"H", b"x" * 100, size=size, content=FRAMES[name]))
    victim.assert_refused(naming=f"head {USER}/head")


@pytest.mark.parametrize("name", FRAMES)
def test_a_block_that_is_such_a_frame_is_refused(victim: Victim, name: str) -> None:
    stored = FRAMES[name]
    delta = delta_rows([Item("a", b"x" * 100)])
    delta[6][1] = [[0, 0, len(stored), 100, checksum(stored)]]
    delta[7] = stored
    after = snapshot_of_items([*FIRST, Item("a", b"x" * 100)])
    victim.uploads(delta, after=after)
    victim.assert_refused()
