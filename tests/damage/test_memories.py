"""Damaged memories of laptops and machines: all is healed, or taken for somebody's work; nothing wrong is written."""

from pathlib import Path

import pytest

from synccore.errors import ConflictError
from synccore.testing.damages import Damage
from synccore.testing.invariants import assert_is_at_head, assert_nothing_unfinished, assert_sound
from synccore.testing.killing import is_killed_at
from synccore.testing.lab import Lab
from synccore.testing.trees import NodeTree, content_of, noise

pytestmark = pytest.mark.vm

# Names that do not compress, and one content too large for the head: so few files are listed in a manifest.
MANY: NodeTree = {f"many/{noise(100, number).hex()}": b"x" for number in range(180)} | {"large": noise(70_000)}
FIRST: NodeTree = {**MANY, "a": b"1", "gone": b"1", "kept": b"1"}
SECOND: NodeTree = {**MANY, "a": b"2", "gone": b"1", "kept": b"1"}
# So much is new in it that the journal does not list it.
THIRD: NodeTree = {"a": b"3", "kept": b"1", **{f"other/{path}": b"x" for path in MANY}, "large": noise(70_000, 1)}


def spoil(path: Path, damage: Damage) -> None:
    data = damage(path.read_bytes())
    if data is None:
        path.unlink()
    else:
        path.write_bytes(data)


def brought_to_second(lab: Lab) -> None:
    for tree in (FIRST, SECOND):
        lab.laptop.lay(alpha=tree)
        lab.laptop.push()
        lab.machine.pull()


def contents_ever(*trees: NodeTree) -> set[bytes]:
    return {content_of(node) for tree in trees for node in tree.values()}


@pytest.mark.parametrize(
    ("where", "following"),
    [("state", THIRD), ("manifests/*", THIRD), ("deltas/*", THIRD), ("state", {**SECOND, "a": b"4"})],
    ids=["state", "manifest", "deltas", "state-when-little-changes"],
)
def test_a_machine_whose_memory_is_damaged_still_comes_to_the_head(
    lab: Lab, where: str, following: NodeTree, damage: Damage
) -> None:
    brought_to_second(lab)
    (path,) = lab.machine.memory_folder.glob(where)
    spoil(path, damage)
    (lab.machine.home / "alpha/hers").write_bytes(b"hers")
    (lab.machine.home / "alpha/a").write_bytes(b"her edit")
    lab.laptop.lay(alpha=following)
    lab.laptop.push()
    lab.machine.pull()
    found = lab.machine.read("alpha")
    assert {path: found.get(path) for path in following} == following
    assert found["hers"] == b"hers"
    saved = [content_of(node) for tree in lab.machine.rescued() for node in tree.values()]
    assert b"her edit" in saved
    assert set(saved) <= contents_ever(FIRST, SECOND) | {b"her edit"}
    # What we do not know any more to be ours stays; there is nothing else.
    assert found.keys() - following.keys() <= SECOND.keys() | {"hers"}
    assert_nothing_unfinished(lab.machine)
    lab.laptop.lay(alpha={**following, "a": b"5"})
    lab.laptop.push()
    assert lab.machine.pull().repos[0].saved == ()
    assert lab.machine.read("alpha")["a"] == b"5"


def test_a_machine_whose_note_of_an_unfinished_run_is_damaged_writes_nothing_wrong(lab: Lab, damage: Damage) -> None:
    brought_to_second(lab)
    lab.laptop.lay(alpha=THIRD)
    lab.laptop.push()
    note = lab.machine.memory_folder / "begun/alpha"
    # Somewhere among the files that go and those that come.
    assert is_killed_at(350, lab.machine.pull)
    assert note.exists()
    spoil(note, damage)
    following = {**SECOND, "a": b"4", "gone": b"2"}
    lab.laptop.lay(alpha=following)
    lab.laptop.push()
    lab.machine.pull()
    found = lab.machine.read("alpha")
    ever = contents_ever(FIRST, SECOND, THIRD, following)
    assert contents_ever(found) <= ever
    assert {content_of(node) for tree in lab.machine.rescued() for node in tree.values()} <= ever
    assert (found["a"], found["gone"]) == (b"4", b"2")
    if damage(b"a note") is not None:
        # A note that is there and cannot be read says that anything may have been touched.
        assert {path: found.get(path) for path in following} == following


@pytest.mark.parametrize("where", ["head", "manifests/*", "stat/alpha"])
def test_a_laptop_whose_memory_is_damaged_uploads_what_is_there(lab: Lab, where: str, damage: Damage) -> None:
    lab.clock.run_ahead()
    brought_to_second(lab)
    for path in lab.laptop.state_folder.glob(where):
        spoil(path, damage)
    lab.laptop.lay(alpha={**SECOND, "a": b"an edit", "new": noise(1_200_000)})
    try:
        lab.laptop.push()
    except ConflictError:
        # It does not know any more that the snapshot in the store is its own.
        assert where == "head"
        lab.laptop.push(force=True)
    assert_sound(lab.inner)
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
