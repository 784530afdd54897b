from collections.abc import Callable
from pathlib import Path

import pytest

from synccore.backends.local import LocalBackend
from synccore.errors import ConflictError, ErrorKind, SyncError, WorktreeError
from synccore.look import Source
from synccore.problem import ProblemKind
from synccore.push import PushOutcome
from synccore.status import source_status
from synccore.testing.invariants import assert_is_at_head, assert_same_tree, assert_sound
from synccore.testing.lab import Lab
from synccore.testing.trees import TreeLiteral, link, noise

pytestmark = pytest.mark.vm


def test_a_content_that_another_repository_has_stored_is_not_stored_again(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "shared"}, beta={"b": "1"})
    lab.laptop.push()
    lab.laptop.lay(beta={"b": "1", "c": "shared"})
    lab.laptop.push()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert_sound(lab.inner)


def test_new_repositories_may_share_a_content(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "shared"}, beta={"b": "shared"})
    lab.laptop.push()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert_sound(lab.inner)


def test_a_listing_that_is_small_to_store_and_too_large_to_read_goes_to_a_manifest(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    lab.machine.pull()
    deep = "/".join(["d" * 250] * 10)
    lab.laptop.lay(alpha={"a": "1", **{f"{deep}/{number}": "" for number in range(1750)}})
    lab.laptop.push()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    lab.laptop.lay(alpha={"a": "2"})
    lab.laptop.push(force=True)
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)


@pytest.mark.parametrize("files", [{"a": "22"}, {"a": "22", "large": noise(1_500_000)}])
def test_what_was_read_without_being_uploaded_is_read_again_when_it_is(lab: Lab, files: TreeLiteral) -> None:
    lab.clock.run_ahead()
    lab.laptop.lay(alpha={"a": "1", "same": "1"})
    lab.laptop.push()
    lab.laptop.lay(alpha={**files, "same": "1"})
    source_status([Source(repo="alpha", root=lab.laptop.code / "alpha")], store=lab.laptop.store)
    lab.laptop.push()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)
    assert_sound(lab.inner)


def test_an_upload_that_was_refused_can_be_repeated(lab: Lab) -> None:
    lab.clock.run_ahead()
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    other = lab.another_laptop("other")
    other.lay(alpha={"a": "theirs"})
    other.push(force=True)
    lab.laptop.lay(alpha={"a": "ours, and longer"})
    for _ in range(2):
        with pytest.raises(ConflictError):
            lab.laptop.push()
    lab.laptop.push(force=True)
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), {"a": "ours, and longer"})


def test_a_first_upload_that_found_no_bucket_can_be_repeated(tmp_path: Path) -> None:
    lab = Lab(tmp_path, LocalBackend(tmp_path / "store"))
    lab.clock.run_ahead()
    lab.laptop.lay(alpha={"a": "1", "large": noise(1_500_000)})
    (tmp_path / "store").write_bytes(b"in the way")
    with pytest.raises(SyncError):
        lab.laptop.push()
    (tmp_path / "store").unlink()
    lab.laptop.push()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)


def emptied(lab: Lab) -> None:
    lab.laptop.lay(alpha={})


def halved(lab: Lab) -> None:
    lab.laptop.lay(alpha={str(number): "1" for number in range(49)})


@pytest.mark.parametrize("lose", [emptied, halved])
@pytest.mark.parametrize("looked_before", [False, True])
def test_a_tree_that_looks_lost_is_not_uploaded_without_force(
    lab: Lab, lose: Callable[[Lab], None], *, looked_before: bool
) -> None:
    lab.clock.run_ahead()
    lab.laptop.lay(alpha={str(number): "1" for number in range(100)})
    lab.laptop.push()
    before = lab.head()
    lose(lab)
    if looked_before:
        source_status([Source(repo="alpha", root=lab.laptop.code / "alpha")], store=lab.laptop.store)
    for _ in range(2):
        with pytest.raises(WorktreeError, match="of 100 that the store has") as refused:
            lab.laptop.push()
        assert refused.value.kind is ErrorKind.DELETION_GUARD
        assert lab.head() == before
    assert lab.laptop.push(force=True).repos[0].outcome is PushOutcome.PUBLISHED


def test_renaming_everything_or_losing_half_is_no_loss(lab: Lab) -> None:
    lab.laptop.lay(alpha={str(number): "1" for number in range(100)})
    lab.laptop.push()
    lab.laptop.lay(alpha={f"renamed/{number}": "1" for number in range(100)})
    lab.laptop.push()
    lab.laptop.lay(alpha={f"renamed/{number}": "1" for number in range(50)})
    lab.laptop.push()
    assert lab.head().repos["alpha"].files == 50


@pytest.mark.parametrize("looked_before", [False, True])
def test_what_may_surprise_is_named_by_a_status_and_by_the_upload_that_brings_it(
    lab: Lab, *, looked_before: bool
) -> None:
    lab.clock.run_ahead()
    outside = (ProblemKind.LINK_LEAVES_TREE, "data")
    colliding = (ProblemKind.COLLIDES, "readme")
    alpha = Source(repo="alpha", root=lab.laptop.code / "alpha")

    def expect(*named: tuple[ProblemKind, str]) -> None:
        if looked_before:
            (status,) = source_status([alpha], store=lab.laptop.store)
            assert {(problem.kind, problem.path) for problem in status.problems} == {*named}
        (pushed,) = lab.laptop.push().repos
        assert {(note.kind, note.path) for note in pushed.notes} == {*named}

    tree: TreeLiteral = {"README": "1", "inside": link("README"), "data": link("/mnt/data")}
    lab.laptop.lay(alpha=tree)
    expect(outside)
    expect()
    lab.laptop.lay(alpha={**tree, "readme": "2"})
    expect(colliding)
    lab.laptop.lay(alpha={**tree, "readme": "3", "new": "1"})
    expect()
    lab.laptop.lay(alpha={**tree, "readme": "3", "data": link("../data")})
    expect(outside)
