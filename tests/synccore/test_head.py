from collections.abc import Callable

import pytest
from zstandard import ZstdDecompressor

from synccore.digest import Digest, digest_of
from synccore.errors import ErrorKind, IntegrityError
from synccore.gitfacts import GitFacts
from synccore.head import Head, RepoHead, decode_head, encode_head
from synccore.journal import Change, Record
from synccore.places import ObjectRef
from synccore.provenance import Author, Provenance, SnapshotId
from synccore.testing.stored_bytes import envelope, packed, sha

WRITE = bytes(range(16))
ALPHA = ["alpha", b"\1" * 32, [sha(b"m"), 99], 6, 3, 1234, 1_700_000_000_000, "ann", "laptop", ["c0ffee", None, 2]]
BETA = ["beta", b"\2" * 32, None, 5, 0, 0, 0, "", "", None]
RECORDS = [
    [6, 1, "ann", "laptop", [["beta", None, b"\2" * 32, 7, b"frame"]]],
    [7, 2, "ann", "laptop", [["alpha", b"\0" * 32, b"\1" * 32, 8, b"more"]]],
]
GOLDEN: list[object] = [WRITE, 7, [ALPHA, BETA], RECORDS, [sha(b"j"), 55], 3]

ANN = Author(user="ann", host="laptop")
HEAD = Head(
    write_id=WRITE,
    sequence=7,
    repos={
        "alpha": RepoHead(
            snapshot=SnapshotId(Digest(b"\1" * 32)),
            manifest=ObjectRef(digest_of(b"m"), 99),
            base=6,
            files=3,
            size_bytes=1234,
            provenance=Provenance(
                author=ANN,
                at_ms=1_700_000_000_000,
                git=GitFacts(commit="c0ffee", branch=None, origin=None, dirty_count=2),
            ),
        ),
        "beta": RepoHead(
            snapshot=SnapshotId(Digest(b"\2" * 32)),
            manifest=None,
            base=5,
            files=0,
            size_bytes=0,
            provenance=Provenance(author=Author(user="", host=""), at_ms=0, git=None),
        ),
    },
    records=(
        Record(6, 1, ANN, (Change("beta", None, SnapshotId(Digest(b"\2" * 32)), 7, b"frame"),)),
        Record(
            7,
            2,
            ANN,
            (Change("alpha", SnapshotId(Digest(b"\0" * 32)), SnapshotId(Digest(b"\1" * 32)), 8, b"more"),),
        ),
    ),
    earlier=ObjectRef(digest_of(b"j"), 55),
    horizon=3,
)


def test_a_head_is_these_bytes() -> None:
    data = encode_head(HEAD)
    assert data[:48] == envelope(b"H", packed(GOLDEN))[:48]
    assert ZstdDecompressor().decompress(data[48:]) == packed(GOLDEN)


def test_a_head_that_another_program_has_written_is_read() -> None:
    assert decode_head(envelope(b"H", packed(GOLDEN)), "it") == HEAD


def test_the_first_head_of_all_has_nothing_in_it() -> None:
    head = Head(write_id=WRITE, sequence=0, repos={}, records=(), earlier=None)
    assert decode_head(envelope(b"H", packed([WRITE, 0, [], [], None, 0])), "it") == head
    assert decode_head(encode_head(head), "it") == head


def test_repositories_stand_in_order_whatever_the_order_they_came_in() -> None:
    turned = Head(
        write_id=WRITE,
        sequence=7,
        repos=dict(reversed(HEAD.repos.items())),
        records=HEAD.records,
        earlier=HEAD.earlier,
        horizon=HEAD.horizon,
    )
    assert encode_head(turned) == encode_head(HEAD)


def changed(*steps: int, to: object) -> Callable[[], object]:
    """The golden head with one value exchanged; *steps* lead to it."""

    def rebuilt(value: object, rest: tuple[int, ...]) -> object:
        if not rest:
            return to
        assert isinstance(value, list)
        return [rebuilt(item, rest[1:]) if index == rest[0] else item for index, item in enumerate(value)]

    return lambda: rebuilt(GOLDEN, steps)


MALFORMED: dict[str, Callable[[], object]] = {
    "no array": lambda: WRITE,
    "five parts": lambda: GOLDEN[:5],
    "seven parts": lambda: [*GOLDEN, None],
    "a write id of 15 bytes": changed(0, to=WRITE[:15]),
    "a write id that is text": changed(0, to="0123456789abcdef"),
    "a negative sequence": changed(1, to=-7),
    "a sequence past its records": changed(1, to=8),
    "a sequence before its newest record": changed(1, to=6),
    "repositories that are none": changed(2, to=None),
    "repositories out of order": changed(2, to=[BETA, ALPHA]),
    "a repository twice": changed(2, to=[ALPHA, ALPHA, BETA]),
    "a repository of nine parts": changed(2, 0, to=ALPHA[:9]),
    "a repository that leaves": changed(2, 0, 0, to=".."),
    "a repository with a slash": changed(2, 0, 0, to="a/b"),
    "a snapshot that is nil": changed(2, 0, 1, to=None),
    "a manifest by half a digest": changed(2, 0, 2, 0, to=b"\0" * 16),
    "a manifest of negative size": changed(2, 0, 2, 1, to=-1),
    "a base that is not reached": changed(2, 0, 3, to=4),
    "a base in the future": changed(2, 0, 3, to=8),
    "a negative count of files": changed(2, 0, 4, to=-1),
    "a size that is nil": changed(2, 0, 5, to=None),
    "a time with a fraction": changed(2, 0, 6, to=1.5),
    "a user in binary": changed(2, 0, 7, to=b"ann"),
    "a host that is nil": changed(2, 0, 8, to=None),
    "facts of git that are two": changed(2, 0, 9, to=["c0ffee", None]),
    "a commit in binary": changed(2, 0, 9, 0, to=b"c0ffee"),
    "a count of dirty paths that is nil": changed(2, 0, 9, 2, to=None),
    "records that are none": changed(3, to=b""),
    "records with a gap": changed(3, to=[[5, *RECORDS[0][1:]], RECORDS[1]]),
    "an earlier object that is a digest alone": changed(4, to=sha(b"j")),
    "a horizon that is nil": changed(5, to=None),
    "a horizon beyond its newest record": changed(5, to=8),
}


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_a_head_that_is_not_as_it_must_be_is_refused_by_name(make: Callable[[], object]) -> None:
    with pytest.raises(IntegrityError, match=r"^head ann/head ") as refused:
        decode_head(envelope(b"H", packed(make())), "head ann/head")
    assert refused.value.kind is ErrorKind.DAMAGED_OBJECT
    assert refused.value.facts["object"] == "head ann/head"
