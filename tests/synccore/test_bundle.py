import struct
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from msgpack import unpackb

from synccore.bundle import build_bundle, open_block, pack_block, parse_bundle, take_chunk
from synccore.digest import digest_of
from synccore.errors import ErrorKind, IntegrityError
from synccore.manifest import Chunk
from synccore.places import ObjectRef, Place, StoredBlock
from synccore.testing.stored_bytes import MAGIC, assembled, bomb, bundle, checksum, frame, packed, sha

BLOCKS = [[b"one", b"two"], [b"three"]]
chunks = st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=4, unique=True)


def built(blocks: list[list[bytes]]) -> bytes:
    return build_bundle(pack_block([(digest_of(it), it) for it in block]) for block in blocks).data


def test_a_bundle_is_a_header_then_blocks_then_a_table_then_a_trailer() -> None:
    data = built(BLOCKS)
    assert data[:8] == b"\x89EPLB\x01\x00\x00"
    offset, stored, plain, table_checksum = struct.unpack("<QIIQ", data[-32:-8])
    assert data[-8:] == b"\x89EPLT\x01\x00\x00"
    assert offset + stored == len(data) - 32
    table = data[offset : offset + stored]
    assert checksum(table) == table_checksum
    content = zstandard.ZstdDecompressor().decompress(table)
    assert len(content) == plain
    at = 8
    rows = unpackb(content, raw=False)
    for row, block in zip(rows, BLOCKS, strict=True):
        block_frame = data[at : at + row[0]]
        assert zstandard.ZstdDecompressor().decompress(block_frame) == b"".join(block)
        assert row[1:] == [
            len(b"".join(block)),
            checksum(block_frame),
            b"".join(map(sha, block)),
            [len(it) for it in block],
        ]
        at += row[0]
    assert at == offset


def test_a_bundle_says_where_each_chunk_is() -> None:
    bundle_of = build_bundle(pack_block([(digest_of(it), it) for it in block]) for block in BLOCKS)
    first, second = (frame_of for frame_of in (pack_block([(digest_of(it), it) for it in b]).frame for b in BLOCKS))
    assert bundle_of.ref == ObjectRef(digest_of(bundle_of.data), len(bundle_of.data))
    one = StoredBlock(bundle_of.ref, 8, len(first), 6, checksum(first))
    other = StoredBlock(bundle_of.ref, 8 + len(first), len(second), 5, checksum(second))
    assert bundle_of.places == {
        digest_of(b"one"): Place(one, 0),
        digest_of(b"two"): Place(one, 3),
        digest_of(b"three"): Place(other, 0),
    }


@pytest.mark.parametrize("blocks", [[], BLOCKS])
def test_a_bundle_that_another_program_has_written_is_read(blocks: list[list[bytes]]) -> None:
    found = parse_bundle(bundle(blocks), "it")
    assert [block.chunks for block in found] == [tuple(Chunk(digest_of(it), len(it)) for it in b) for b in blocks]
    for block, expected in zip(found, blocks, strict=True):
        assert open_block(block.frame, block.plain_bytes, block.checksum, "it") == b"".join(expected)


@given(st.lists(chunks, max_size=3))
def test_a_bundle_comes_back_as_it_was(blocks: list[list[bytes]]) -> None:
    packed_blocks = [pack_block([(digest_of(it), it) for it in block]) for block in blocks]
    assert parse_bundle(build_bundle(packed_blocks).data, "it") == packed_blocks
    assert build_bundle(packed_blocks).data == build_bundle(packed_blocks).data


STORED = frame(b"onetwo")
ROW = [len(STORED), 6, checksum(STORED), sha(b"one") + sha(b"two"), [3, 3]]


def with_row(**parts: object) -> Callable[[], bytes]:
    row = dict(zip(("stored", "plain", "checksum", "digests", "sizes"), ROW, strict=True)) | parts
    return lambda: assembled(STORED, packed([list(row.values())]))


def with_table(table: bytes) -> Callable[[], bytes]:
    return lambda: assembled(STORED, table)


