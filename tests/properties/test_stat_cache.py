"""What a look finds is what a look finds that reads every file, whatever the times of the files and the clock do.

On disks that are simulated, because a real one gives nobody another `ctime` or a coarser clock; and on the real one, with all that
can be done to files behind a cache's back.
"""

from __future__ import annotations

import itertools
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synccore.intake import Intake, take_in
from synccore.look import Look, Source
from synccore.manifest import Entry
from synccore.reading import Claims
from synccore.snapshot import snapshot_id
from synccore.testing.trees import Executable, Node, content_of, entries, entry_of, noise, read
from synccore.treepath import TreePath
from synccore.view import View
from synccore.worktree import scan as scanning
from synccore.worktree.statcache import EMPTY, Fingerprints, StatCache, believable, fingerprint, load_stat_cache

MANY = settings(max_examples=settings().max_examples * 4)

SECOND = 10**9
DAY = 86_400 * SECOND
BEGIN = 20_000 * DAY

# Simulated disks


@dataclass(frozen=True, slots=True)
class DiskKind:
    """How a file system keeps times.

    Attributes:
        unit_ns: times are cut to multiples of this when they are kept.
        tick_ns: the clock for files moves by this.
        has_ctime: whether a status says when it changed itself; if not, it says when the file was made, as on Windows.
        skew_ns: how far its clock is from ours.
    """

    unit_ns: int
    tick_ns: int = 1
    has_ctime: bool = True
    skew_ns: int = 0


DISKS = {
    "ext4": DiskKind(1, tick_ns=4_000_000),
    "ext4 with the slowest clock": DiskKind(1, tick_ns=10_000_000),
    "apfs": DiskKind(1),
    "ntfs": DiskKind(100, has_ctime=False),
    "ntfs with a slow clock": DiskKind(100, tick_ns=15_600_000, has_ctime=False),
    "milliseconds": DiskKind(10**6),
    "exfat": DiskKind(10**7, has_ctime=False),
    "ext3": DiskKind(SECOND),
    "hfs+": DiskKind(SECOND),
    "fat": DiskKind(2 * SECOND),
    "fat on windows": DiskKind(2 * SECOND, has_ctime=False),
    "a server ahead": DiskKind(1, tick_ns=4_000_000, skew_ns=50_000_000),
    "a server behind": DiskKind(1, tick_ns=4_000_000, skew_ns=-50_000_000),
    "a server behind that keeps seconds": DiskKind(SECOND, skew_ns=-50_000_000),
    "a server behind with fat": DiskKind(2 * SECOND, skew_ns=-50_000_000),
}


class Inode(NamedTuple):
    number: int
    node: Node
    mtime_ns: int
    ctime_ns: int


