"""A directory that was renamed on the laptop, on machines where somebody has been at work, or something is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.journal import decode_delta
from synccore.prune import Retention, prune
from synccore.testing.invariants import assert_carried, assert_is_at_head, assert_same_tree, assert_sound
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import NodeTree, executable, link, nodes, noise, read

# So much that it is in a bundle.
FILES = {f"p{number % 3}/{number}.py": noise(5000, number) for number in range(30)}
PACKAGE: NodeTree = nodes({**FILES, "run": executable("1"), "at": link("run"), "empty": ""})
STAYS: NodeTree = nodes({"README": "1", "lib/other.py": "2"})
EVERYTHING = Retention(seconds=-1, records=1, grace_seconds=-1)


def tree(at: str, **more: str) -> NodeTree:
    return nodes({**{f"{at}/{path}": node for path, node in PACKAGE.items()}, **STAYS, **more})


def moves(lab: Lab) -> list[tuple[str, str]]:
    """Return what the newest record moves."""
    (change,) = lab.head().records[-1].changes
    return [(old, new) for old, new in decode_delta(change, "it").moves]


@pytest.fixture
def home(lab: Lab) -> Path:
    """The machine's tree; it is up to date."""
    lab.clock.run_ahead()
    lab.laptop.lay(alpha=tree("lib/old"))
    lab.laptop.push(repair=True)
    assert lab.head().repos["alpha"].manifest is not None
    lab.machine.pull()
    return lab.machine.home / "alpha"


def rename(lab: Lab, old: str = "lib/old", new: str = "lib/new") -> None:
    place = lab.laptop.code / "alpha" / new
    place.parent.mkdir(parents=True, exist_ok=True)
    (lab.laptop.code / "alpha" / old).rename(place)


def test_a_renamed_directory_is_a_move_and_one_request_each_way(lab: Lab, home: Path) -> None:
    rename(lab)
    assert lab.counted(lab.laptop.push) == {"conditional_put": 1}
    assert moves(lab) == [("lib/old", "lib/new")]
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert_is_at_head(lab.machine, lab)
    assert_carried(lab.laptop, lab.machine, "alpha")
    assert_sound(lab.inner)
    assert not (home / "lib/old").exists()


def test_a_report_counts_as_if_each_file_had_been_listed(lab: Lab, home: Path) -> None:
    rename(lab)
    (line,) = lab.laptop.push().repos
    assert line.counts[:3] == (len(PACKAGE), 0, len(PACKAGE))
    (down,) = lab.machine.pull().repos
    assert (len(down.written), len(down.removed), down.saved) == (len(PACKAGE), len(PACKAGE), ())
    assert home.is_dir()


def test_an_edit_below_it_is_saved_from_where_it_was_made_and_what_nobody_wrote_stays(lab: Lab, home: Path) -> None:
    (home / "lib/old/p1/1.py").write_text("hers\n")
    (home / "lib/old/p1/note").write_text("her note\n")
    (home / "lib/old/p2/2.py").unlink()
    rename(lab)
    lab.laptop.push()
    # The listing, and the bundle.
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1, "get": 2}
    assert lab.machine.rescued() == [nodes({"alpha/lib/old/p1/1.py": "hers\n"})]
    assert (home / "lib/old/p1/note").read_text() == "her note\n"
    (home / "lib/old/p1/note").unlink()
    assert_is_at_head(lab.machine, lab)
    assert (home / "lib/new/p1/1.py").read_bytes() == FILES["p1/1.py"]


def test_a_file_of_hers_at_the_new_place_is_saved(lab: Lab, home: Path) -> None:
    (home / "lib/new/p1").mkdir(parents=True)
    (home / "lib/new/p1/1.py").write_text("hers\n")
    (home / "lib/new/p1/note").write_text("her note\n")
    rename(lab)
    lab.laptop.push()
    lab.machine.pull()
    assert lab.machine.rescued() == [nodes({"alpha/lib/new/p1/1.py": "hers\n"})]
    assert (home / "lib/new/p1/note").read_text() == "her note\n"
    assert (home / "lib/new/p1/1.py").read_bytes() == FILES["p1/1.py"]


def test_a_machine_that_is_several_renames_behind_follows_them_all(lab: Lab, home: Path) -> None:
    for old, new in (("lib/old", "lib/new"), ("lib", "src"), ("src/new", "new"), ("new/p1", "new/p2/p1")):
        rename(lab, old, new)
        (lab.laptop.code / "alpha/edited").write_text(new)
        lab.laptop.push()
        lab.clock.run_ahead()
    assert moves(lab) == [("new/p1", "new/p2/p1")]
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert_is_at_head(lab.machine, lab)
    assert read(home).keys() == read(lab.laptop.code / "alpha").keys()
    assert_sound(lab.inner)


def test_a_machine_that_has_lost_its_listing_loads_that_of_the_store(lab: Lab, home: Path) -> None:
    rename(lab)
    lab.laptop.push()
    for listing in (lab.machine.memory_folder / "manifests").iterdir():
        listing.write_bytes(b"")
    assert lab.counted(lab.machine.pull)["get"] == 2
    assert {path: node for path, node in read(home).items() if path.startswith("lib/new/")} == {
        f"lib/new/{path}": node for path, node in PACKAGE.items()
    }
    # Nothing says any more that what stands there is not hers.
    assert (home / "lib/old/p1/1.py").read_bytes() == FILES["p1/1.py"]


def test_what_was_kept_of_a_listing_is_not_asked_where_contents_are(lab: Lab, home: Path) -> None:
    """The laptop has stored all anew since, and what was there before is pruned."""
    (home / "lib/old/p1/1.py").write_text("hers\n")
    rename(lab)
    lab.laptop.push()
    assert moves(lab) == [("lib/old", "lib/new")]
    head = lab.head()
    stored = {line.key for line in lab.inner.keys(f"{USER}/bundles/")}
    lab.laptop.push(repair=True)
    (lab.laptop.code / "alpha/README").write_text("edited")
    lab.laptop.push()
    assert prune(USER, lab.inner, retention=EVERYTHING).deleted
    assert stored.isdisjoint({line.key for line in lab.inner.keys(f"{USER}/bundles/")})
    lab.machine.pull()
    assert lab.head().sequence == head.sequence + 2
    assert_is_at_head(lab.machine, lab)
    assert_same_tree(lab.machine.rescued()[0], {"alpha/lib/old/p1/1.py": "hers\n"})


def test_exchanged_directories_arrive(lab: Lab, home: Path) -> None:
    for old, new in (("p1", "p"), ("p2", "p1"), ("p", "p2")):
        rename(lab, f"lib/old/{old}", f"lib/old/{new}")
    lab.laptop.push()
    assert moves(lab) == [("lib/old/p1", "lib/old/p2"), ("lib/old/p2", "lib/old/p1")]
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert (home / "lib/old/p2/1.py").read_bytes() == FILES["p1/1.py"]


def test_a_rename_is_still_a_move_after_a_fold_and_in_history(lab: Lab, home: Path) -> None:
    rename(lab)
    lab.laptop.push()
    for number in range(70):
        (lab.laptop.code / "alpha/README").write_text(f"{number}")
        lab.laptop.push()
    assert lab.head().earlier is not None
    assert_sound(lab.inner)
    lab.machine.pull()
    new = lab.another_machine("new")
    new.pull()
    assert_is_at_head(new, lab)
    assert new.read("alpha") == lab.machine.read("alpha")
    assert home.is_dir()
