"""Trees, and the manifest: the canonical listing of one, with the places of its chunks (docs/format.md, 4 and 5).

Invariant: equal manifests have equal bytes, and a decoded one has passed every check of the format but the snapshot id's,
which `synccore.snapshot` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from itertools import repeat
from operator import add, gt
from typing import NamedTuple

from synccore import wire
from synccore.digest import Digest, digest_of
from synccore.envelope import ObjectKind, seal, unseal
from synccore.places import PLACE, Block, InlineBlock, ObjectRef, Place, Places, StoredBlock
from synccore.treepath import TreePath

MAX_WHOLE_CHUNK_BYTES = 2**20
MAX_BLOCK_PLAIN_BYTES = 2 * 2**20
MAX_LINK_BYTES = 4096

# What does not compress grows a little when it is put into a frame.
MAX_BLOCK_STORED_BYTES = MAX_BLOCK_PLAIN_BYTES + 64 * 2**10
MAX_BUNDLE_BYTES = 128 * 2**20


class FileKind(IntEnum):
    """What stands at a path. The numbers are those of the format."""

    FILE = 0
    EXECUTABLE = 1
    SYMLINK = 2


_KINDS = tuple(FileKind)
_EMPTY_DIGEST = digest_of(b"")


class Chunk(NamedTuple):
    """A slice of a file's content, in file order."""

    digest: Digest
    size_bytes: int


class Entry(NamedTuple):
    """What a tree has at one path.

    A tuple and not a dataclass: trees have 100,000 of them, and 100,000 tuples are built in a fifth of the time.

    Attributes:
        kind: file, executable file or symbolic link.
        size_bytes: of the content; for a link, of its target's text.
        digest: SHA-256 of the whole content; for a link, of its target's text.
        chunks: the slices of a content larger than `MAX_WHOLE_CHUNK_BYTES`; empty for all others, which are one
            chunk whose id is the digest (or none, if empty).
    """

    kind: FileKind
    size_bytes: int
    digest: Digest
    chunks: tuple[Chunk, ...] = ()


Tree = Mapping[TreePath, Entry]

# Many tuples are made in half the time without the call of Python that checks how many fields there are.
_ENTRY: Callable[[tuple[FileKind, int, Digest, tuple[Chunk, ...]]], Entry] = partial(tuple.__new__, Entry)


class Manifest(NamedTuple):
    """A tree as it is stored.

    Attributes:
        snapshot: the id that the manifest claims for its tree.
        tree: the entries, in path order.
        places: where each of their chunks is.
    """

    snapshot: Digest
    tree: dict[TreePath, Entry]
    places: dict[Digest, Place]


class PackedManifest(NamedTuple):
    """A manifest that was unpacked and not yet looked at."""

    snapshot: wire.Packed
    tree: wire.Packed
    places: wire.Packed


def chunks_of(entry: Entry) -> tuple[Chunk, ...]:
    """Return the chunks that make up *entry*'s content, the whole one included."""
    if entry.chunks:
        return entry.chunks
    return (Chunk(entry.digest, entry.size_bytes),) if entry.size_bytes else ()


def whole_entries(kinds: bytes, sizes: Iterable[int], digests: Iterable[Digest]) -> list[Entry]:
    """Return entries of at most `MAX_WHOLE_CHUNK_BYTES`, by their columns, of one length; 0.3 µs each."""
    return list(map(_ENTRY, zip(map(_KINDS.__getitem__, kinds), sizes, digests, repeat(()), strict=False)))


def digests_of(tree: Tree) -> list[Digest]:
    """Return the digests of all chunks of *tree*, in no order, some perhaps twice: what `chunks_of` says, in bulk."""
    whole = [entry[2] for entry in tree.values() if entry[1] and not entry[3]]
    return whole + [chunk.digest for entry in tree.values() if entry[3] for chunk in entry[3]]


def _chunk_columns(tree: Tree) -> tuple[list[Digest], list[int]]:
    """Return the digests and sizes of all chunks of *tree*, in order."""
    entries = tree.values()
    # Most entries are one chunk or none: they are not worth an object of their own.
    digests = [
        it for _, size, whole, cut in entries for it in ([one[0] for one in cut] if cut else (whole,) if size else ())
    ]
    sizes = [it for _, size, _, cut in entries for it in ([one[1] for one in cut] if cut else (size,) if size else ())]
    return digests, sizes


