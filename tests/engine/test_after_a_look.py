"""A look that led to no upload is remembered, and what happens to the tree after it is uploaded all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.backends.patience import Patience
from synccore.errors import UnavailableError
from synccore.testing.faults import FaultyBackend
from synccore.testing.invariants import assert_same_tree, assert_sound
from synccore.testing.lab import Lab
from synccore.testing.trees import TreeLiteral

FIRST = {"a": "1", "b": "1", "c": "1"}


@pytest.mark.parametrize(
    "after",
    [
        pytest.param({"a": "2", "b": "1"}, id="another file is deleted"),
        pytest.param({"a": "1", "b": "1", "c": "1"}, id="the edit is taken back"),
        pytest.param({"a": "2", "b": "2", "c": "1"}, id="another file is edited"),
        pytest.param({"a": "2", "b": "1", "c": "1", "d": "1"}, id="a file is added"),
        pytest.param({"a": "2", "b": "1", "d": "1"}, id="a file is renamed"),
        pytest.param({"b": "1", "c": "1"}, id="the edited file is deleted"),
    ],
)
def test_what_happens_after_an_upload_that_failed_is_uploaded_by_the_next(tmp_path: Path, after: TreeLiteral) -> None:
    faulty = FaultyBackend(MemoryBackend())
    lab = Lab(tmp_path, faulty, patience=Patience(deadline_seconds=0))
    lab.clock.run_ahead()
    lab.laptop.lay(alpha=FIRST)
    lab.laptop.push()
    lab.laptop.lay(alpha={**FIRST, "a": "2"})
    faulty.fail("conditional_put", times=9)
    with pytest.raises(UnavailableError):
        lab.laptop.push()
    faulty.heal()
    lab.laptop.lay(alpha=after)
    lab.laptop.push()
    lab.machine.pull()
    assert_same_tree(lab.machine.read("alpha"), after)
    assert_sound(lab.inner)
