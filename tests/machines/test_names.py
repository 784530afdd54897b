"""What machines may be called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epic_lab.errors import LabError, LabErrorKind
from epic_lab.machines import names

# The pattern of the cloud, as its description of the API has it.
CLOUDS_PATTERN = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")

usernames = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,20}", fullmatch=True)
anything = st.text(alphabet="ab1-._AB é/", max_size=70)


@given(usernames, anything)
def test_a_name_is_one_that_the_cloud_takes_or_is_refused(username: str, given_name: str) -> None:
    try:
        name = names.machine_name(given_name, username)
    except LabError as error:
        refused = error.kind is LabErrorKind.BAD_MACHINE_NAME
    else:
        refused = False
        assert name.startswith(names.owner_prefix(username))
        assert CLOUDS_PATTERN.fullmatch(name)
    whole = (
        given_name if given_name.startswith(names.owner_prefix(username)) else names.owner_prefix(username) + given_name
    )
    assert refused is not (CLOUDS_PATTERN.fullmatch(whole) is not None and whole != names.owner_prefix(username))


@given(usernames, st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True))
def test_the_prefix_may_be_left_out_or_written(username: str, suffix: str) -> None:
    whole = names.machine_name(suffix, username)
    assert whole == names.owner_prefix(username) + suffix
    assert names.machine_name(whole, username) == whole
    assert names.owner_of(whole, username) == username


@pytest.mark.parametrize(
    ("username", "prefix"), [("ana", "ana-"), ("Ana", "ana-"), ("ana.b", "ana-b-"), ("ana_b", "ana-b-")]
)
def test_a_username_becomes_what_the_cloud_takes(username: str, prefix: str) -> None:
    assert names.owner_prefix(username) == prefix


@pytest.mark.parametrize("username", ["1ana", "_ana", "-ana", "a" * 63])
def test_a_username_that_no_machine_can_be_named_after_is_refused(username: str) -> None:
    with pytest.raises(LabError, match="no machine's name can begin with"):
        names.owner_prefix(username)


@pytest.mark.parametrize("given_name", ["", "ana-", "GPU", "g_pu", "gpu-", "g" * 60, "gpu 1", "gpu\n"])
def test_a_name_that_cannot_be_says_what_can(given_name: str) -> None:
    with pytest.raises(LabError, match="expected 1 to 59 small letters, digits and hyphens") as refused:
        names.machine_name(given_name, "ana")
    assert "ana-gpu-1" in refused.value.hint


def test_the_longest_name_is_taken() -> None:
    assert len(names.machine_name("g" * 59, "ana")) == names.LONGEST


def test_somebody_elses_machine_is_theirs() -> None:
    assert names.owner_of("bob-gpu-2", "ana") == "bob"


def test_the_nearest_names_come_first() -> None:
    assert names.nearest("ana-gpo", ["ana-cpu", "ana-gpu", "bob-training"]) == ("ana-gpu", "ana-cpu")