class Disk:
    """A disk with a few files, and the clock that it shares with the program."""

    def __init__(self, kind: DiskKind) -> None:
        self._kind = kind
        self.now_ns = BEGIN
        self._eras = itertools.count(1)
        self._numbers = itertools.count(1)
        self._free: list[int] = []
        self._odd_times = itertools.count(1)
        self.files: dict[str, Inode] = {}

    # The clock

    def clock(self) -> int:
        return self.now_ns

    def pass_time(self, duration_ns: int) -> None:
        self.now_ns += duration_ns

    def set_clock_back(self) -> None:
        """Set the clock to a day on which it has not been yet; see the RACE note of `store_stat_cache` for the others."""
        self.now_ns = BEGIN - next(self._eras) * DAY

    def set_clock_ahead(self) -> None:
        self.now_ns += 3600 * SECOND

    def _stamp(self) -> int:
        ticked = (self.now_ns + self._kind.skew_ns) // self._kind.tick_ns * self._kind.tick_ns
        # A clock in ticks does not begin at a round time.
        offset = 1_234_567 if self._kind.unit_ns == 1 and self._kind.tick_ns > 1 else 0
        return self._kept(ticked + offset)

    def _kept(self, time_ns: int) -> int:
        return time_ns // self._kind.unit_ns * self._kind.unit_ns

    # What people do

    def write(self, path: str, node: Node) -> None:
        """Write in place, or make a new file."""
        old = self.files.get(path)
        number = old.number if old else (self._free.pop() if self._free else next(self._numbers))
        made = self._stamp() if old is None or self._kind.has_ctime else old.ctime_ns
        self.files[path] = Inode(number, node, self._stamp(), made)

    def remove(self, path: str) -> None:
        if path in self.files:
            # The next file gets the number, as on many file systems.
            self._free.append(self.files.pop(path).number)

    def replace(self, path: str, node: Node, *, keeps_mtime: bool) -> None:
        """Write another file and rename it to *path*, with the old one's time if the disk can tell that nevertheless."""
        old = self.files.get(path)
        self.files[path] = Inode(next(self._numbers), node, self._stamp(), self._stamp())
        if old is not None:
            self._free.append(old.number)
            if keeps_mtime:
                self.set_mtime(path, old.mtime_ns)

    def set_mtime(self, path: str, time_ns: int) -> None:
        if path in self.files:
            file = self.files[path]
            if self._kind.has_ctime:
                self.files[path] = file._replace(mtime_ns=self._kept(time_ns), ctime_ns=self._stamp())
            else:
                # Where nothing else would tell, a time that a file had before makes an edit invisible to every program. What is
                # unpacked, copied or checked out has a time of its own.
                odd = next(self._odd_times) * self._kind.unit_ns
                self.files[path] = file._replace(mtime_ns=self._kept(BEGIN - 9000 * DAY + odd))

    def swap(self, first: str, second: str) -> None:
        if first in self.files and second in self.files:
            stamp = self._stamp()
            one, two = self.files[first], self.files[second]
            if self._kind.has_ctime:
                one, two = one._replace(ctime_ns=stamp), two._replace(ctime_ns=stamp)
            self.files[first], self.files[second] = two, one

    # What the program sees

    def lstat(self, path: str) -> Any:
        name = path.rpartition("/")[2]
        if name not in self.files:
            raise FileNotFoundError(path)
        file = self.files[name]
        mode = stat.S_IFREG | (0o755 if isinstance(file.node, Executable) else 0o644)
        return SimpleNamespace(
            st_mode=mode,
            st_size=len(content_of(file.node)),
            st_mtime_ns=file.mtime_ns,
            st_ctime_ns=file.ctime_ns,
            st_ino=file.number,
        )

    def tree(self) -> dict[str, Node]:
        return {path: file.node for path, file in sorted(self.files.items())}


NAMES = ("a", "b")


