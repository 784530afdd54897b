from synccore.testing.invariants import assert_is_at_head, assert_sound
from synccore.testing.lab import Lab


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
