from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synccore.bundle import build_bundle, pack_block
from synccore.digest import Digest, digest_of
from synccore.errors import ErrorKind, IntegrityError
from synccore.manifest import Entry, Manifest, chunks_of, decode_manifest, encode_manifest
from synccore.places import ObjectRef, Place, StoredBlock
from synccore.repository import checked_manifest
from synccore.snapshot import snapshot_id
from synccore.testing.stored_bytes import envelope, packed, sha, snapshot
from synccore.testing.strategies import contents_around_the_boundary, small_contents, trees
from synccore.testing.trees import NodeTree, contents, entries, executable, link, nodes, noise
from synccore.treepath import TreePath

MIB = 2**20
LITERAL = {"a": "one", "b/empty": "", "b/run": executable("two"), "link": link("a"), "é": "one"}
BUNDLE_OF_ONE = ObjectRef(digest_of(b"bundle 1"), 1000)


def manifest_of(tree: NodeTree) -> Manifest:
    """The manifest of *tree* with its contents in one bundle."""
    found = contents(tree)
    blocks = [pack_block([item]) for item in found.items()]
    return Manifest(snapshot_id(entries(tree)), entries(tree), dict(build_bundle(blocks).places))


def golden_payload() -> list[object]:
    """What docs/format.md says of `LITERAL` with its contents in two blocks of one bundle."""
    tree = [
        ["a", "b/empty", "b/run", "link", "é"],
        b"\0\0\1\2\0",
        [3, 0, 3, 1, 3],
        sha(b"one") + sha(b"") + sha(b"two") + sha(b"a") + sha(b"one"),
        [],
    ]
    # Two numbers a chunk: "one" in block 0, "two" in block 1, "a" behind "one", and "one" again. The empty one has none.
    places = [[[sha(b"bundle 1"), 1000]], [[1, 8, 20, 4, 11], [1, 28, 30, 3, 22]], [0, 0, 1, 0, 0, 3, 0, 0]]
    kinds = [(0, "a", b"one"), (0, "b/empty", b""), (1, "b/run", b"two"), (2, "link", b"a"), (0, "é", b"one")]
    return [snapshot(kinds), tree, places]


def golden_manifest() -> Manifest:
    first = StoredBlock(BUNDLE_OF_ONE, 8, 20, 4, 11)
    second = StoredBlock(BUNDLE_OF_ONE, 28, 30, 3, 22)
    places = {
        digest_of(b"one"): Place(first, 0),
        digest_of(b"two"): Place(second, 0),
        digest_of(b"a"): Place(first, 3),
    }
    tree = entries(LITERAL)
    return Manifest(snapshot_id(tree), tree, places)


def payload_of(data: bytes) -> bytes:
    from zstandard import ZstdDecompressor

    return ZstdDecompressor().decompress(data[48:])


def test_a_manifest_is_these_bytes() -> None:
    manifest = golden_manifest()
    data = encode_manifest(manifest.snapshot, manifest.tree, manifest.places)
    assert payload_of(data) == packed(golden_payload())
    assert data[:48] == envelope(b"M", packed(golden_payload()))[:48]


def test_a_manifest_that_another_program_has_written_is_read() -> None:
    assert decode_manifest(envelope(b"M", packed(golden_payload())), "manifest m") == golden_manifest()


def test_the_chunks_of_a_large_file_stand_beside_its_entry() -> None:
    tree = {"a": noise(10), "big": noise(3 * MIB), "c": "x"}
    manifest = manifest_of(nodes(tree))
    data = encode_manifest(manifest.snapshot, manifest.tree, manifest.places)
    from msgpack import unpackb

    large = unpackb(payload_of(data), raw=False)[1][4]
    chunks = entries(tree)[TreePath("big")].chunks
    assert large == [[1, b"".join(it.digest for it in chunks), [it.size_bytes for it in chunks]]]
    assert decode_manifest(data, "manifest m") == manifest


@given(trees(small_contents() | contents_around_the_boundary()))
def test_a_manifest_comes_back_as_it_was(tree: NodeTree) -> None:
    manifest = manifest_of(tree)
    assert checked_manifest(encode_manifest(*manifest), "manifest m") == manifest


