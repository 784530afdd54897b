"""Everything that reads bytes that somebody else may have written, each with examples of what it should read.

Invariant: the law of a target is that bytes are refused by the error that the decoder documents, or give a value that, encoded
and decoded again, is equal. Any other exception is a finding.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import xxhash

from epic_lab import config_lines
from synccore.backends.base import Found, Version
from synccore.backends.http1 import HttpError, read_response
from synccore.backends.memory import MemoryBackend
from synccore.begun import parse_begun
from synccore.bundle import build_bundle, open_block, parse_bundle
from synccore.digest import digest_of
from synccore.envelope import ObjectKind, compress, seal, unseal
from synccore.errors import IntegrityError, InvalidInputError, WorktreeError
from synccore.gitfacts import GitFacts
from synccore.head import decode_head, encode_head
from synccore.ignore import parse_synccodeignore
from synccore.journal import Change, decode_delta, decode_journal, encode_change, encode_journal
from synccore.manifest import decode_manifest, encode_manifest
from synccore.refs import HeadAt
from synccore.snapshot import snapshot_id
from synccore.testing.hostile import (
    FILE,
    LINK,
    HostileStore,
    Item,
    change_rows,
    delta_rows,
    head_rows,
    record_rows,
    repo_rows,
)
from synccore.testing.lab import Lab
from synccore.testing.stored_bytes import packed, sha
from synccore.testing.trees import executable, link, noise
from synccore.wire import pack, unpack
from synccore.worktree.gitindex import GitIndexError, read_git_index
from synccore.worktree.laptop import LaptopState, Seen
from synccore.worktree.machine import MachineMemory
from synccore.worktree.statcache import EMPTY, load_stat_cache, store_stat_cache
from synccore.worktree.status_rows import MARK_BYTES, NAMES_AT, sizes_of

_LATER_THAN_ANY_NS = 2**70


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder under its law.

    Attributes:
        check: decodes bytes; raises whatever the decoder must not.
        seeds: examples of good bytes, to be spoiled.
    """

    check: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


@cache
def _stored() -> dict[str, list[bytes]]:
    """Make a little history and return what it has stored and remembered, by kind."""
    found: dict[str, list[bytes]] = {}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder, backend = Path(name), MemoryBackend()
        lab = Lab(folder, backend)
        tree = {"a.py": "a = 1\n", "b/run.sh": executable("#!/bin/sh\n"), "l": link("a.py"), "empty": ""}
        large = noise(1_500_000)
        lab.laptop.lay(alpha={**tree, "b/large": large}, beta={"one": "1"})
        lab.laptop.push()
        lab.machine.pull()
        # As many as it takes for the head to be folded.
        for number in range(66):
            lab.laptop.lay(
                alpha={**tree, "b/large": large, f"new{number % 3}": "x" * number}, beta={"one": str(number)}
            )
            lab.laptop.push()
            lab.machine.pull()
        for key in [listed.key for listed in backend.keys("")]:
            stored = backend.get(key)
            assert isinstance(stored, Found)
            found.setdefault(key.split("/")[1], []).append(stored.data)
        head = lab.head()
        found["deltas"] = [
            unpacked for record in head.records for change in record.changes if (unpacked := _plain(change)) is not None
        ]
        found["journal"] += _journals()
        found["stat"] = [path.read_bytes() for path in lab.laptop.state.stat_cache_path("alpha").parent.iterdir()]
        found["seen"] = [(lab.laptop.state_folder / "head").read_bytes()]
        found["state"] = [(lab.machine.memory_folder / "state").read_bytes()]
        found["kept"] = [path.read_bytes() for path in (lab.machine.memory_folder / "deltas").iterdir()]
    return found


def _plain(change: Change) -> bytes:
    from synccore.envelope import decompress

    return decompress(change.frame, change.plain_bytes, "a delta")


def _journals() -> list[bytes]:
    change = change_rows("alpha", None, sha(b"1"), delta_rows([Item("a")]))
    rows = [
        [record_rows(3, change), record_rows(4, change)],
        [["alpha", [sha(b"m"), 9], 2], ["beta", None, 0]],
        [sha(b"e"), 7],
    ]
    return [seal(ObjectKind.JOURNAL, packed(rows))]


