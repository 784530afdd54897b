"""What only moved on the laptop is moved on the machine: nothing of it is fetched, and nothing that somebody did is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crash.worlds import Trees, World, killed_everywhere

from synccore.testing.invariants import assert_is_at_head, assert_sound
from synccore.testing.lab import Lab, lab_in_memory
from synccore.testing.trees import executable, link, nodes, noise

FILES = {f"{number}.py": noise(9_000, number) for number in range(30)}
BEFORE = nodes({**{f"old/{name}": data for name, data in FILES.items()}, "run": executable("run")})
AFTER = nodes({**{f"new/{name}": data for name, data in FILES.items()}, "go": executable("run")})


@pytest.fixture
def lab() -> Iterator[Lab]:
    with lab_in_memory() as made:
        yield made


def move(lab: Lab, before: Trees, after: Trees) -> None:
    """Have the machine at *before*, and *after* uploaded."""
    lab.laptop.lay(**before)
    lab.laptop.push()
    lab.machine.pull()
    lab.laptop.lay(**after)
    lab.laptop.push()


def test_a_renamed_directory_costs_one_get(lab: Lab) -> None:
    move(lab, {"alpha": BEFORE}, {"alpha": AFTER})
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert_is_at_head(lab.machine, lab)
    assert lab.machine.rescued() == []


def test_a_renamed_file_is_the_very_file_that_it_was_also_where_others_have_its_content(lab: Lab) -> None:
    same = {f"{number}/__init__.py": "# empty\n" for number in range(5)}
    before, after = ({"alpha": nodes({f"{at}/{path}": text for path, text in same.items()})} for at in ("old", "new"))
    move(lab, before, after)
    home = lab.machine.home / "alpha"
    were = [(home / "old" / path).stat().st_ino for path in same]
    lab.machine.pull()
    assert [(home / "new" / path).stat().st_ino for path in same] == were


def test_a_large_file_that_is_renamed_is_not_fetched(lab: Lab) -> None:
    large = noise(3 << 20)
    move(lab, {"alpha": nodes({"a": large, "b": "1"})}, {"alpha": nodes({"c/d": large, "b": "1"})})
    lab.backend.reset()
    lab.machine.pull()
    assert lab.backend.bytes_read < 1 << 20
    assert_is_at_head(lab.machine, lab)


def test_a_large_file_that_is_renamed_and_was_edited_here_is_fetched_and_the_edit_saved(lab: Lab) -> None:
    large = noise(3 << 20)
    move(lab, {"alpha": nodes({"a": large, "b": "1"})}, {"alpha": nodes({"c/d": large, "b": "1"})})
    (lab.machine.home / "alpha/a").write_bytes(b"hers")
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert lab.machine.rescued() == [nodes({"alpha/a": "hers"})]


def test_what_was_edited_at_its_old_place_is_saved_there_and_fetched_for_the_new_one(lab: Lab) -> None:
    move(lab, {"alpha": BEFORE}, {"alpha": AFTER})
    (lab.machine.home / "alpha/old/7.py").write_bytes(b"hers")
    (lab.machine.home / "alpha/old/8.py").unlink()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert lab.machine.rescued() == [nodes({"alpha/old/7.py": "hers"})]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": "1", "b": "2"}, {"a/b": "1", "b": "2"}),
        ({"a/b": "1"}, {"a": "1"}),
        ({"a/b/c": "1", "d": "2"}, {"a/b": "1", "d/e": "2"}),
        ({"a": "1", "b": "2"}, {"a": "2", "b": "1"}),
        ({"a": executable("1")}, {"b": "1"}),
        ({"a": "1"}, {"b": "1", "c": "1", "d": link("1")}),
        ({"a": "1", "b": "1", "c": "1"}, {"d/a": "1", "d/b": "1"}),
        ({"a": "1", "b": "1"}, {"d": "1", "e": "1", "f": executable("1"), "g": "1"}),
        ({"p/a": "1", "q/b": "2"}, {"q/a": "1", "p/b": "2"}),
    ],
    ids=[
        "below itself",
        "above itself",
        "across",
        "exchanged",
        "no longer executable",
        "twice",
        "fewer of the same",
        "more of the same",
        "into each other's directory",
    ],
)
def test_whatever_moves_wherever_arrives(lab: Lab, before: dict[str, object], after: dict[str, object]) -> None:
    move(lab, {"alpha": nodes(before)}, {"alpha": nodes(after)})  # type: ignore[arg-type]
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert lab.machine.rescued() == []


@pytest.mark.parametrize(
    "names", [["1.py", "2.py", "3.py"], ["1.py", "p/2.py", "p/3.py", "p/4.py"]], ids=["files", "directory"]
)
def test_a_move_that_is_killed_anywhere_is_completed_by_the_next_download(world: World, names: list[str]) -> None:
    some = {name: FILES[name.rpartition("/")[2]] for name in names}
    before, after = ({"alpha": nodes({f"{at}/{name}": data for name, data in some.items()})} for at in ("old", "new"))
    world.upload(before)
    world.machine.pull()
    world.upload(after)
    world.keep()
    for _ in killed_everywhere(world, world.machine.pull):
        world.machine.pull()
        assert world.machine.trees() == after
        assert world.machine.rescued() == []
        assert_sound(world.store)
        # The note of a run that was killed after all else goes with the next one that has something to do.
        world.upload({"alpha": {**after["alpha"], "end": b"the end"}})
        world.machine.pull()
        world.check_machine()