def encode_manifest(snapshot: Digest, tree: Tree, places: Places, *, split: int = 0) -> bytes:
    """Return the stored bytes of a manifest; *split* as for `synccore.envelope.seal`.

    Raises:
        KeyError: *places* lacks a chunk of *tree*.
    """
    entries = [tree[path] for path in sorted(tree)]
    packed = wire.pack((snapshot, tree_rows(sorted(tree), entries), place_rows(entries, places, bytearray())))
    return seal(ObjectKind.MANIFEST, packed, split=split)


def decode_manifest(data: bytes, what: str) -> Manifest:
    """Return the manifest whose stored bytes *data* is.

    Args:
        data: the stored bytes, whose digest the caller has compared with the key.
        what: the object's key, for messages.

    Raises:
        IntegrityError: it is not a manifest.
    """
    return parse_manifest(unpack_manifest(data, what), what)


def unpack_manifest(data: bytes, what: str) -> PackedManifest:
    """Unpack the manifest whose stored bytes *data* is, for `parse_manifest`; errors as `decode_manifest`."""
    snapshot, tree, places = wire.row(wire.unpack(unseal(ObjectKind.MANIFEST, data, what), what), 3, what)
    return PackedManifest(snapshot, tree, places)


def parse_manifest(packed: PackedManifest, what: str) -> Manifest:
    """Return the manifest that *packed* is, checked; errors as `decode_manifest`."""
    tree = parse_tree(packed.tree, what)
    refuse_file_above_file(tree, what)
    return Manifest(wire.digest(packed.snapshot, what), tree, parse_places(packed.places, tree, b"", what))


def bundles_in_use(packed: PackedManifest, what: str) -> dict[ObjectRef, int]:
    """Return how many bytes of each bundle the manifest refers to, by its own word; the rest of it is not looked at.

    Raises:
        IntegrityError: it is not a manifest.
    """
    bundles_part, blocks_part, _ = wire.row(packed.places, 3, what)
    bundles = [parse_object_ref(item, what) for item in wire.rows(bundles_part, what)]
    used = [0] * (len(bundles) + 1)
    for item in wire.rows(blocks_part, what):
        bundle, _, stored, _, _ = wire.uints(wire.row(item, 5, what), what)
        if bundle < len(used):
            used[bundle] += stored
    return dict(zip(bundles, used[1:], strict=True))


def decode_checked_before(data: bytes, what: str) -> Manifest:
    """Return the manifest whose stored bytes *data* is, without its places: half the time.

    For what this machine has kept of what it had decoded and compared with its snapshot id; the header's SHA-256 says that it still is that.

    Raises:
        IntegrityError: it is not.
    """
    snapshot, tree_part, _ = wire.row(wire.unpack(unseal(ObjectKind.MANIFEST, data, what), what), 3, what)
    return Manifest(wire.digest(snapshot, what), parse_tree(tree_part, what), {})


def bundles_of_manifest(data: bytes, what: str) -> list[ObjectRef]:
    """Return the bundles that a manifest names, without building its tree: a tenth of the time and of the memory.

    Raises:
        IntegrityError: it is not a manifest.
    """
    _, _, places = wire.row(wire.unpack(unseal(ObjectKind.MANIFEST, data, what), what), 3, what)
    bundles, _, _ = wire.row(places, 3, what)
    return [parse_object_ref(item, what) for item in wire.rows(bundles, what)]


def tree_rows(paths: list[TreePath], entries: list[Entry]) -> wire.Packed:
    """Return the `tree` of the format for *entries*, which stand at *paths*, both in path order."""
    return (
        paths,
        bytes([entry.kind for entry in entries]),
        [entry.size_bytes for entry in entries],
        b"".join([entry.digest for entry in entries]),
        [
            (number, b"".join([chunk.digest for chunk in entry.chunks]), [chunk.size_bytes for chunk in entry.chunks])
            for number, entry in enumerate(entries)
            if entry.chunks
        ],
    )


def parse_tree(value: wire.Packed, what: str) -> dict[TreePath, Entry]:
    """Return the entries of a `tree` of the format, in path order, checked."""
    paths, *columns = wire.row(value, 5, what)
    return parse_entries(wire.paths(paths, what), columns, what)


