import sys

import pytest

from epic_lab.kernel.search_path import SearchPath


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/python", "/theirs"])


def test_our_entries_stand_before_pythons_and_after_the_notebooks_folder() -> None:
    SearchPath().become(["/a", "/b"])
    assert sys.path == ["", "/a", "/b", "/python", "/theirs"]


def test_a_program_has_no_entry_for_its_folder_to_stand_after() -> None:
    sys.path[:] = ["/python"]
    SearchPath().become(["/a"])
    assert sys.path == ["/a", "/python"]


def test_entries_come_and_go_and_keep_their_order() -> None:
    path = SearchPath()
    path.become(["/a", "/b"])
    path.become(["/b", "/c", "/b"])
    assert sys.path == ["", "/b", "/c", "/python", "/theirs"]
    path.become([])
    assert sys.path == ["", "/python", "/theirs"]


def test_what_somebody_else_put_there_is_neither_doubled_nor_taken_away() -> None:
    path = SearchPath()
    path.become(["/theirs", "/a"])
    assert sys.path == ["", "/a", "/python", "/theirs"]
    path.become([])
    assert sys.path == ["", "/python", "/theirs"]