class Looks:
    """Looks at a simulated disk as `Look` does at a real one, with the real scan and the real rules of the cache."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._cache = EMPTY

    def look(self, meanwhile: Callable[[Disk], None] = lambda _disk: None) -> dict[TreePath, Entry]:
        disk, cache = self._disk, self._cache
        since = disk.clock()
        meanwhile(disk)
        lstat, scanning.os.lstat = os.lstat, disk.lstat
        try:
            found = scanning.scan(Path("/simulated"), [TreePath(name) for name in NAMES], None, cache)
        finally:
            scanning.os.lstat = lstat
        known = dict(found.known)
        for item in found.unread:
            if item.path not in disk.files:
                assert item.found is None  # nobody has looked at it, and there is nothing
                continue
            entry = entry_of(disk.files[item.path].node)
            assert item.kind in (None, entry.kind)
            known[item.path] = (fingerprint(disk.lstat(item.path)), entry)
        tree = {path: known[path][1] for path in sorted(known)}
        if found.unread or len(tree) != len(cache.tree):
            kept = StatCache.of(tree, Fingerprints([known[path][0] for path in tree]), cache.snapshot)
            prints = believable(kept.fingerprints, read_from_ns=since, read_until_ns=disk.clock())
            self._cache = StatCache.of(tree, prints, cache.snapshot)
        return tree


# Few and mostly of one size, and mostly of one file: what differs in size is found anyhow.
contents = st.sampled_from((b"1", b"2", b"1", b"2", b"22", Executable(b"1"), Executable(b"2")))
names = st.sampled_from(("a", "a", "a", "b"))
Act = Callable[[Disk], None]


def acts() -> st.SearchStrategy[Act]:
    durations = st.sampled_from(
        (0, 1, 500_000, 3_999_999, 60_000_000, 160_000_000, 900_000_000, 1_960_000_000, 5 * SECOND)
    )
    ages = st.sampled_from((0, 1, SECOND, 2 * SECOND, DAY, -DAY, 10_000 * DAY))
    return st.one_of(
        st.builds(lambda name, node: lambda disk: disk.write(name, node), names, contents),
        st.builds(lambda name, node: lambda disk: disk.write(name, node), names, contents),
        st.builds(
            lambda name, node, keeps: lambda disk: disk.replace(name, node, keeps_mtime=keeps),
            names,
            contents,
            st.booleans(),
        ),
        st.builds(lambda name: lambda disk: disk.remove(name), names),
        st.builds(lambda name, age: lambda disk: disk.set_mtime(name, disk.now_ns - age), names, ages),
        st.just(lambda disk: disk.swap(*NAMES)),
        st.builds(lambda duration: lambda disk: disk.pass_time(duration), durations),
        st.builds(lambda duration: lambda disk: disk.pass_time(duration), durations),
        st.just(Disk.set_clock_back),
        st.just(Disk.set_clock_ahead),
    )


jumps = st.sampled_from((lambda disk: None, lambda disk: None, Disk.set_clock_back, Disk.set_clock_ahead))


@pytest.mark.parametrize("kind", DISKS)
@MANY
@given(steps=st.lists(st.tuples(st.lists(acts(), max_size=4), jumps), min_size=2, max_size=6))
def test_a_look_at_a_simulated_disk_finds_what_is_there(kind: str, steps: list[tuple[list[Act], Act]]) -> None:
    disk = Disk(DISKS[kind])
    looks = Looks(disk)
    for before_look, meanwhile in steps:
        for act in before_look:
            act(disk)
        assert looks.look(meanwhile) == entries(disk.tree())
        disk.pass_time(1)


# All the ways in which an edit may look as if there had been none: what is there first, and what is made of it.
OLD_NS = BEGIN - 100 * DAY


def written(disk: Disk, node: Node) -> None:
    disk.write("a", node)


def written_with_an_old_time(disk: Disk, node: Node) -> None:
    disk.write("a", node)
    disk.set_mtime("a", OLD_NS)


def replaced(disk: Disk, node: Node) -> None:
    disk.replace("a", node, keeps_mtime=True)


def made_again(disk: Disk, node: Node) -> None:
    disk.remove("a")
    disk.write("a", node)


def exchanged(disk: Disk, node: Node) -> None:
    disk.write("b", node)
    if "a" in disk.files:
        disk.swap("a", "b")
    else:
        disk.write("a", node)


WAYS = (written, written_with_an_old_time, replaced, made_again, exchanged)
MS = 10**6


@pytest.mark.parametrize("kind", DISKS)
def test_an_edit_that_is_timed_as_badly_as_can_be_is_found_on_every_disk(kind: str) -> None:
    """The clock is begun at, just before and just behind a moment where the disk's times change."""
    disks = DISKS[kind]
    step = max(disks.unit_ns, disks.tick_ns)
    begins = {0, 1, step // 2, -disks.skew_ns}
    before = {0, step // 2, 60 * MS, 160 * MS, step * 98 // 100}
    after = {0, 1, step // 100, step // 3, 5 * SECOND}
    for first, second in itertools.product(WAYS, WAYS):
        for begin, pause_before, pause_after in itertools.product(begins, before, after):
            disk = Disk(disks)
            looks = Looks(disk)
            disk.pass_time(begin)
            first(disk, b"1")
            disk.pass_time(pause_before)
            looks.look()
            disk.pass_time(pause_after)
            second(disk, b"2")
            assert looks.look() == entries(disk.tree()), (
                first.__name__,
                second.__name__,
                begin,
                pause_before,
                pause_after,
            )


def test_a_simulated_disk_tells_when_a_cache_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same law fails for a cache that believes everything."""
    monkeypatch.setattr("synccore.worktree.statcache.Fingerprint.is_racy", lambda _self, _since: False)
    disk = Disk(DISKS["ext4"])
    looks = Looks(disk)
    disk.write("a", b"1")
    looks.look()
    disk.write("a", b"2")
    assert looks.look() != entries(disk.tree())


def test_an_old_file_is_believed_on_every_disk() -> None:
    """Else the law would hold by reading everything always."""
    for kind in DISKS.values():
        disk = Disk(kind)
        looks = Looks(disk)
        disk.write("a", b"1")
        disk.pass_time(3 * SECOND)
        looks.look()
        disk.files["a"] = disk.files["a"]._replace(node=b"2")  # behind the times' back
        assert looks.look() == entries({"a": b"1"})


# The real disk


def look(root: Path, cache: Path, clock: Callable[[], int]) -> View:
    looked = Look(Source(repo="alpha", root=root), cache, clock)
    intake = Intake()
    for _ in take_in(root, looked.scan.unread, Claims(lambda _digest: True), intake):
        raise AssertionError("nothing is packed where everything counts as stored")
    return looked.finish(intake)


@dataclass(slots=True)
class Desk:
    """A tree on the real disk, and the times that its files have had."""

    root: Path
    times: list[int]

    def existing(self, name: str) -> Path | None:
        path = self.root / name
        return path if path.is_file() and not path.is_symlink() else None


Deed = Callable[[Desk], None]


def write(name: str, data: bytes) -> Deed:
    def do(desk: Desk) -> None:
        path = desk.root / name
        if path.is_symlink() or path.is_dir():
            return
        with path.open("r+b" if path.exists() else "wb", buffering=0) as file:
            file.write(data)
            file.truncate()
        desk.times.append(path.stat().st_mtime_ns)

    return do


def set_time(name: str, which: int) -> Deed:
    def do(desk: Desk) -> None:
        path = desk.existing(name)
        if path is not None:
            time_ns = desk.times[which % len(desk.times)] if desk.times else which * SECOND
            os.utime(path, ns=(time_ns, time_ns))

    return do


def rename_over(name: str, data: bytes) -> Deed:
    """Put another file in the place of *name*, with the same times as far as anybody can set them."""

    def do(desk: Desk) -> None:
        path = desk.existing(name)
        other = desk.root.parent / "other"
        other.write_bytes(data)
        if path is not None:
            status = path.stat()
            other.chmod(stat.S_IMODE(status.st_mode))
            os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        if not (desk.root / name).is_dir():
            other.replace(desk.root / name)

    return do


def swap(desk: Desk) -> None:
    one, two = desk.root / "a", desk.root / "b"
    if desk.existing("a") and desk.existing("b"):
        aside = desk.root.parent / "aside"
        one.rename(aside)
        two.rename(one)
        aside.rename(two)


def hard_link(desk: Desk) -> None:
    if desk.existing("a") and not (desk.root / "b").is_dir():
        (desk.root / "b").unlink(missing_ok=True)
        os.link(desk.root / "a", desk.root / "b")


def make_again(name: str, data: bytes) -> Deed:
    def do(desk: Desk) -> None:
        if desk.existing(name):
            (desk.root / name).unlink()
            (desk.root / name).write_bytes(data)

    return do


def flip_executable(name: str) -> Deed:
    def do(desk: Desk) -> None:
        path = desk.existing(name)
        if path is not None:
            path.chmod(path.stat().st_mode ^ stat.S_IXUSR)

    return do


def change_kind(name: str, kind: str) -> Deed:
    def do(desk: Desk) -> None:
        path = desk.root / name
        with suppress(OSError):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if kind == "link":
            path.symlink_to("1")
        elif kind == "directory":
            path.mkdir()
        elif kind == "file":
            path.write_bytes(b"1")

    return do


def deeds() -> st.SearchStrategy[Deed]:
    name = st.sampled_from(("a", "b"))
    data = st.sampled_from((b"1", b"2", b"22", noise(2**20 + 1, 1), noise(2**20 + 1, 2)))
    return st.one_of(
        st.builds(write, name, data),
        st.builds(write, name, data),
        st.builds(set_time, name, st.integers(0, 9)),
        st.builds(set_time, name, st.integers(0, 9)),
        st.builds(rename_over, name, data),
        st.just(swap),
        st.just(hard_link),
        st.builds(make_again, name, data),
        st.builds(flip_executable, name),
        st.builds(change_kind, name, st.sampled_from(("link", "directory", "file", "nothing"))),
    )


@contextmanager
def desk() -> Iterator[tuple[Desk, Path]]:
    with tempfile.TemporaryDirectory(prefix="desk-") as folder:
        root = Path(folder, "tree")
        root.mkdir()
        yield Desk(root, []), Path(folder, "cache")


class Clock:
    """The real clock, or one that is behind and goes further back with each question."""

    def __init__(self, behind_ns: int, *, goes_back: bool) -> None:
        self._behind_ns = behind_ns
        self._goes_back = goes_back

    def __call__(self) -> int:
        from time import time_ns

        if self._goes_back:
            self._behind_ns += SECOND
        return time_ns() - self._behind_ns


clocks = st.builds(lambda behind, goes: (behind, goes), st.sampled_from((0, 0, 0, 3 * SECOND, DAY)), st.booleans())


def assert_finds_what_is_there(found: View, root: Path) -> None:
    expected = entries(read(root))
    assert {path: (entry.kind, entry.digest) for path, entry in found.tree.items()} == {
        path: (entry.kind, entry.digest) for path, entry in expected.items()
    }
    assert found.snapshot == snapshot_id(expected)


@MANY
@given(st.lists(st.lists(deeds(), max_size=4), min_size=2, max_size=5), clocks)
def test_a_look_at_the_real_disk_finds_what_is_there(steps: list[list[Deed]], clock: tuple[int, bool]) -> None:
    with desk() as (mine, cache):
        for step in steps:
            for deed in step:
                deed(mine)
            found = look(mine.root, cache, Clock(clock[0], goes_back=clock[1]))
            assert_finds_what_is_there(found, mine.root)


@contextmanager
def somebody_at_work(mine: Desk, at: dict[int, Deed], calls: tuple[str, ...]) -> Iterator[None]:
    """Let somebody do *at[n]* just before the n-th of the system's *calls* that the scan makes."""
    count = itertools.count()

    def before(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            deed = at.pop(next(count), None)
            if deed is not None:
                # The deeds themselves use the same calls.
                with pytest.MonkeyPatch.context() as undone:
                    for name, original in originals.items():
                        undone.setattr(os, name, original)
                    deed(mine)
            return real(*arguments, **named)

        return call

    originals = {name: getattr(os, name) for name in calls}
    with pytest.MonkeyPatch.context() as patch:
        for name, original in originals.items():
            patch.setattr(scanning.os, name, before(original))
        yield


@MANY
@given(
    before=st.lists(deeds(), min_size=1, max_size=3),
    during=st.dictionaries(st.integers(0, 8), deeds(), min_size=1, max_size=3),
    after=st.lists(deeds(), max_size=2),
)
def test_what_is_edited_during_a_look_is_found_by_the_next(
    before: list[Deed], during: dict[int, Deed], after: list[Deed]
) -> None:
    with desk() as (mine, cache):
        for deed in before:
            deed(mine)
        with somebody_at_work(mine, dict(during), ("lstat", "fstat", "read", "readlink")):
            look(mine.root, cache, Clock(0, goes_back=False))
        for deed in after:
            deed(mine)
        assert_finds_what_is_there(look(mine.root, cache, Clock(0, goes_back=False)), mine.root)


def test_a_clock_that_goes_back_during_a_look_leaves_nothing_to_believe(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_bytes(b"1")
    os.utime(root / "a", ns=(BEGIN, BEGIN))
    cache = tmp_path / "cache"
    with suppress(FileNotFoundError):
        cache.unlink()
    look(root, cache, Clock(-DAY, goes_back=False))
    kept = load_stat_cache(cache, root)
    assert kept.fingerprints[0].mode
    cache.unlink()
    look(root, cache, Clock(-DAY, goes_back=True))
    assert not load_stat_cache(cache, root).fingerprints[0].mode
