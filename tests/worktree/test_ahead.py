"""Looks that are begun before somebody comes for them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from synccore.digest import digest_of
from synccore.intake import Intake, ReadFile
from synccore.look import Look, Source
from synccore.manifest import Entry, FileKind
from synccore.snapshot import snapshot_id
from synccore.treepath import TreePath
from synccore.worktree import ahead, status_rows
from synccore.worktree.ahead import Ahead, StatusesAhead
from synccore.worktree.chosen import Chosen
from synccore.worktree.scan import NOTHING, statuses
from synccore.worktree.selection import select
from synccore.worktree.statcache import (
    Fingerprints,
    StatCache,
    fingerprint,
    load_stat_cache,
    store_stat_cache,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no other process is begun there")

LONG_AGO_NS, LATER_NS = 10**18, 2 * 10**18


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree of 2,500 files in 25 directories."""
    for folder in range(25):
        (tmp_path / "tree" / f"d{folder:02}").mkdir(parents=True)
        for number in range(100):
            (tmp_path / "tree" / f"d{folder:02}" / f"{number:02}.py").write_text(f"{folder} {number}")
    return tmp_path / "tree"


@pytest.fixture
def stat_cache(root: Path, tmp_path: Path) -> Path:
    """Return where the stat cache of the tree is kept."""
    paths = sorted(TreePath(path.relative_to(root).as_posix()) for path in root.rglob("*.py"))
    entry = Entry(FileKind.FILE, 1, digest_of(b"1"))
    tree = dict.fromkeys(paths, entry)
    prints = Fingerprints([fingerprint((root / path).lstat()) for path in paths])
    chosen = Chosen(b"key", sorted({path.parent for path in paths}), None)
    cache = StatCache.of(tree, prints, snapshot_id(tree), chosen=chosen)
    store_stat_cache(tmp_path / "cache", root, cache, read_from_ns=LATER_NS, read_until_ns=LATER_NS)
    return tmp_path / "cache"


@pytest.fixture
def no_process_is_left() -> Iterator[None]:
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def names_of(cache: StatCache) -> list[str]:
    return [*cache.paths, *cache.chosen.directories]


def wait_for(begun: StatusesAhead, names: int) -> None:
    """Wait until *begun* has looked at all of *names*."""
    os.waitid(os.P_PID, begun._process, os.WEXITED | os.WNOWAIT)
    assert begun.rows_done() == (names or -1)


@pytest.mark.usefixtures("no_process_is_left")
def test_another_process_finds_what_we_would(root: Path, stat_cache: Path) -> None:
    (root / "d03" / "07.py").unlink()
    (root / "d24" / "99.py").write_text("longer than it was")
    cache = load_stat_cache(stat_cache, root)
    names = names_of(cache)
    alone = statuses(root, names, cache.fingerprints)
    begun = StatusesAhead(root, stat_cache)
    try:
        wait_for(begun, len(names))
        assert begun.is_of(cache.mark)
        told: list[int] = []
        together = statuses(
            root, names, cache.fingerprints, lambda now, was: told.append(len(was.differing(now))), begun
        )
    finally:
        begun.end()
    assert together == alone
    assert together[307] == NOTHING
    assert all(map(stat.S_ISDIR, together.column(0)[2500:]))
    assert told == [1, 1]


class SomeDone:
    """Somebody who has done so many rows each time that is asked, up to a number beyond which nothing comes."""

    def __init__(self, all_rows: Fingerprints, steps: Sequence[int]) -> None:
        self._all = all_rows
        self._steps = list(steps)
        self._done = -1

    def rows_done(self) -> int:
        self._done = self._steps.pop(0) if self._steps else self._done
        return self._done

    def rows(self, start: int, end: int) -> bytes:
        assert end <= self._done
        return self._all.part(start, end)