def parse_entries(paths: Sequence[TreePath], columns: Sequence[wire.Packed], what: str) -> dict[TreePath, Entry]:
    """Return the entries of a `tree` of the format, whose *paths* are checked already, from its other columns."""
    kinds_part, sizes_part, digests_part, large_part = columns
    kinds = wire.binary(kinds_part, what)
    sizes = wire.uints(sizes_part, what)
    digests = wire.digests(digests_part, what)
    if not len(paths) == len(kinds) == len(sizes) == len(digests):
        wire.damaged(what, "has columns of different lengths")
    if kinds and max(kinds) >= len(_KINDS):
        wire.damaged(what, f"has an entry of kind {max(kinds)}")
    entries = whole_entries(kinds, sizes, digests)
    for number, chunks in _large(large_part, what):
        if number >= len(entries) or sum(chunk.size_bytes for chunk in chunks) != entries[number].size_bytes:
            wire.damaged(what, "has chunks that do not make up their entry")
        if sizes[number] <= MAX_WHOLE_CHUNK_BYTES:
            wire.damaged(what, f"has an entry of {sizes[number]} bytes and {len(chunks)} chunks at {paths[number]!r}")
        entries[number] = entries[number]._replace(chunks=chunks)
    _check_sizes(paths, entries, sizes, kinds, what)
    return dict(zip(paths, entries, strict=True))


def _check_sizes(
    paths: Sequence[TreePath], entries: list[Entry], sizes: Sequence[int], kinds: bytes, what: str
) -> None:
    """Check the entries of a size that asks for something: the large, the empty, and the links."""
    odd = [number for number, size in enumerate(sizes) if not 0 < size <= MAX_WHOLE_CHUNK_BYTES]
    for number in odd:
        entry = entries[number]
        if entry.size_bytes and not entry.chunks:
            wire.damaged(what, f"has an entry of {entry.size_bytes} bytes and 0 chunks at {paths[number]!r}")
        if not entry.size_bytes and entry.digest != _EMPTY_DIGEST:
            # No chunk of it will be fetched, so that nothing else would notice.
            wire.damaged(what, f"has an empty entry with the digest of another content at {paths[number]!r}")
    for path, entry in zip(paths, entries, strict=True) if FileKind.SYMLINK in kinds else ():
        if entry.kind is FileKind.SYMLINK and not 0 < entry.size_bytes <= MAX_LINK_BYTES:
            wire.damaged(what, f"has a link whose target has {entry.size_bytes} bytes at {path!r}")


def _large(value: wire.Packed, what: str) -> Iterator[tuple[int, tuple[Chunk, ...]]]:
    last = -1
    for item in wire.rows(value, what):
        number_part, digests_part, sizes_part = wire.row(item, 3, what)
        number = wire.uint(number_part, what)
        digests, sizes = wire.digests(digests_part, what), wire.uints(sizes_part, what)
        if number <= last or len(digests) != len(sizes):
            wire.damaged(what, "has a malformed list of chunks")
        if any(not 0 < size <= MAX_WHOLE_CHUNK_BYTES for size in sizes):
            wire.damaged(what, f"has a chunk that is empty or larger than {MAX_WHOLE_CHUNK_BYTES} bytes")
        last = number
        yield number, tuple(map(Chunk, digests, sizes))


def refuse_file_above_file(tree: Tree, what: str) -> None:
    """Check that no path of *tree* is a directory of another.

    Raises:
        IntegrityError: one is.
    """
    # Only a directory that stands in the tree as a path can offend, and distinct directories are far fewer than paths.
    directories = {path.rpartition("/")[0] for path in tree}
    while directories:
        for directory in directories:
            if directory in tree:
                wire.damaged(what, f"has {directory!r} both as an entry and as a directory")
        directories = {directory.rpartition("/")[0] for directory in directories} - {""}


