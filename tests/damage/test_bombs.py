"""Objects that say they hold immensely much: they are refused for little memory, whatever they claim."""

import subprocess
import sys
from pathlib import Path

import pytest

from synccore.testing.hostile import Item, delta_rows
from synccore.testing.stored_bytes import envelope, frame, packed

MIB = 2**20
PROGRAM = Path(__file__).with_name("decoded_in_bounds.py")
REPOSITORY = Path(__file__).parents[2]

KINDS = {"head": b"H", "manifest": b"M", "journal": b"J"}


def claims(count: int, depth: int, size: int) -> bytes:
    """Arrays that each say that they hold *count* elements, the first of which is another one."""
    return (b"\xdd" + count.to_bytes(4, "big")) * depth + b"\xc0" * (size - 5 * depth)


def nests(depth: int, size: int) -> bytes:
    """An array full of arrays of one element of arrays of one element, *depth* of them."""
    one = b"\x91" * depth + b"\xc0"
    number = (size - 8) // len(one)
    return b"\xdd" + number.to_bytes(4, "big") + one * number


def taken_kib(name: str, data: bytes) -> int:
    """Decode *data* in a process of its own, which must refuse it, and return how much memory that took."""
    program = [sys.executable, str(PROGRAM), name]
    done = subprocess.run(
        program, input=data, capture_output=True, cwd=REPOSITORY, env={"PYTHONPATH": "."}, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "payload",
    [
        claims(2**32 - 1, 1, 100),
        claims(2**32 - 1, 1000, 4 * MIB),
        claims(4 * MIB, 1000, 4 * MIB),
        claims(MIB, 3, 4 * MIB),
        b"\x91" * (4 * MIB),
        b"\xc6\xff\xff\xff\xff" + bytes(100),
        b"\xdb\xff\xff\xff\xff" + bytes(100),
        b"\xdf\xff\xff\xff\xff" + bytes(100),
        b"\xc9\xff\xff\xff\xff\x01" + bytes(100),
    ],
    ids=[
        "an array",
        "a thousand arrays",
        "a thousand arrays that might just fit",
        "three arrays that fit",
        "nothing but beginnings",
        "binary",
        "a text",
        "a map",
        "an extension",
    ],
)
def test_a_claim_takes_no_room(name: str, payload: bytes) -> None:
    # The decoder's own copy of the payload, and as much again for the interpreter's ways.
    assert taken_kib(name, envelope(KINDS[name], payload)) <= (2 * len(payload) + 8 * MIB) // 1024


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("depth", [1, 6, 1000])
def test_what_is_really_there_takes_room_in_proportion_to_its_size(name: str, depth: int) -> None:
    """An array of one element is one byte when it is stored and an object of 48 bytes here; nothing is dearer."""
    payload = nests(depth, 4 * MIB)
    assert taken_kib(name, envelope(KINDS[name], payload)) <= (60 * len(payload) + 8 * MIB) // 1024


def test_inline_blocks_take_no_more_room_than_their_bytes() -> None:
    delta = delta_rows([Item("a", b"x")])
    delta[7] = bytes(MIB)
    delta[6][1] = [[0, 0, MIB, 1, 0] for _ in range(100_000)]
    data = packed(delta)
    assert taken_kib("delta", len(data).to_bytes(4, "big") + frame(data)) <= (60 * len(data) + 8 * MIB) // 1024
