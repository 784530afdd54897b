import tracemalloc
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from synccore.envelope import MAX_PAYLOAD_BYTES, ObjectKind, compress, decompress, seal, unseal
from synccore.errors import ErrorKind, IntegrityError, InvalidInputError
from synccore.testing.stored_bytes import bomb, envelope, frame, sha

PAYLOAD = b"what is inside " * 9

GOLDEN_HEADER = b"\x89EPLM\x01\x00\x00\x87\x00\x00\x00\x00\x00\x00\x00" + sha(PAYLOAD)


def test_an_envelope_is_a_header_of_48_bytes_and_a_frame() -> None:
    sealed = seal(ObjectKind.MANIFEST, PAYLOAD)
    assert sealed[:48] == GOLDEN_HEADER
    assert zstandard.get_frame_parameters(sealed[48:]).content_size == len(PAYLOAD)
    assert zstandard.ZstdDecompressor().decompress(sealed[48:]) == PAYLOAD


@pytest.mark.parametrize("kind", ObjectKind)
def test_an_envelope_that_another_program_has_written_is_read(kind: ObjectKind) -> None:
    assert unseal(kind, envelope(kind.value, PAYLOAD), "it") == PAYLOAD


@given(st.binary(max_size=3000), st.sampled_from(ObjectKind))
def test_what_was_sealed_is_unsealed(payload: bytes, kind: ObjectKind) -> None:
    assert unseal(kind, seal(kind, payload), "it") == payload
    assert seal(kind, payload) == seal(kind, payload)


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "half a header": envelope(b"H", PAYLOAD)[:47],
    "another magic": envelope(b"H", PAYLOAD, magic=b"\x89PNG"),
    "another kind": envelope(b"M", PAYLOAD),
    "bytes that must be zero": envelope(b"H", PAYLOAD, zero=1),
    "a size that lies": envelope(b"H", PAYLOAD, size=len(PAYLOAD) - 1),
    "a size beyond the limit": envelope(b"H", PAYLOAD, size=MAX_PAYLOAD_BYTES[ObjectKind.HEAD] + 1),
    "a size beyond all sense": envelope(b"H", PAYLOAD, size=2**64 - 1),
    "another digest": envelope(b"H", PAYLOAD, digest=sha(b"else")),
    "no frame": envelope(b"H", PAYLOAD, content=b""),
    "half a frame": envelope(b"H", PAYLOAD)[:-3],
    "something after the frame": envelope(b"H", PAYLOAD) + b"x",
    "a second frame": envelope(b"H", PAYLOAD) + frame(b""),
    "a frame that does not state its size": envelope(b"H", PAYLOAD, content=frame(PAYLOAD, states_size=False)),
    "a frame of nothing that promises much": envelope(b"H", b"", size=2**22, content=bomb(2**22)),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_an_envelope_that_is_not_as_it_must_be_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"^head ann/head ") as refused:
        unseal(ObjectKind.HEAD, data, "head ann/head")
    assert refused.value.kind is ErrorKind.DAMAGED_OBJECT
    assert refused.value.facts["object"] == "head ann/head"


def test_a_newer_version_is_said_to_be_newer_whatever_else_it_has_changed() -> None:
    with pytest.raises(IntegrityError, match="format version 2; this program reads version 1") as refused:
        unseal(ObjectKind.HEAD, envelope(b"?", PAYLOAD, version=2, zero=7, size=2**60), "head ann/head")
    assert refused.value.kind is ErrorKind.NEWER_FORMAT
    assert (refused.value.facts["expected"], refused.value.facts["found"]) == (1, 2)


def test_a_window_that_needs_much_memory_is_refused_and_the_engines_own_never_does() -> None:
    content = bytes(9 * 2**20)
    wide = zstandard.ZstdCompressionParameters(window_log=24, write_content_size=True)
    data = zstandard.ZstdCompressor(compression_params=wide).compress(content)
    with pytest.raises(IntegrityError):
        decompress(data, len(content), "it")
    assert decompress(compress(content), len(content), "it") == content


def test_a_bit_that_flips_anywhere_is_seen_or_changes_nothing() -> None:
    sealed = seal(ObjectKind.HEAD, PAYLOAD)
    unseen = []
    for bit in range(8 * len(sealed)):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = unseal(ObjectKind.HEAD, bytes(damaged), "it")
        except IntegrityError:
            continue
        assert found == PAYLOAD
        unseen.append(bit)
    # RFC 8878 has one bit in the header of a frame that readers ignore.
    assert unseen == [8 * 52 + 4]


@pytest.mark.parametrize(
    "read",
    [
        lambda: decompress(bomb(2**40), 2**20, "it"),
        lambda: decompress(bomb(2**30), 2**30, "it"),
        lambda: unseal(ObjectKind.MANIFEST, envelope(b"M", b"", size=2**29, content=bomb(2**29)), "it"),
    ],
)
def test_no_room_is_made_on_the_word_of_a_header(read: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError):
            read()
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_what_no_reader_would_take_is_not_written() -> None:
    most = MAX_PAYLOAD_BYTES[ObjectKind.HEAD]
    assert unseal(ObjectKind.HEAD, seal(ObjectKind.HEAD, bytes(most)), "it") == bytes(most)
    with pytest.raises(
        InvalidInputError, match=f"a head of {most + 1} bytes cannot be stored: expected at most {most}"
    ):
        seal(ObjectKind.HEAD, bytes(most + 1))


def test_a_frame_states_its_size_and_is_the_same_each_time() -> None:
    assert zstandard.get_frame_parameters(compress(b"")).content_size == 0
    assert compress(PAYLOAD) == compress(PAYLOAD)
    assert decompress(compress(PAYLOAD), len(PAYLOAD), "it") == PAYLOAD
