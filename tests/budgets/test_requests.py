"""What each everyday operation asks of the storage, counted on every kind of it."""

import math
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from synccore.head import FOLD_ABOVE_RECORDS, SPILL_ABOVE_BYTES, SPILL_KEEPS_RECORDS
from synccore.keys import head_key
from synccore.pullreport import PullOutcome
from synccore.push import PushOutcome
from synccore.refs import HeadAt, read_head
from synccore.testing.invariants import assert_carried, assert_is_at_head, assert_sound
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import NodeTree, noise

pytestmark = pytest.mark.vm

MIB = 2**20
UPLOAD_LIMIT = 160 * 1024

# No two are alike: of a small listing there are only so many frames, and that of a second tree like it may bear a name that is taken.
REPOS: dict[str, NodeTree] = {
    f"repo{number}": {f"d/{n}.py": b"x = %d" % (100 * number + n) for n in range(30)} for number in range(4)
}


def source(size: int, seed: int) -> bytes:
    """Something that compresses as Python does, of about *size* bytes."""
    words = [f"name_{(seed * 7919 + n * 104729) % 9973}" for n in range(400)]
    lines = (
        f"    {words[n * seed % 397]} = {words[(n * 31 + seed) % 400]}({words[n % 400]}, {n * seed % 1000})\n"
        for n in range(size)
    )
    text = ""
    while len(text) < size:
        text += next(lines)
    return text[:size].encode()


def head_bytes(lab: Lab) -> int:
    at = read_head(lab.inner, USER)
    assert isinstance(at, HeadAt)
    return len(at.data)


def test_an_upload_of_nothing_new_is_one_conditional_get(lab: Lab) -> None:
    lab.laptop.lay(**REPOS)
    lab.laptop.push()
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
    assert lab.backend.bytes_written == lab.backend.bytes_read == 0
    assert {line.outcome for line in lab.laptop.push().repos} == {PushOutcome.UNCHANGED}


def test_a_touched_file_is_not_uploaded(lab: Lab) -> None:
    lab.laptop.lay(**REPOS)
    lab.laptop.push()
    (lab.laptop.code / "repo0/d/1.py").touch()
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}


def test_a_download_of_nothing_new_is_one_conditional_get_for_any_number_of_repositories(lab: Lab) -> None:
    for names in (["repo0"], list(REPOS)):
        lab.laptop.lay(**{name: REPOS[name] for name in names})
        lab.laptop.push()
        lab.machine.pull()
        assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
        assert lab.backend.bytes_read == 0


@pytest.mark.parametrize("files", [1, 20])
def test_an_everyday_edit_is_one_put_up_and_one_get_down(lab: Lab, files: int) -> None:
    lab.laptop.lay(**REPOS)
    lab.laptop.push()
    lab.machine.pull()
    edited = {name: dict(tree) for name, tree in REPOS.items()}
    for number in range(files):
        edited[f"repo{number % 4}"][f"d/{number}.py"] = source(10_000, number + 1)
    lab.laptop.lay(**edited)
    assert lab.counted(lab.laptop.push) == {"conditional_put": 1}
    assert lab.backend.bytes_written <= UPLOAD_LIMIT
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert lab.backend.bytes_read <= UPLOAD_LIMIT
    assert_carried(lab.laptop, lab.machine, *REPOS)


def test_adding_deleting_and_renaming_are_everyday_edits(lab: Lab) -> None:
    tree: NodeTree = {"a.py": b"1", "b.py": b"2", "c/d.py": b"3"}
    lab.laptop.lay(alpha=tree)
    lab.laptop.push()
    lab.machine.pull()
    lab.laptop.lay(alpha={"a.py": b"1", "renamed/b.py": b"2", "new.py": b"4"})
    assert lab.counted(lab.laptop.push) == {"conditional_put": 1}
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert_carried(lab.laptop, lab.machine, "alpha")


def test_a_directory_that_is_renamed_is_one_request_and_a_small_body_at_any_size(lab: Lab) -> None:
    files: NodeTree = {f"src/p{number % 40}/{number}.py": noise(40, number) for number in range(2000)}
    lab.laptop.lay(alpha={"README": b"1", **files})
    lab.laptop.push()
    lab.machine.pull()
    for old, new in (("src", "lib"), ("lib/p0", "lib/other")):
        (lab.laptop.code / "alpha" / old).rename(lab.laptop.code / "alpha" / new)
        assert lab.counted(lab.laptop.push) == {"conditional_put": 1}
        assert lab.backend.bytes_written <= 2048
        assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
        assert lab.backend.bytes_read <= 2048
        assert_carried(lab.laptop, lab.machine, "alpha")