MALFORMED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "39 bytes": lambda: bundle([])[:39],
    "the first half": lambda: bundle(BLOCKS)[: len(bundle(BLOCKS)) // 2],
    "all but the last byte": lambda: bundle(BLOCKS)[:-1],
    "a byte too many": lambda: bundle(BLOCKS) + b"\0",
    "another magic": lambda: assembled(STORED, packed([ROW]), header=b"\x89PNGB\x01\x00\x00"),
    "another kind": lambda: assembled(STORED, packed([ROW]), header=MAGIC + b"H\x01\x00\x00"),
    "bytes that must be zero": lambda: assembled(STORED, packed([ROW]), header=MAGIC + b"B\x01\x00\x01"),
    "another end": lambda: assembled(STORED, packed([ROW]), end=MAGIC + b"B\x01\x00\x00"),
    "an end of another version": lambda: assembled(STORED, packed([ROW]), end=MAGIC + b"T\x02\x00\x00"),
    "a table elsewhere": lambda: assembled(STORED, packed([ROW]), offset=9),
    "a table beyond the end": lambda: assembled(STORED, packed([ROW]), offset=2**63),
    "another checksum of the table": lambda: assembled(STORED, packed([ROW]), table_checksum=1),
    "another size of the table": lambda: assembled(STORED, packed([ROW]), plain=7),
    "a table beyond all limits": lambda: assembled(STORED, packed([ROW]), plain=2**32 - 1),
    "no table": with_table(b""),
    "half a table": with_table(packed([ROW])[:-1]),
    "a table that is no array": with_table(packed(7)),
    "a row of four parts": with_table(packed([ROW[:4]])),
    "no row": with_table(packed([])),
    "a row too many": with_table(packed([ROW, ROW])),
    "a block that is larger than it is": with_row(stored=len(STORED) + 1),
    "a block that is smaller than it is": with_row(stored=len(STORED) - 1),
    "a block larger than the bundle": with_row(stored=2**40),
    "a block of more than two MiB": with_row(plain=2**21 + 1),
    "sizes that do not add up": with_row(sizes=[3, 4]),
    "a chunk of nothing": with_row(sizes=[6, 0]),
    "a chunk of more than a MiB": with_row(sizes=[2**20 + 1, 1], plain=2**20 + 2),
    "a digest too few": with_row(digests=sha(b"one")),
    "half a digest": with_row(digests=sha(b"one") + sha(b"two")[:16]),
    "a checksum that is text": with_row(checksum="1"),
    "a negative size": with_row(sizes=[7, -1]),
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_a_bundle_that_is_not_as_it_must_be_is_refused_by_name(make: Callable[[], bytes]) -> None:
    with pytest.raises(IntegrityError, match=r"^bundle b ") as refused:
        parse_bundle(make(), "bundle b")
    assert refused.value.kind is ErrorKind.DAMAGED_OBJECT
    assert refused.value.facts["object"] == "bundle b"


def test_a_bundle_of_a_newer_version_is_said_to_be_newer() -> None:
    with pytest.raises(IntegrityError, match="format version 2") as refused:
        parse_bundle(assembled(STORED, packed([ROW]), header=MAGIC + b"B\x02\x00\x00"), "bundle b")
    assert refused.value.kind is ErrorKind.NEWER_FORMAT


@pytest.mark.parametrize(
    ("stored", "plain", "number"),
    [
        (STORED, 6, checksum(STORED) + 1),
        (STORED, 7, checksum(STORED)),
        (STORED[:-1], 6, checksum(STORED[:-1])),
        (bomb(2**21), 2**21, checksum(bomb(2**21))),
        (b"", 0, checksum(b"")),
    ],
)
def test_a_block_that_is_not_what_was_said_is_refused(stored: bytes, plain: int, number: int) -> None:
    with pytest.raises(IntegrityError, match=r"^bundle b "):
        open_block(stored, plain, number, "bundle b")


@pytest.mark.parametrize(("offset", "size"), [(1, 3), (3, 3), (0, 4), (5, 3), (2**60, 3)])
def test_a_chunk_is_compared_with_its_digest(offset: int, size: int) -> None:
    assert take_chunk(b"onetwo", 0, Chunk(digest_of(b"one"), 3), "bundle b") == b"one"
    with pytest.raises(IntegrityError, match=r"^bundle b .* is not " + digest_of(b"one").hex()):
        take_chunk(b"onetwo", offset, Chunk(digest_of(b"one"), size), "bundle b")
