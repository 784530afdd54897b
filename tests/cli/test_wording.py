"""How values read."""

from __future__ import annotations

import pytest

from epic_lab.cli import wording
from synccore.gitfacts import GitFacts


@pytest.mark.parametrize(("number", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (2997, "2,997 files")])
def test_a_count_agrees_with_its_noun(number: int, said: str) -> None:
    assert wording.counted(number, "file") == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (1449, "1.4 KB"),
        (9949, "9.9 KB"),
        (9950, "10 KB"),
        (999_499, "999 KB"),
        (999_500, "1.0 MB"),
        (30_000_000, "30 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_a_size_has_two_or_three_digits(size_bytes: int, said: str) -> None:
    assert wording.size(size_bytes) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 ms"), (0.0384, "38 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (99.4, "99.4 s"), (200.4, "3 min 20 s")],
)
def test_a_duration_is_in_the_unit_that_suits_it(seconds: float, said: str) -> None:
    assert wording.duration(seconds) == said


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, "no storage calls"),
        ({"conditional_get": 0}, "no storage calls"),
        ({"conditional_put": 1}, "1 conditional PUT"),
        ({"put": 2, "get": 1, "conditional_get": 1}, "1 conditional GET, 1 GET, 2 PUTs"),
        ({"keys": 2, "new_kind": 1}, "2 listings, 1 new_kind"),
    ],
)
def test_calls_are_named_in_one_order_whatever_the_counter_says(counts: dict[str, int], said: str) -> None:
    assert wording.calls(counts) == said


@pytest.mark.parametrize(
    ("added", "modified", "deleted", "said"),
    [
        (0, 0, 0, ""),
        (0, 1, 0, "1 file changed"),
        (1, 3, 2, "3 files changed, 1 new, 2 deleted"),
        (1, 0, 0, "1 new file"),
        (4, 0, 1, "4 new files, 1 deleted"),
        (0, 0, 1, "1 file deleted"),
    ],
)
def test_changes_say_only_what_there_is(added: int, modified: int, deleted: int, said: str) -> None:
    assert wording.changes(added=added, modified=modified, deleted=deleted) == said


@pytest.mark.parametrize(
    ("branch", "commit", "dirty_count", "said"),
    [
        ("main", "c" * 40, 0, "main"),
        ("main", "c" * 40, 1, "main+1 edit"),
        (None, "1a2b3c4d" + "0" * 32, 2, "@1a2b3c4+2 edits"),
        ("main", None, 0, "main"),
        (None, None, 0, "no commit"),
    ],
)
def test_gits_facts_are_a_branch_and_a_count_of_edits(
    branch: str | None, commit: str | None, dirty_count: int, said: str
) -> None:
    assert wording.git(GitFacts(commit=commit, branch=branch, origin=None, dirty_count=dirty_count)) == said


def test_no_git_is_no_words() -> None:
    assert wording.git(None) == ""


def test_columns_are_as_wide_as_they_need_and_empty_ones_take_no_room() -> None:
    assert wording.columns([("a", "", "xyz"), ("bbb", "", "")]) == ["a    xyz", "bbb"]
    assert wording.columns([]) == []
