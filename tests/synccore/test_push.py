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
