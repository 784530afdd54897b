import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from synccore.backends.base import Found, Unchanged, Version
from synccore.backends.memory import MemoryBackend
from synccore.errors import ErrorKind, NotFoundError, WorktreeError
from synccore.keys import Key, head_key
from synccore.pull import pull, what_is_here
from synccore.pullreport import PullOutcome
from synccore.status import tree_status
from synccore.testing.invariants import assert_is_at_head, assert_nothing_unfinished
from synccore.testing.lab import USER, Lab
from synccore.testing.trees import noise

pytestmark = pytest.mark.vm


def test_a_user_who_has_uploaded_nothing_is_told_from_a_missing_bucket(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="user ann has uploaded nothing to lab yet") as refused:
        lab.machine.pull()
    assert refused.value.kind is ErrorKind.NO_HEAD
    with pytest.raises(NotFoundError) as missing:
        Lab(tmp_path / "other", MemoryBackend(bucket_exists=False)).machine.pull()
    assert missing.value.kind is ErrorKind.NO_BUCKET
    assert not lab.machine.home.exists()


def test_a_file_in_the_place_of_a_tree_is_named_and_stays(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    lab.machine.home.mkdir(parents=True)
    (lab.machine.home / "alpha").write_text("hers")
    with pytest.raises(WorktreeError, match="alpha"):
        lab.machine.pull()
    assert (lab.machine.home / "alpha").read_text() == "hers"
    (lab.machine.home / "alpha").unlink()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)


def test_a_tree_that_was_there_before_is_taken_over_and_what_differs_is_saved(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1", "same": "1", "d/x": "1"})
    lab.laptop.push()
    root = lab.machine.home / "alpha"
    root.mkdir(parents=True)
    for name, text in {"a": "hers", "same": "1", "only": "hers", "d": "a file"}.items():
        (root / name).write_text(text)
    (line,) = lab.machine.pull().repos
    assert (line.outcome, line.written) == (PullOutcome.CREATED, ("a", "d/x"))
    assert lab.machine.read("alpha") == {"a": b"1", "same": b"1", "only": b"hers", "d/x": b"1"}
    assert lab.machine.rescued() == [{"alpha/a": b"hers", "alpha/d": b"a file"}]


def test_a_tree_that_was_removed_comes_back(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"}, beta={"b": "1"})
    lab.laptop.push()
    lab.machine.pull()
    (lab.machine.home / "alpha/a").unlink()
    (lab.machine.home / "alpha").rmdir()
    assert {line.repo: line.written for line in lab.machine.pull().repos} == {"alpha": ("a",), "beta": ()}
    assert_is_at_head(lab.machine, lab)


def test_a_file_of_ours_that_was_deleted_comes_back_when_it_changes_and_not_before(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1", "b": "1"})
    lab.laptop.push()
    lab.machine.pull()
    (lab.machine.home / "alpha/a").unlink()
    lab.laptop.lay(alpha={"a": "1", "b": "2"})
    lab.laptop.push()
    lab.machine.pull()
    assert lab.machine.read("alpha") == {"b": b"2"}
    lab.laptop.lay(alpha={"a": "3", "b": "2"})
    lab.laptop.push()
    lab.machine.pull()
    assert_is_at_head(lab.machine, lab)


def test_another_store_is_not_taken_for_the_one_before(lab: Lab) -> None:
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    lab.machine.pull()
    other = Lab(lab.folder / "other", MemoryBackend())
    other.laptop.lay(alpha={"a": "from elsewhere", "b": "1"})
    other.laptop.push()
    # The versions of both heads are equal, by chance.
    report = pull(lab.machine.home, user=USER, backend=other.inner, store="elsewhere", now_ns=lab.clock)
    assert [(line.repo, line.saved) for line in report.repos] == [("alpha", ())]
    assert_is_at_head(lab.machine, other)
    assert what_is_here(lab.machine.home, user=USER, store="elsewhere").version is not None
    assert what_is_here(lab.machine.home, user=USER, store="lab").version is None


class Waiting(MemoryBackend):
    """Storage that keeps the transfer of a bundle waiting until the head was asked for twice."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 0
        self.asked_twice = threading.Event()

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        if key == head_key(USER):
            self.heads += 1
            if self.heads == 2:
                self.asked_twice.set()
        elif "/bundles/" in key:
            assert self.asked_twice.wait(60)
        return super().get(key, unless=unless)


def test_of_two_pulls_at_once_one_works_and_the_other_sees_the_finished_work(tmp_path: Path) -> None:
    lab = Lab(tmp_path, backend := Waiting())
    lab.laptop.lay(alpha={"a": noise(100_000)})
    lab.laptop.push()
    backend.heads = 0
    backend.asked_twice.clear()
    with ThreadPoolExecutor(2) as executor:
        reports = [future.result() for future in [executor.submit(lab.machine.pull) for _ in range(2)]]
    outcomes = sorted(line.outcome for report in reports for line in report.repos)
    assert outcomes == [PullOutcome.CREATED, PullOutcome.UNCHANGED]
    # The one that waited asked again.
    assert backend.heads == 3
    assert_is_at_head(lab.machine, lab)
    assert_nothing_unfinished(lab.machine)


def test_status_says_what_a_download_would_find(lab: Lab) -> None:
    def status() -> dict[str, tuple[bool, bool, bool]]:
        found = tree_status(lab.machine.home, user=USER, backend=lab.backend, store="lab")
        return {it.repo: (it.here is not None, it.stored is not None, it.is_current) for it in found}

    assert status() == {}
    lab.laptop.lay(alpha={"a": "1"})
    lab.laptop.push()
    assert status() == {"alpha": (False, True, False)}
    lab.machine.pull()
    assert status() == {"alpha": (True, True, True)}
    lab.laptop.lay(alpha={"a": "2"})
    lab.laptop.push()
    assert status() == {"alpha": (True, True, False)}
    assert lab.counted(status) == {"get": 1}