def test_a_day_of_edits_stays_small_at_every_moment_of_the_journals_life(lab: Lab) -> None:
    lab.laptop.lay(**REPOS)
    lab.laptop.push()
    lab.machine.pull()
    tree = dict(REPOS["repo1"])
    folds = spills = 0
    for number in range(FOLD_ABOVE_RECORDS + 20):
        tree[f"d/{number % 30}.py"] = source(3000 + 400 * (number % 20), number + 1)
        lab.laptop.lay(repo1=tree)
        calls = lab.counted(lambda: lab.laptop.push("repo1"))
        assert head_bytes(lab) <= UPLOAD_LIMIT
        assert calls.pop("conditional_put") == 1
        # Contents that are spilled are a bundle. A fold adds a journal object and a listing of each repository that has records as well, and
        # neither reads anything.
        assert calls in ({}, {"put": 1}, {"put": 2 + (1 if folds else len(REPOS))})
        spills += calls == {"put": 1}
        folds += calls.get("put", 0) > 1
        assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
        assert lab.backend.bytes_read <= UPLOAD_LIMIT
    assert 1 <= folds <= 3
    assert 4 <= spills <= 10
    assert_carried(lab.laptop, lab.machine, *REPOS)
    assert_sound(lab.inner)


def test_after_a_spill_the_body_is_small_again_and_who_is_behind_takes_one_get_more(lab: Lab) -> None:
    tree: NodeTree = {"a": b"1"}
    lab.laptop.lay(alpha=tree)
    lab.laptop.push()
    behind = lab.another_machine("behind")
    behind.pull()
    calls: Mapping[str, int] = {"conditional_put": 1}
    uploads = 0
    while calls == {"conditional_put": 1}:
        tree = {**tree, f"{uploads}": noise(20_000, uploads)}
        lab.laptop.lay(alpha=tree)
        calls = lab.counted(lab.laptop.push)
        uploads += 1
        assert head_bytes(lab) <= UPLOAD_LIMIT
        if calls == {"conditional_put": 1}:
            lab.machine.pull()
    assert calls == {"conditional_put": 1, "put": 1}
    assert SPILL_ABOVE_BYTES < 20_200 * (uploads - SPILL_KEEPS_RECORDS) < SPILL_ABOVE_BYTES + 20_200
    assert head_bytes(lab) < 21_000 * SPILL_KEEPS_RECORDS
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    assert lab.backend.bytes_read < 21_000 * SPILL_KEEPS_RECORDS
    assert lab.counted(behind.pull) == {"conditional_get": 1, "get": 1}
    assert_carried(lab.laptop, lab.machine, "alpha")
    assert_sound(lab.inner)


@pytest.mark.parametrize("repos", [1, 5])
def test_a_first_upload_and_a_first_download_take_one_request_a_repository_and_one_for_16_mib(
    lab: Lab, repos: int
) -> None:
    for number in range(repos):
        tree: NodeTree = {f"{n}": noise(20_000, 100 * number + n) for n in range(20)}
        lab.laptop.lay(**{f"repo{number}": {**tree, "large": noise(36 * MIB // repos, number)}})
    calls = lab.counted(lab.laptop.push)
    stored = lab.backend.bytes_written - head_bytes(lab)
    assert stored > 2 * 16 * MIB
    assert set(calls) <= {"put", "get"}
    limit = 1 + repos + math.ceil(stored / (16 * MIB))
    # The get is the look for a head, which finds none.
    assert calls["get"] <= 1
    assert calls["put"] <= limit
    calls = lab.counted(lab.machine.pull)
    assert set(calls) == {"get"}
    assert calls["get"] <= limit
    assert lab.backend.bytes_read <= stored + head_bytes(lab)
    assert_is_at_head(lab.machine, lab)


def test_many_small_repositories_arrive_in_few_requests(lab: Lab) -> None:
    lab.laptop.lay(**{f"repo{number}": {"a": noise(3_000, number)} for number in range(20)})
    calls = lab.counted(lab.laptop.push)
    assert calls == {"get": 1, "put": 1}
    calls = lab.counted(lab.machine.pull)
    assert calls == {"get": 1}
    assert {line.outcome for line in lab.machine.pull().repos} == {PullOutcome.UNCHANGED}


def test_an_upload_on_top_of_another_laptops_takes_one_get_and_one_more_put(lab: Lab) -> None:
    other = lab.another_laptop("other")
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    other.lay(beta={"b": "1"})
    other.push()
    lab.laptop.lay(alpha={"a": "2"})
    assert lab.counted(lab.laptop.push) == {"conditional_put": 2, "get": 1}


def test_a_git_work_tree_costs_no_more(lab: Lab) -> None:
    lab.laptop.lay(alpha=REPOS["repo0"])
    root = lab.laptop.code / "alpha"
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "1"]):
        subprocess.run(["git", "-C", root, *command], check=True)
    lab.laptop.push()
    lab.machine.pull()
    assert lab.counted(lab.laptop.push) == {"conditional_get": 1}
    lab.laptop.lay(alpha={**REPOS["repo0"], "new.py": b"1"})
    assert lab.counted(lab.laptop.push) == {"conditional_put": 1}
    assert lab.counted(lab.machine.pull) == {"conditional_get": 1}
    at = lab.head().repos["alpha"].provenance.git
    assert at is not None
    assert at.dirty_count == 1


def test_the_head_is_one_object_and_all_that_ever_changes(lab: Lab, tmp_path: Path) -> None:
    versions: dict[str, set[str]] = {}
    for number in range(5):
        lab.laptop.lay(alpha={"a": str(number), "n": noise(70_000, number)})
        lab.laptop.push()
        for listed in lab.inner.keys(""):
            versions.setdefault(listed.key, set()).add(listed.version)
    assert [key for key, seen in versions.items() if len(seen) > 1] == [head_key(USER)]