@given(trees(), st.randoms())
def test_equal_manifests_have_equal_bytes_in_whatever_order_they_were_made(tree: NodeTree, random: object) -> None:
    manifest = manifest_of(tree)
    items, places = list(manifest.tree.items()), list(manifest.places.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    random.shuffle(places)  # type: ignore[attr-defined]
    data = encode_manifest(manifest.snapshot, dict(sorted(items)), dict(places))
    assert data == encode_manifest(*manifest)
    assert list(decode_manifest(data, "manifest m").tree) == sorted(tree)


@given(trees(), trees())
def test_different_trees_have_different_bytes_and_ids(one: NodeTree, other: NodeTree) -> None:
    first, second = manifest_of(one), manifest_of(other)
    assert (encode_manifest(*first) == encode_manifest(*second)) == (one == other)
    assert (first.snapshot == second.snapshot) == (one == other)


def large_entry(sizes: list[int], *, size: int | None = None, number: int = 0) -> list[object]:
    """A payload with one large file cut into *sizes*."""
    chunks = [bytes([index]) * 32 for index in range(len(sizes))]
    total = sum(sizes) if size is None else size
    tree = [["a"], b"\0", [total], b"\7" * 32, [[number, b"".join(chunks), sizes]]]
    blocks = [[1, 8 + index, 1, max(it, 1) if it <= 2 * MIB else 1, 0] for index, it in enumerate(sizes)]
    places = [[[b"\1" * 32, 1000]], blocks, [n for index in range(len(sizes)) for n in (index, 0)]]
    return [b"\0" * 32, tree, places]


def changed(*steps: int, to: object) -> Callable[[], object]:
    """The golden payload with one value exchanged; *steps* lead to it."""

    def make() -> object:
        payload = golden_payload()
        at: list[object] = payload
        for step in steps[:-1]:
            inner = at[step]
            assert isinstance(inner, list)
            at = inner
        at[steps[-1]] = to
        return payload

    return make


def with_paths(*names: object) -> Callable[[], object]:
    """A payload of empty files at *names*."""
    count = len(names)
    tree = [list(names), b"\0" * count, [0] * count, sha(b"") * count, []]
    return lambda: [b"\0" * 32, tree, [[], [], []]]


MALFORMED: dict[str, Callable[[], object]] = {
    "no array": lambda: 1,
    "a map": dict,
    "too few parts": lambda: golden_payload()[:2],
    "too many parts": lambda: [*golden_payload(), 0],
    "a snapshot that is no digest": changed(0, to=b"\0" * 31),
    "a snapshot that is text": changed(0, to="\0" * 32),
    "a tree of four columns": changed(1, to=golden_payload()[1][:4]),  # type: ignore[index]
    "a path too few": changed(1, 0, to=["a", "b/empty", "b/run", "link"]),
    "a kind too few": changed(1, 1, to=b"\0\0\1\2"),
    "a size too many": changed(1, 2, to=[3, 0, 3, 1, 3, 3]),
    "half a digest": changed(1, 3, to=b"\0" * 159),
    "a digest too many": changed(1, 3, to=b"\0" * 192),
    "a kind that is none": changed(1, 1, to=b"\0\0\3\2\0"),
    "kinds as text": changed(1, 1, to="\0\0\1\2\0"),
    "a negative size": changed(1, 2, to=[-3, 0, 3, 1, 3]),
    "a size with a fraction": changed(1, 2, to=[3.0, 0, 3, 1, 3]),
    "a size that is true": changed(1, 2, to=[3, 0, True, 1, 3]),
    "a size that is nil": changed(1, 2, to=[3, 0, None, 1, 3]),
    "sizes in binary": changed(1, 2, to=b"\3\0\3\1\3"),
    "an empty content with another digest": changed(1, 3, to=sha(b"one") * 5),
    "paths out of order": with_paths("b", "a"),
    "a path twice": with_paths("a", "a"),
    "a path that is binary": with_paths("a", b"b"),
    "a path that is a number": with_paths("a", 7),
    "a file above a file": with_paths("a", "a/b"),
    "a file far above a file": with_paths("a", "a-b", "a/b/c/d"),
    "the path ..": with_paths("../a"),
    "an absolute path": with_paths("/etc/passwd"),
    "a path into .git": with_paths("a/.GIT/hooks/post-checkout"),
    "a path into .git by another name": with_paths("git~1/config"),
    "a path with a backslash": with_paths("..\\a"),
    "a path with a NUL": with_paths("a\0b"),
    "an empty path": with_paths(""),
    "a path with an empty component": with_paths("a//b"),
    "a path of 4097 bytes": with_paths("/".join(["x" * 99] * 41)),
    "a component of 256 bytes": with_paths("x" * 256),
    "a large file without chunks": changed(1, 2, to=[3, 0, MIB + 1, 1, 3]),
    "chunks of a small file": lambda: large_entry([10, 10]),
    "chunks that are too few bytes": lambda: large_entry([MIB, 9], size=MIB + 10),
    "a chunk of more than a MiB": lambda: large_entry([MIB + 1, 1]),
    "a chunk of nothing": lambda: large_entry([MIB, 0, 1]),
    "chunks of no entry": lambda: large_entry([MIB, 1], number=1),
    "chunks in two rows of one entry": changed(1, 4, to=[[0, b"", []], [0, b"", []]]),
    "more sizes than chunks": changed(1, 4, to=[[0, b"\0" * 32, [1, 2]]]),
    "places too few": changed(2, 2, to=[0, 0, 1, 0, 0, 3]),
    "an odd number of places": changed(2, 2, to=[0, 0, 1, 0, 0, 3, 0]),
    "places too many": changed(2, 2, to=[0, 0, 1, 0, 0, 3, 0, 0, 0, 0]),
    "a block that is not there": changed(2, 2, to=[0, 0, 2, 0, 0, 3, 0, 0]),
    "a place beyond its block": changed(2, 2, to=[0, 0, 1, 1, 0, 3, 0, 0]),
    "a block of no bundle": changed(2, 1, 0, to=[2, 8, 20, 4, 11]),
    "an inline block": changed(2, 1, 0, to=[0, 0, 1, 4, 11]),
    "a block beyond its bundle": changed(2, 1, 0, to=[1, 981, 20, 4, 11]),
    "a block of four numbers": changed(2, 1, 0, to=[1, 8, 20, 4]),
    "a block of more than two MiB": changed(2, 1, 0, to=[1, 8, 20, 2 * MIB + 1, 11]),
    "a bundle without a size": changed(2, 0, 0, to=[b"\1" * 32]),
    "a bundle by half a digest": changed(2, 0, 0, to=[b"\1" * 16, 1000]),
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_a_manifest_that_is_not_as_it_must_be_is_refused_by_name(make: Callable[[], object]) -> None:
    data = envelope(b"M", packed(make()))
    with pytest.raises(IntegrityError, match=r"^manifest m ") as refused:
        decode_manifest(data, "manifest m")
    assert refused.value.kind is ErrorKind.DAMAGED_OBJECT
    assert refused.value.facts["object"] == "manifest m"


RAW: dict[str, bytes] = {
    "nothing": b"",
    "half": packed(golden_payload())[:-1],
    "something behind it": packed(golden_payload()) + b"\0",
    "four thousand million paths": b"\x93\xc4\x00\x95\xdd\xff\xff\xff\xff",
    "four thousand million bytes": b"\x93\xc6\xff\xff\xff\xff",
    "an extension": b"\x93\xc7\x01\x05\x00\xc0\xc0",
    "a time stamp": b"\x93\xd6\xff\x00\x00\x00\x00\xc0\xc0",
    "arrays in arrays without end": b"\x91" * 100_000,
    "text that is not UTF-8": packed(golden_payload()).replace("é".encode(), b"\xff\xfe"),
    "a code that is none": b"\xc1",
}


@pytest.mark.parametrize("payload", RAW.values(), ids=RAW)
def test_what_is_no_packed_data_is_refused_by_name(payload: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"^manifest m "):
        decode_manifest(envelope(b"M", payload), "manifest m")


def test_a_tree_that_does_not_have_the_id_that_it_claims_is_refused() -> None:
    payload = golden_payload()
    payload[0] = b"\0" * 32
    data = envelope(b"M", packed(payload))
    with pytest.raises(IntegrityError, match=f"snapshot id {snapshot_id(entries(LITERAL)).hex()}, expected 00"):
        checked_manifest(data, "manifest m")


def test_the_chunks_of_an_entry_are_itself_unless_it_is_empty_or_large() -> None:
    tree = entries({"a": "x", "e": "", "l": noise(2 * MIB)})
    assert chunks_of(tree[TreePath("a")]) == ((digest_of(b"x"), 1),)
    assert chunks_of(tree[TreePath("e")]) == ()
    assert chunks_of(tree[TreePath("l")]) == tree[TreePath("l")].chunks


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1])
def test_a_content_is_cut_only_above_one_mebibyte(size: int) -> None:
    entry: Entry = entries({"a": noise(size)})[TreePath("a")]
    assert bool(entry.chunks) == (size > MIB)
    manifest = manifest_of({"a": noise(size)})
    assert len(manifest.places) == (0 if size == 0 else max(1, len(entry.chunks)))
    assert decode_manifest(encode_manifest(*manifest), "m") == manifest


def test_a_missing_place_is_the_callers_mistake_and_not_stored() -> None:
    with pytest.raises(KeyError):
        encode_manifest(Digest(b"\0" * 32), entries({"a": "x"}), {})
