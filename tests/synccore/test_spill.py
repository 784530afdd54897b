"""Moving contents out of the head: nothing else of a record changes, and whoever needs them finds them."""

from __future__ import annotations

import pytest

from synccore.bundle import inline_places, pack_block
from synccore.digest import digest_of
from synccore.fold import spill
from synccore.head import SPILL_KEEPS_RECORDS, Head
from synccore.journal import Change, Delta, decode_delta, encode_change
from synccore.outlet import Outlet
from synccore.places import InlineBlock, StoredBlock
from synccore.repository import ObjectWriter
from synccore.testing.invariants import assert_carried, assert_is_at_head, assert_sound
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import NodeTree, executable, noise

pytestmark = pytest.mark.vm

MIB = 2**20


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every upload spill what those before it brought, but for the newest few."""
    monkeypatch.setattr("synccore.fold.SPILL_ABOVE_BYTES", 0)


def spilled(lab: Lab, head: Head) -> Head:
    with Outlet(ObjectWriter(lab.backend, USER)) as outlet:
        found = spill(head, outlet)
        outlet.wait()
    return found


def deltas_of(head: Head) -> list[Delta]:
    return [decode_delta(change, "a record") for record in head.records for change in record.changes]


def upload(lab: Lab, tree: NodeTree, **others: NodeTree) -> None:
    lab.laptop.lay(alpha=tree, **others)
    lab.laptop.push()


def some_history(lab: Lab) -> None:
    """Upload what has all kinds of deltas: files that come, change, go and move, a large one of which a part is edited, equal ones."""
    large = bytearray(noise(2 * MIB))
    many: NodeTree = {f"d/{number}": noise(50, number) for number in range(40)}
    upload(lab, {"a": noise(30_000), "large": bytes(large), **many})
    large[MIB] ^= 1
    upload(lab, {"a": noise(30_000, 1), "b": executable(noise(30_000, 1)), "large": bytes(large), **many})
    (lab.laptop.code / "alpha/d").rename(lab.laptop.code / "alpha/e")
    (lab.laptop.code / "alpha/e/0").write_bytes(noise(20_000, 2))
    (lab.laptop.code / "alpha/b").unlink()
    lab.laptop.push()
    upload(lab, {"a": noise(100, 3)}, beta={"1": noise(30_000, 1)})


def test_records_are_the_same_but_for_where_their_contents_are(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    some_history(lab)
    before = lab.head()
    monkeypatch.setattr("synccore.fold.SPILL_ABOVE_BYTES", 0)
    after = spilled(lab, before)
    assert after.records[-SPILL_KEEPS_RECORDS:] == before.records[-SPILL_KEEPS_RECORDS:]
    assert [record.identity for record in after.records] == [record.identity for record in before.records]
    assert after._replace(records=()) == before._replace(records=())
    for was, now in zip(deltas_of(before), deltas_of(after), strict=True):
        assert was._replace(places={}) == now._replace(places={})
        assert was.places.keys() == now.places.keys()
    older = deltas_of(after._replace(records=after.records[:-SPILL_KEEPS_RECORDS]))
    assert any(delta.places for delta in older)
    assert all(isinstance(place.block, StoredBlock) for delta in older for place in delta.places.values())


@pytest.mark.usefixtures("eager")
def test_who_is_behind_finds_what_was_spilled(lab: Lab) -> None:
    upload(lab, {"a": noise(30_000)})
    behind = lab.another_machine("behind")
    behind.pull()
    some_history(lab)
    for machine in (behind, lab.machine):
        machine.pull()
        assert_is_at_head(machine, lab)
        assert_carried(lab.laptop, machine, "alpha", "beta")
    assert_sound(lab.inner)


@pytest.mark.usefixtures("eager")
def test_where_there_is_nothing_to_move_nothing_is_stored(lab: Lab) -> None:
    many: NodeTree = {f"d/{number}": b"%d" % number for number in range(40)}
    upload(lab, many)
    upload(lab, {**many, "a": noise(1000)})
    for name in ("e", "f"):
        (lab.laptop.code / "alpha/d").rename(lab.laptop.code / f"alpha/{name}")
        (lab.laptop.code / f"alpha/{name}").rename(lab.laptop.code / "alpha/d")
        (lab.laptop.code / "alpha" / name).write_bytes(b"")
        lab.laptop.push()
    head = lab.head()
    lab.backend.reset()
    assert spilled(lab, head) is head
    assert not lab.backend.calls


def test_little_beside_long_listings_is_left_where_it_is(lab: Lab) -> None:
    """Otherwise every upload would store what the one before it brought, until the next fold."""
    tree: NodeTree = {f"d/{number:04}": noise(10, number) for number in range(2000)}
    upload(lab, tree)
    for round_ in range(8):
        # Their contents go to a bundle, and what is said of them stays in the head.
        tree = {**tree, **{f"d/{number:04}": noise(400, 10_000 * round_ + number) for number in range(200)}}
        upload(lab, tree)
    calls = []
    for number in range(3):
        tree = {**tree, "edited": noise(1000, number)}
        lab.laptop.lay(alpha=tree)
        calls.append(lab.counted(lab.laptop.push))
    assert {"conditional_put": 1} in calls
    assert all(call.get("put", 0) != 1 for call in calls)


def test_what_cannot_be_read_is_left_as_it_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(lab, {"a": noise(30_000)})
    upload(lab, {"a": noise(30_000, 1)})
    upload(lab, {"a": noise(30_000, 2)})
    upload(lab, {"a": noise(30_000, 3)})
    head = lab.head()
    (first,) = head.records[0].changes
    damaged = Change(first.repo, first.before, first.after, first.plain_bytes, first.frame[:-9] + b"123456789")
    head = head._replace(records=(head.records[0]._replace(changes=(damaged,)), *head.records[1:]))
    monkeypatch.setattr("synccore.fold.SPILL_ABOVE_BYTES", 0)
    after = spilled(lab, head)
    assert after.records[0] == head.records[0]
    (second,) = deltas_of(after._replace(records=after.records[1:2]))
    assert not any(isinstance(place.block, InlineBlock) for place in second.places.values())


def test_a_block_with_other_contents_than_it_says_is_left_as_well(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(lab, {"a": noise(1000)})
    upload(lab, {"a": noise(1000, 1)})
    upload(lab, {"a": noise(1000, 3)})
    head = lab.head()
    (change,) = head.records[0].changes
    (delta,) = deltas_of(head._replace(records=head.records[:1]))
    wrong = inline_places(pack_block([(digest_of(noise(1000)), noise(1000, 2))]))
    again = encode_change(change.repo, change.before, change.after, delta._replace(places=wrong))
    head = head._replace(records=(head.records[0]._replace(changes=(again,)), *head.records[1:]))
    monkeypatch.setattr("synccore.fold.SPILL_ABOVE_BYTES", 0)
    assert spilled(lab, head).records == head.records