@pytest.mark.parametrize("steps", [[], [0, 1023, 1024], [1024], [0, 2047], [0, 2524], [2525], [-1, 0, 2525]], ids=str)
def test_however_far_the_other_gets_all_is_looked_at(root: Path, stat_cache: Path, steps: list[int]) -> None:
    cache = load_stat_cache(stat_cache, root)
    alone = statuses(root, names_of(cache))
    together = statuses(root, names_of(cache), ahead=SomeDone(alone, steps))  # type: ignore[arg-type]
    assert together == alone


@pytest.mark.parametrize(
    ("names", "bounds"),
    [
        (0, []),
        (1, [(0, 1)]),
        (1024, [(0, 1024)]),
        (2047, [(0, 2047)]),
        (2048, [(0, 1024), (1024, 2048)]),
        (3072, [(0, 1024), (1024, 2048), (2048, 3072)]),
        (4000, [(0, 1024), (1024, 2048), (2048, 4000)]),
    ],
)
def test_no_part_is_smaller_than_the_others(names: int, bounds: list[tuple[int, int]]) -> None:
    assert status_rows.bounds_of(names) == bounds


@pytest.mark.usefixtures("no_process_is_left")
def test_who_has_not_begun_or_is_at_another_cache_is_not_believed(root: Path, stat_cache: Path, tmp_path: Path) -> None:
    begun = StatusesAhead(root, tmp_path / "nowhere")
    try:
        wait_for(begun, 0)
        assert not begun.is_of(load_stat_cache(stat_cache, root).mark)
    finally:
        begun.end()
    begun = StatusesAhead(root, stat_cache)
    try:
        wait_for(begun, 2525)
        cache = load_stat_cache(stat_cache, root)
        other = cache.with_rows({}, chosen=Chosen(b"other", (), None))
        store_stat_cache(stat_cache, root, other, read_from_ns=LATER_NS, read_until_ns=LATER_NS)
        assert begun.is_of(cache.mark)
        assert not begun.is_of(load_stat_cache(stat_cache, root).mark)
    finally:
        begun.end()


