from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore import wire
from synccore.errors import IntegrityError

values = st.recursive(
    st.none() | st.integers(0, 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
)


@given(values)
def test_what_was_packed_is_unpacked(value: object) -> None:
    assert wire.unpack(wire.pack(value), "it") == value


def test_the_shortest_form_is_used() -> None:
    assert wire.pack([127, 128, 255, 256, 2**16, 2**32]) == bytes.fromhex(
        "96 7f cc80 ccff cd0100 ce00010000 cf0000000100000000"
    )
    assert (
        wire.pack(["a" * 31, "a" * 32, b"", None]) == b"\x94\xbf" + b"a" * 31 + b"\xd9\x20" + b"a" * 32 + b"\xc4\0\xc0"
    )


REFUSED: dict[str, Callable[[], object]] = {
    "row: too short": lambda: wire.row((1,), 2, "it"),
    "row: no array": lambda: wire.row("ab", 2, "it"),
    "rows: no array": lambda: wire.rows(b"", "it"),
    "uint: negative": lambda: wire.uint(-1, "it"),
    "uint: true": lambda: wire.uint(True, "it"),
    "uint: nil": lambda: wire.uint(None, "it"),
    "uint: a fraction": lambda: wire.uint(1.0, "it"),
    "uint: too large": lambda: wire.uint(8, "it", most=7),
    "uints: one is true": lambda: wire.uints((1, True), "it"),
    "uints: one is negative": lambda: wire.uints((1, -1), "it"),
    "text: binary": lambda: wire.text(b"a", "it"),
    "binary: text": lambda: wire.binary("a", "it"),
    "digest: 31 bytes": lambda: wire.digest(b"\0" * 31, "it"),
    "digest: text": lambda: wire.digest("\0" * 32, "it"),
    "digests: 33 bytes": lambda: wire.digests(b"\0" * 33, "it"),
    "path: leaves": lambda: wire.path("../a", "it"),
    "path: binary": lambda: wire.path(b"a", "it"),
    "paths: out of order": lambda: wire.paths(("b", "a"), "it"),
    "paths: twice": lambda: wire.paths(("a", "a"), "it"),
    "paths: one is nil": lambda: wire.paths(("a", None), "it"),
    "unpack: a map with something in it": lambda: wire.unpack(b"\x81\x01\x02", "it"),
    "unpack: two values": lambda: wire.unpack(b"\x01\x02", "it"),
    "unpack: nothing": lambda: wire.unpack(b"", "it"),
}


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_a_value_of_the_wrong_shape_is_refused_by_name(act: Callable[[], object]) -> None:
    with pytest.raises(IntegrityError, match=r"^it (has|names|is)"):
        act()


def test_a_message_shows_no_more_than_a_line_of_what_was_found() -> None:
    with pytest.raises(IntegrityError) as refused:
        wire.uint("x" * 10_000, "it")
    assert len(refused.value.message) < 200


@given(st.lists(st.text(alphabet="ab/\U0001f600\uff5e", min_size=1, max_size=3), max_size=5))
def test_paths_are_taken_in_the_order_of_their_bytes_and_in_no_other(texts: list[str]) -> None:
    def is_taken() -> bool:
        try:
            wire.paths(tuple(texts), "it")
        except IntegrityError:
            return False
        return True

    fine = all(not text.startswith("/") and not text.endswith("/") and "//" not in text for text in texts)
    in_order = [text.encode() for text in texts] == sorted({text.encode() for text in texts})
    assert is_taken() == (fine and in_order)
