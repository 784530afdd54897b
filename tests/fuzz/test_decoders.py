"""No bytes whatever make a decoder do anything but refuse them or understand them."""

from __future__ import annotations

import random

import pytest
from fuzz.mutations import spoil
from fuzz.targets import TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st

# These are cheap: some 0.1 ms each.
MANY = settings(max_examples=settings().max_examples * 6)

every_target = pytest.mark.parametrize("name", TARGETS)


@every_target
def test_what_is_to_be_spoiled_is_understood(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    for seed in seeds:
        target.check(seed)


@every_target
@MANY
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_or_understood(name: str, data: bytes) -> None:
    TARGETS[name].check(data)


@every_target
@MANY
@given(number=st.integers(0, 2**32))
def test_good_bytes_that_were_spoiled_are_refused_or_understood(name: str, number: int) -> None:
    source = random.Random(number)
    target = TARGETS[name]
    target.check(spoil(source.choice(target.seeds()), source))