def _sealed(kind: ObjectKind, check: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Let *check* see payloads that are whole, whatever is in them."""
    return lambda payload: check(seal(kind, payload[: 2**20]))


def _payloads(kind: ObjectKind, name: str) -> Callable[[], list[bytes]]:
    return lambda: [unseal(kind, data, name) for data in _stored()[name]]


# The law, for each


def head(data: bytes) -> None:
    try:
        value = decode_head(data, "it")
    except IntegrityError:
        return
    assert decode_head(encode_head(value), "it") == value


def manifest(data: bytes) -> None:
    try:
        value = decode_manifest(data, "it")
    except IntegrityError:
        return
    assert decode_manifest(encode_manifest(value.snapshot, value.tree, value.places), "it") == value
    snapshot_id(value.tree)


def journal(data: bytes) -> None:
    try:
        value = decode_journal(data, "it")
    except IntegrityError:
        return
    assert decode_journal(encode_journal(value), "it") == value


def delta(data: bytes) -> None:
    data = data[: 2**20]
    try:
        value = decode_delta(Change("alpha", None, None, len(data), compress(data)), "it")
    except IntegrityError:
        return
    assert decode_delta(encode_change("alpha", None, None, value), "it") == value


def bundle(data: bytes) -> None:
    try:
        blocks = parse_bundle(data, "it")
    except IntegrityError:
        return
    assert parse_bundle(build_bundle(blocks).data, "it") == blocks


def block(data: bytes) -> None:
    size = int.from_bytes(data[:3], "big")
    frame = data[3:]
    try:
        plain = open_block(frame, size, xxhash.xxh3_64_intdigest(frame), "it")
    except IntegrityError:
        return
    assert len(plain) == size
    again = compress(plain)
    assert open_block(again, size, xxhash.xxh3_64_intdigest(again), "it") == plain


def value(data: bytes) -> None:
    try:
        found = unpack(data, "it")
    except IntegrityError:
        return
    # Not equal but equally packed: what is not a number equals nothing, and the decoders take no such thing.
    assert pack(unpack(pack(found), "it")) == pack(found)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fuzz-")


def _place(name: str, data: bytes) -> Path:
    path = Path(_folder().name) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


_STAT_ROOT = Path("/home/ann/alpha")


def stat_cache(data: bytes) -> None:
    path = _place("stat", data)
    found = load_stat_cache(path, _STAT_ROOT)
    try:
        assert found.size_bytes == sum(entry.size_bytes for entry in found.tree.values())
    except WorktreeError:
        # Its checksum was right, and it still made no sense: it is gone, so that the next look begins anew.
        assert not path.exists()
        return
    if found is not EMPTY:
        store_stat_cache(path, _STAT_ROOT, found, read_from_ns=_LATER_THAN_ANY_NS, read_until_ns=_LATER_THAN_ANY_NS)
        assert load_stat_cache(path, _STAT_ROOT) == found


def stat_cache_body(data: bytes) -> None:
    stat_cache(b"\x89EPLS\x05\x00\x00" + xxhash.xxh3_64_digest(data) + data)


def _stat_seeds() -> list[bytes]:
    """Take the bodies of stat caches, as if of the tree that is asked about."""
    seeds = []
    for data in _stored()["stat"]:
        rest_at = NAMES_AT + sum(sizes_of(data))
        rest = unpack(data[rest_at:], "it")
        if isinstance(rest, tuple):
            seeds.append(data[MARK_BYTES:rest_at] + pack((str(_STAT_ROOT).encode(), *rest[1:])))
    return seeds


def seen(data: bytes) -> None:
    path = _place("laptop/head", data)
    state = LaptopState(path.parent)
    found = state.seen()
    if found is not None:
        state.keep_seen(found)
        assert state.seen() == found


def seen_body(data: bytes) -> None:
    seen(b"\x89EPLU\x02\x00\x00" + xxhash.xxh3_64_digest(data) + data)


def _seen_seeds() -> list[bytes]:
    rows = head_rows(1, [repo_rows("alpha", sha(b"1"), None, 0)], [record_rows(1)])
    data = seal(ObjectKind.HEAD, packed(rows))
    at = HeadAt(decode_head(data, "it"), data, Version("7"))
    found = Seen(at, {"alpha": at.head.repos["alpha"].snapshot})
    return [pack((found.at.version, found.at.data, sorted(found.snapshots.items())))]


def sent_body(data: bytes) -> None:
    path = _place("laptop/sent", b"\x89EPLV\x02\x00\x00" + xxhash.xxh3_64_digest(data) + data)
    state = LaptopState(path.parent)
    before = state.sent("alpha")
    state.note_sent({})
    assert state.sent("alpha") == before


def machine_state(data: bytes) -> None:
    path = _place("machine/.synccode/state", data)
    memory = MachineMemory(path.parent.parent)
    found = memory.load("lab ann")
    memory.store(found)
    assert memory.load("lab ann") == found


def machine_state_body(data: bytes) -> None:
    machine_state(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)


def begun(data: bytes) -> None:
    found = parse_begun(data)
    if found is not None:
        rows = [(path, *known) for path, states in found.items() for known in states]
        assert parse_begun(pack(rows)) == found


def kept_deltas(data: bytes) -> None:
    path = _place("machine/.synccode/deltas/alpha.0", data)
    memory = MachineMemory(path.parents[2])
    try:
        found = memory.changes("alpha", "0", len(data))
    except IntegrityError:
        return
    end = memory.append_changes("alpha", "0", 0, found)
    assert memory.changes("alpha", "0", end) == found


def ignore_rules(data: bytes) -> None:
    try:
        rules = parse_synccodeignore(data)
    except InvalidInputError:
        return
    rules.decide("a/b/c.py")
    rules.decide_directory("a/b")


def configuration(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    settings, _ = config_lines.parse(text)
    assert config_lines.rewrite(text, {key: setting.value for key, setting in settings.items()}) == text
    for key in settings:
        again, _ = config_lines.parse(config_lines.rewrite(text, {key: "a # b"}))
        assert again[key].value == "a # b"
        assert {other: it.value for other, it in again.items() if other != key} == {
            other: it.value for other, it in settings.items() if other != key
        }


def git_index(data: bytes) -> None:
    """Read git's list, with a checksum that is right."""
    for id_bytes, hasher in ((20, hashlib.sha1), (32, hashlib.sha256)):
        path = _place("index", data + hasher(data).digest())
        try:
            read_git_index(path, id_bytes=id_bytes)
        except GitIndexError:
            continue


def _git_seeds() -> list[bytes]:
    def entry(path: bytes, flags: int, *, extended: bytes = b"") -> bytes:
        row = bytes(24) + (0o100644).to_bytes(4, "big") + bytes(12) + bytes(20) + (flags | len(path)).to_bytes(2, "big")
        row += extended + path
        return row + bytes(8 - len(row) % 8)

    second = [entry(b"a.py", 0), entry(b"b/c", 0x2000), entry(b"d" * 60, 0x8000)]
    third = [entry(b"a.py", 0x4000, extended=b"\x40\x00"), *second[1:]]
    head_of = b"DIRC" + bytes(3)
    fourth = bytes(62) + b"\x00" + b"a.py\x00" + bytes(62) + b"\x04" + b"b/c\x00"
    extension = b"TREE\x00\x00\x00\x04abcd"
    return [
        head_of + b"\x02" + (3).to_bytes(4, "big") + b"".join(second) + extension,
        head_of + b"\x03" + (3).to_bytes(4, "big") + b"".join(third),
        head_of + b"\x04" + (2).to_bytes(4, "big") + fourth,
    ]


def _listing_seeds() -> list[bytes]:
    rows = HostileStore(MemoryBackend()).manifest_rows([Item("a", b"1", FILE), Item("l", b"a", LINK)])
    return [packed(rows), *_payloads(ObjectKind.MANIFEST, "manifests")()]


def _delta_seeds() -> list[bytes]:
    dirty = GitFacts(commit="c0ffee", branch="main", origin="https://host/x", dirty=("a", "b") * 49, dirty_count=98)
    with_git = delta_rows([Item("a"), Item("b/c", b"2")], [Item("old")])
    with_git[0] = [dirty.commit, dirty.branch, dirty.origin, list(dirty.dirty), dirty.dirty_count]
    with_git[5] = [[0, sha(b"before")], None]
    moving = delta_rows([Item("new/a")], [Item("old")])
    moving[8] = [["lib", "src/lib"], ["old", "new"]]
    return [packed(with_git), packed(moving), *_stored()["deltas"]]


def _begun_seeds() -> list[bytes]:
    return [pack([("a", 0, digest_of(b"1")), ("a", 1, digest_of(b"2")), ("b/c", 2, digest_of(b"a"))]), b""]


def http_answer(data: bytes) -> None:
    """Read what a server says, and the same said in another way."""
    try:
        found = read_response(io.BytesIO(data).read)
    except (HttpError, ConnectionResetError):
        return
    kept = {name: value for name, value in found.headers.items() if name not in _FRAMING}
    lines = [f"HTTP/1.1 {found.status} Again", *(f"{name}: {value}" for name, value in kept.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(found.body)}", "", ""])
    again = read_response(io.BytesIO(head.encode("latin-1") + found.body).read)
    assert (again.status, again.body) == (found.status, found.body)
    assert {name: value for name, value in again.headers.items() if name not in _FRAMING} == kept


_FRAMING = {"content-length", "transfer-encoding"}
_ANSWERS = [
    b"HTTP/1.1 200 OK\r\nx-goog-hash: crc32c=a\r\nX-Goog-Hash: md5=b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 304 Not Modified\r\nDate: Sun, 22 Nov 2026 04:00:00 GMT\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nETag: a\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nNot Found",
]

TARGETS: dict[str, Target] = {
    "head": Target(head, lambda: _stored()["head"]),
    "head payload": Target(_sealed(ObjectKind.HEAD, head), _payloads(ObjectKind.HEAD, "head")),
    "manifest": Target(manifest, lambda: _stored()["manifests"]),
    "manifest payload": Target(_sealed(ObjectKind.MANIFEST, manifest), _listing_seeds),
    "journal": Target(journal, lambda: _stored()["journal"]),
    "journal payload": Target(_sealed(ObjectKind.JOURNAL, journal), _payloads(ObjectKind.JOURNAL, "journal")),
    "delta": Target(delta, _delta_seeds),
    "bundle": Target(
        bundle, lambda: [data for data in _stored()["bundles"] if len(data) < 2**16] or [build_bundle([]).data]
    ),
    "block": Target(block, lambda: [b"\0\0\x05" + compress(b"hello"), b"\x01\0\0" + compress(bytes(2**16))]),
    "packed value": Target(value, lambda: [packed([1, "a", b"b", None, [2**64 - 1, ["x" * 40]]]), *_delta_seeds()]),
    "stat cache": Target(stat_cache, lambda: _stored()["stat"]),
    "stat cache body": Target(stat_cache_body, _stat_seeds),
    "seen head": Target(seen, lambda: _stored()["seen"]),
    "seen head body": Target(seen_body, _seen_seeds),
    "sent snapshots": Target(sent_body, lambda: [pack([("alpha", (sha(b"1"), sha(b"2"))), ("beta", ())])]),
    "machine state": Target(machine_state, lambda: _stored()["state"]),
    "machine state body": Target(machine_state_body, lambda: [data.partition(b"\n")[2] for data in _stored()["state"]]),
    "note of an unfinished run": Target(begun, _begun_seeds),
    "kept deltas": Target(kept_deltas, lambda: _stored()["kept"]),
    "ignore rules": Target(
        ignore_rules,
        lambda: [b"*.tmp\n!keep.tmp\n/a/**/b[a-z!]?\n\\#x\n[[:alpha:]]*/\n", b"syntax: regexp\n.*\\.bak$\n(a|b)+\n"],
    ),
    "configuration": Target(
        configuration,
        lambda: [b"SYNCCODE_REPOS=a,b # note\nexport X='y z'\r\n\n# comment\nQ=\"a'b\"\n", b"\xef\xbb\xbfA = 1\n"],
    ),
    "answer over HTTP": Target(http_answer, lambda: _ANSWERS),
    "git's list of files": Target(git_index, _git_seeds),
}