@pytest.mark.usefixtures("no_process_is_left")
@pytest.mark.parametrize("executable", ["", "/nowhere/python"])
def test_where_no_process_can_be_started_there_is_none(
    root: Path, stat_cache: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with Ahead(root, None, stat_cache) as begun:
        begun.begin_list()
        selecting, others, _ = begun.take()
    assert selecting is not None
    assert others is None


@pytest.mark.usefixtures("no_process_is_left")
def test_what_was_begun_is_taken_once_and_only_while_it_is_new(
    root: Path, stat_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ahead(root, None, stat_cache) as begun:
        begun.begin_list()
        assert begun.take()[:2] != (None, None)
        assert begun.take()[:2] == (None, None)
    with Ahead(root, None, stat_cache) as begun:
        begun.begin_list()
        monkeypatch.setattr(ahead, "_LONGEST_AHEAD_NS", 0)
        assert begun.take()[:2] == (None, None)


def kept_with_directories(root: Path, stat_cache: Path) -> None:
    """Keep what stands at the directories as well."""
    cache = load_stat_cache(stat_cache, root)
    chosen = cache.chosen._replace(directories=[".", *cache.chosen.directories])
    cache = cache.with_rows({}, chosen=chosen)
    cache.above = statuses(root, chosen.directories)
    store_stat_cache(stat_cache, root, cache, read_from_ns=LATER_NS, read_until_ns=LATER_NS)


@pytest.mark.usefixtures("no_process_is_left")
@pytest.mark.parametrize("is_large", [False, True])
def test_a_change_anywhere_is_found_before_the_engine_is_there(
    root: Path, stat_cache: Path, monkeypatch: pytest.MonkeyPatch, *, is_large: bool
) -> None:
    monkeypatch.setattr(ahead, "_WORTH_BYTES", 0 if is_large else 2**40)

    def is_same() -> bool:
        with Ahead(root, None, stat_cache) as begun:
            begun.begin_list()
            assert (begun.statuses is not None) == is_large
            return begun.found_same()

    assert not is_same()  # of the directories nothing is known
    kept_with_directories(root, stat_cache)
    assert is_same()
    changes: list[Callable[[], object]] = [
        lambda: (root / "d24" / "99.py").write_text("edited"),
        lambda: (root / "d07" / "new.py").write_text("new"),
        lambda: (root / "new.py").write_text("new"),
        (root / "d00" / "00.py").unlink,
    ]
    for change in changes:
        change()
        assert not is_same()
        if change is not changes[-1]:
            cache = load_stat_cache(stat_cache, root)
            cache.fingerprints = statuses(root, cache.paths)
            cache.above = statuses(root, cache.chosen.directories)
            store_stat_cache(stat_cache, root, cache, read_from_ns=LATER_NS, read_until_ns=LATER_NS)
            assert is_same()
    stat_cache.unlink()
    with Ahead(root, None, stat_cache) as begun:
        begun.begin_list()
        assert not begun.found_same()


@pytest.mark.usefixtures("no_process_is_left")
def test_who_has_ended_it_is_told_nothing(root: Path, stat_cache: Path) -> None:
    kept_with_directories(root, stat_cache)
    begun = StatusesAhead(root, stat_cache)
    begun.end()
    assert begun.found() == b""


@pytest.mark.usefixtures("no_process_is_left")
def test_another_cache_than_it_has_looked_with_says_nothing(root: Path, stat_cache: Path) -> None:
    kept_with_directories(root, stat_cache)
    with Ahead(root, None, stat_cache) as begun:
        begun.begin_list()
        assert begun.statuses is not None
        wait_for(begun.statuses, 2526)
        cache = load_stat_cache(stat_cache, root)
        cache.chosen = cache.chosen._replace(key=b"other")
        store_stat_cache(stat_cache, root, cache, read_from_ns=LATER_NS, read_until_ns=LATER_NS)
        assert not begun.found_same()


@pytest.mark.usefixtures("no_process_is_left")
def test_where_the_last_upload_has_looked_the_next_begins(root: Path, stat_cache: Path, tmp_path: Path) -> None:
    last = tmp_path / "looked-at"
    ahead.begin(str(last))
    with Ahead(root, None, stat_cache) as begun:
        begun.begin_list()
        assert begun.statuses is not None
        ahead.note(last, [begun])
    before_ns = time.time_ns()
    ahead.begin(str(last))
    after_ns = time.time_ns()
    with Ahead(root, None, stat_cache) as begun:
        begun.begin_list()
        assert begun.statuses is not None
        wait_for(begun.statuses, 2525)
        assert before_ns <= begun.since_ns <= after_ns
    ahead.begin(str(last))
    with Ahead(tmp_path / "another", None, stat_cache) as begun:
        begun.begin_list()
        assert begun.statuses is not None
        assert begun.since_ns >= after_ns
    ahead.end_early()
    ahead.note(last, [])
    ahead.begin(str(last))
    assert not ahead._early


@pytest.mark.usefixtures("no_process_is_left")
@pytest.mark.parametrize("rules", [None, "*.log\n", "*.log\n!kept.log\n"])
def test_a_list_that_git_has_begun_is_the_list(
    root: Path, stat_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: str | None
) -> None:
    subprocess.run(["git", "init", "-q", root], check=True)
    (root / "kept.log").write_text("")
    (root / ".gitignore").write_text("*.log\n")
    if rules is not None:
        (root / ".synccodeignore").write_text(rules)
    (tmp_path / "looked-at").write_text(f"{root}\0{stat_cache}")
    expected = select(root)
    ahead.begin(str(tmp_path / "looked-at"))
    ahead.begin_listings()
    with monkeypatch.context() as patch:
        if rules is None or "!" not in rules:
            patch.setattr("synccore.worktree.selection._Manner.start", None)  # no other is begun
        with Ahead(root, None, stat_cache) as begun:
            begun.begin_list()
            selecting, *_ = begun.take()
            assert selecting is not None
            found = selecting.finish()
    assert found == expected
    assert ("kept.log" in found.paths) == (rules is not None and "!" in rules)


@pytest.mark.usefixtures("no_process_is_left")
def test_a_list_that_nobody_wants_is_given_up(root: Path, stat_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "looked-at").write_text(f"{root}\0{stat_cache}")
    ahead.begin(str(tmp_path / "looked-at"))
    ahead.begin_listings()
    assert not ahead._listings  # no repository of git's
    subprocess.run(["git", "init", "-q", root], check=True)
    ahead.begin_listings()
    assert ahead._listings
    ahead.end_early()
    assert not ahead._listings


@pytest.mark.usefixtures("no_process_is_left")
@pytest.mark.parametrize("text", [b"", b"one", b"\0\0", b"/nowhere\0/nowhere", b"\xff\0\xff"])
def test_a_file_that_says_nothing_of_use_begins_nothing(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "looked-at").write_bytes(text)
    ahead.begin(str(tmp_path / "looked-at"))
    assert not ahead._early


def test_a_small_tree_is_worth_no_process(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"x" * 1000)
    with Ahead(tmp_path, None, tmp_path / "cache") as begun:
        begun.begin_list()
        assert begun.take()[1] is None


def test_rules_that_make_no_sense_are_said_by_the_look_itself(tmp_path: Path) -> None:
    (tmp_path / ".synccodeignore").write_text("syntax: regexp\n(\n")
    with Ahead(tmp_path, None, tmp_path / "cache") as begun:
        begun.begin_list()
        assert begun.take()[0] is None


@pytest.mark.usefixtures("no_process_is_left")
def test_a_look_that_was_begun_sees_what_any_other_does(root: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", root], check=True)
    source, cache = Source("alpha", root), tmp_path / "look"

    def snapshot(begun: Ahead | None) -> bytes:
        look = Look(source, cache, lambda: LATER_NS, ahead=begun)
        read = []
        for item in look.scan.unread:
            data = (root / item.path).read_bytes()
            found = fingerprint((root / item.path).lstat())
            read.append(ReadFile(item.path, Entry(FileKind.FILE, len(data), digest_of(data)), found))
        return bytes(look.finish(Intake(read)).snapshot)

    def ahead_and_alone() -> tuple[bytes, bytes]:
        kept = cache.read_bytes() if cache.exists() else None
        with Ahead(root, None, cache) as begun:
            begun.begin_list()
            first = snapshot(begun)
        if kept is None:
            cache.unlink()
        else:
            cache.write_bytes(kept)
        return first, snapshot(None)

    seen = []
    for change in (
        lambda: None,
        lambda: None,
        lambda: (root / "d07" / "03.py").write_text("edited"),
        lambda: (root / "d08" / "new.py").write_text("new"),
        (root / "d09" / "09.py").unlink,
        lambda: (root / "d10").rename(root / "moved"),
    ):
        change()
        first, alone = ahead_and_alone()
        assert first == alone
        seen.append(first)
    assert seen[0] == seen[1]
    assert len(set(seen)) == 5


def test_a_directory_that_has_become_a_link_is_seen_ahead_too(root: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", root], check=True)
    subprocess.run(["git", "-C", root, "add", "-A"], check=True)
    source, cache = Source("alpha", root), tmp_path / "look"
    look = Look(source, cache, lambda: LATER_NS)
    assert len(look.scan.unread) == 2500
    (root / "d10").rename(tmp_path / "elsewhere")
    (root / "d10").symlink_to(tmp_path / "elsewhere")
    with Ahead(root, None, cache) as begun:
        begun.begin_list()
        look = Look(source, cache, lambda: LATER_NS, ahead=begun)
    assert len([item for item in look.scan.unread if item.path.startswith("d10/")]) == 0


def test_the_program_loads_nothing_that_takes_long(root: Path, stat_cache: Path) -> None:
    program = [sys.executable, "-I", "-S", "-X", "importtime", status_rows.__file__, str(root), str(stat_cache)]
    done = subprocess.run(program, capture_output=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "array" in loaded
    assert not loaded & {"site", "typing", "pathlib", "contextlib", "enum", "re", "struct", "synccore", "xxhash"}
    assert len(done.stdout) == status_rows.MARK_BYTES + 2525 * status_rows.ROW_BYTES