def place_rows(entries: list[Entry], places: Places, inline: bytearray) -> wire.Packed:
    """Return the `places` of the format for the chunks of *entries*; frames of inline blocks are appended to *inline*.

    Raises:
        KeyError: *places* lacks a chunk.
    """
    bundles: dict[ObjectRef, int] = {}
    blocks: dict[Block, int] = {}
    rows: list[tuple[int, int, int, int, int]] = []
    at: list[int] = []
    last: Block | None = None
    number: int | None = None
    for _, size_bytes, whole, chunks in entries:
        # Most entries are one chunk: it is not worth an object of its own.
        for digest in [chunk.digest for chunk in chunks] if chunks else (whole,) if size_bytes else ():
            block, offset = places[digest]
            # Neighbours mostly stand in one block, and to look it up takes longer than all else here.
            if block is not last:
                last, number = block, blocks.get(block)
            if number is None:
                number = blocks[block] = len(rows)
                if isinstance(block, InlineBlock):
                    rows.append((0, len(inline), len(block.frame), block.plain_bytes, block.checksum))
                    inline += block.frame
                else:
                    bundle = bundles.setdefault(block.bundle, len(bundles) + 1)
                    rows.append((bundle, block.offset, block.stored_bytes, block.plain_bytes, block.checksum))
            at.append(number)
            at.append(offset)
    return [tuple(bundle) for bundle in bundles], rows, at


def parse_places(value: wire.Packed, tree: Tree, inline: bytes, what: str) -> dict[Digest, Place]:
    """Return the `places` of the format, which belong to the entries of *tree* in order, checked.

    Args:
        value: the unpacked value.
        tree: the entries that the places belong to.
        inline: the bytes that inline blocks stand in; a manifest has none.
        what: the object, for messages.
    """
    digests, sizes = _chunk_columns(tree)
    return _parse_places(value, digests, sizes, inline, what)


def _parse_places(
    value: wire.Packed, digests: list[Digest], sizes: list[int], inline: bytes, what: str
) -> dict[Digest, Place]:
    bundles_part, blocks_part, at_part = wire.row(value, 3, what)
    bundles = [parse_object_ref(item, what) for item in wire.rows(bundles_part, what)]
    if any(bundle.size_bytes > MAX_BUNDLE_BYTES for bundle in bundles):
        wire.damaged(what, f"names a bundle of more than {MAX_BUNDLE_BYTES} bytes")
    blocks = _parse_blocks(blocks_part, bundles, inline, what)
    at = wire.uints(at_part, what)
    if len(at) != 2 * len(digests):
        wire.damaged(what, f"has {len(at)} numbers for the places of {len(digests)} chunks")
    numbers, offsets = at[::2], at[1::2]
    if numbers and max(numbers) >= len(blocks):
        wire.damaged(what, "names a block that it does not have")
    rooms = [block.plain_bytes for block in blocks]
    if any(map(gt, map(add, offsets, sizes), map(rooms.__getitem__, numbers))):
        wire.damaged(what, "has a chunk that does not lie in its block")
    return dict(zip(digests, map(PLACE, zip(map(blocks.__getitem__, numbers), offsets, strict=True)), strict=True))


def parse_object_ref(value: wire.Packed, what: str) -> ObjectRef:
    """Return a `[digest, size]` of the format."""
    digest, size = wire.row(value, 2, what)
    return ObjectRef(wire.digest(digest, what), wire.uint(size, what))


def _parse_blocks(value: wire.Packed, bundles: list[ObjectRef], inline: bytes, what: str) -> list[Block]:
    blocks: list[Block] = []
    inline_end = 0
    for item in wire.rows(value, what):
        bundle, offset, stored, plain, checksum = wire.uints(wire.row(item, 5, what), what)
        if plain > MAX_BLOCK_PLAIN_BYTES or stored > MAX_BLOCK_STORED_BYTES:
            wire.damaged(what, f"has a block of {plain} bytes, stored in {stored}, more than {MAX_BLOCK_PLAIN_BYTES}")
        if bundle > 0:
            if bundle > len(bundles) or offset + stored > bundles[bundle - 1].size_bytes:
                wire.damaged(what, "has a block outside of the bundles that it names")
            blocks.append(StoredBlock(bundles[bundle - 1], offset, stored, plain, checksum))
            continue
        # Each is a copy of its bytes: if they could overlap, a delta of 4 MiB would take up many gigabytes.
        if offset != inline_end or offset + stored > len(inline):
            wire.damaged(
                what, "has an inline block that does not stand behind the one before, or ends beyond its bytes"
            )
        inline_end += stored
        blocks.append(InlineBlock(inline[offset:inline_end], plain, checksum))
    if inline_end != len(inline):
        wire.damaged(what, "has inline bytes that belong to no block")
    return blocks
