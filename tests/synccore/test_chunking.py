import hashlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.chunking import AVERAGE_CHUNK_BYTES, MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, cut
from synccore.digest import digest_of
from synccore.testing.trees import noise

MIB = 2**20

# Lengths and the beginnings of the digests. These are the format: data in people's stores was cut so.
GOLDEN = [
    (344071, "74a047104a341ecf"),
    (166630, "0d290e8880f1e009"),
    (126776, "2487ef4378b947e2"),
    (273034, "0c56bb5011daa483"),
    (342529, "6e77b6404398ead1"),
    (152896, "3f81853773cd8325"),
    (395894, "35c1ed7fe029378d"),
    (330700, "3ac98a76dd3a3ed6"),
    (462862, "2bbe839cd6246498"),
    (642780, "8fd9a1d8e920e350"),
    (444322, "cd21662c3f6e5037"),
    (221552, "d4b18120203a0a77"),
    (290258, "9fc49ede616ddda9"),
]


def pieces(content: bytes) -> list[bytes]:
    return list(cut(io.BytesIO(content)))


def test_a_known_content_is_cut_at_these_places_for_ever() -> None:
    content = b"".join(hashlib.sha256(struct.pack("<I", n)).digest() for n in range(4 * MIB // 32))
    assert [(len(it), digest_of(it).hex()[:16]) for it in pieces(content)] == GOLDEN
    assert (MIN_CHUNK_BYTES, AVERAGE_CHUNK_BYTES, MAX_CHUNK_BYTES) == (64 * 1024, 256 * 1024, 1024 * 1024)


def test_a_content_without_any_place_to_cut_is_cut_at_the_maximum() -> None:
    assert [len(it) for it in pieces(bytes(3 * MIB + 5))] == [MIB, MIB, MIB, 5]


@given(st.integers(MIB + 1, 3 * MIB), st.integers(0, 3))
def test_the_pieces_are_the_content_and_keep_to_the_limits(size: int, seed: int) -> None:
    content = noise(3 * MIB, seed)[:size]
    found = pieces(content)
    assert b"".join(found) == content
    assert all(MIN_CHUNK_BYTES <= len(it) <= MAX_CHUNK_BYTES for it in found[:-1])
    assert len(found[-1]) <= MAX_CHUNK_BYTES


class _Trickle(io.BytesIO):
    """A stream that gives less than it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(7777, size) if size and size > 0 else size)


def test_how_the_stream_hands_out_its_bytes_does_not_matter() -> None:
    assert list(cut(_Trickle(noise(2 * MIB)))) == pieces(noise(2 * MIB))


@pytest.mark.parametrize(
    "edit",
    [
        lambda content, at: content[:at] + b"edit" + content[at:],
        lambda content, at: content[:at] + content[at + 1000 :],
        lambda content, at: content[:at] + noise(1024, 9) + content[at + 1024 :],
    ],
    ids=["insert", "delete", "overwrite"],
)
@pytest.mark.parametrize("at", [5_000_000, 10_000_000, 17_777_777])
def test_an_edit_in_the_middle_of_a_large_content_changes_at_most_three_chunks(edit: object, at: int) -> None:
    content = noise(20 * MIB)
    before = set(map(digest_of, pieces(content)))
    after = set(map(digest_of, pieces(edit(content, at))))  # type: ignore[operator]
    assert 1 <= len(after - before) <= 3
    assert len(before - after) <= 3
