"""What a machine remembers is read whatever it has become, and what has become something else is unknown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synccore.testing.lab import Lab
from synccore.worktree.machine import MachineMemory, State


def kept(lab: Lab) -> tuple[Path, Any]:
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    lab.machine.pull()
    path = lab.machine.memory_folder / "state"
    return path, json.loads(path.read_bytes().partition(b"\n")[2])


def put(path: Path, body: bytes) -> None:
    """Write a state whose digest is right."""
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


OTHER_SHAPES: dict[str, Callable[[Any], Any]] = {
    "an array": lambda _state: [],
    "a number": lambda _state: 7,
    "another format": lambda state: {**state, "format": 99},
    "trees in an array": lambda state: {**state, "trees": []},
    "a tree that is null": lambda state: {**state, "trees": {"alpha": None}},
    "a time without end": lambda state: with_tree(state, at_ms=float("inf")),
    "a time that is no number": lambda state: with_tree(state, at_ms=float("nan")),
    "a branch that is an array": lambda state: with_tree(state, git=[None, ["main"], 0]),
    "git's facts cut short": lambda state: with_tree(state, git=["c0ffee"]),
    "a snapshot that is no hexadecimal": lambda state: with_tree(state, snapshot="xyz"),
    "a base that is a path": lambda state: with_tree(state, base="../../etc/passwd"),
}


def with_tree(state: Any, **changes: object) -> Any:
    return {**state, "trees": {"alpha": {**state["trees"]["alpha"], **changes}}}


@pytest.mark.parametrize("name", OTHER_SHAPES)
def test_a_state_of_another_shape_is_no_state_and_the_next_pull_makes_it_anew(lab: Lab, name: str) -> None:
    path, state = kept(lab)
    put(path, json.dumps(OTHER_SHAPES[name](state)).encode())
    found = MachineMemory(lab.machine.home).load("lab ann")
    assert (found.version, found.trees) == (None, {})
    lab.machine.pull()
    assert lab.machine.read("alpha") == {"a": b"1"}
    again = json.loads(path.read_bytes().partition(b"\n")[2])
    assert again["trees"]["alpha"]["snapshot"] == state["trees"]["alpha"]["snapshot"]


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"9" * 5000, b"\xff"])
def test_a_state_that_is_no_json_is_no_state(tmp_path: Path, body: bytes) -> None:
    memory = MachineMemory(tmp_path)
    memory.store(State(store="lab ann", version=None, trees={}, boot=None))
    put(tmp_path / ".synccode" / "state", body)
    assert memory.load("lab ann").trees == {}
