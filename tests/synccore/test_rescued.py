"""Saved edits: found by short names, compared, put back without a loss, and let go of only by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from synccore.errors import ErrorKind, InvalidInputError, NotFoundError, WorktreeError
from synccore.rescued import (
    MAX_COMPARED_BYTES,
    Comparison,
    Difference,
    SavedEdit,
    Standing,
    compare,
    drop,
    find,
    list_saved,
    newest_of_each,
    restore,
)
from synccore.testing.disk_tree import Content, Folder, Link, Node, Pipe, Program, apply, lay_out, read_back
from synccore.worktree.contents import ContentKind
from synccore.worktree.lock import TreeLock
from synccore.worktree.machine import MachineMemory
from synccore.worktree.rescue import Reason, RescueFolder

NOON_NS = 1_767_268_800 * 10**9
MINUTE_NS = 60 * 10**9


def at(minute: int) -> Callable[[], int]:
    return lambda: NOON_NS + minute * MINUTE_NS


def replaced(
    home: Path, there: Mapping[str, Node], target: Mapping[str, Content], *, minute: int = 0, repo: str = "alpha"
) -> None:
    """Let somebody make *there*, and then a download that writes *target*."""
    lay_out(home / repo, there)
    apply(home / repo, {}, target, RescueFolder(home, now_ns=at(minute)))


def only(home: Path) -> SavedEdit:
    (edit,) = list_saved(home)
    return edit


def difference(home: Path) -> Difference:
    return compare(home, only(home))


# What was saved, what replaced it, and what is found in its place afterwards.
STANDINGS: dict[str, tuple[Node, Content, Node | None, Standing]] = {
    "the replacement": ("x", "1", "1", Standing.REPLACEMENT),
    "a link that replaced it": ("x", Link("1"), Link("1"), Standing.REPLACEMENT),
    "the same again": ("x", "1", "x", Standing.SAME),
    "the same link again": (Link("x"), "1", Link("x"), Standing.SAME),
    "the same bytes in a program": ("x", "1", Program("x"), Standing.CHANGED),
    "a new edit": ("x", "1", "y", Standing.CHANGED),
    "a folder": ("x", "1", Folder(), Standing.CHANGED),
    "a pipe": ("x", "1", Pipe(), Standing.CHANGED),
    "nothing": ("x", "1", None, Standing.NOTHING),
}


@pytest.mark.parametrize("case", STANDINGS)
def test_the_list_says_what_stands_in_the_place(case: str, tmp_path: Path) -> None:
    saved, target, now, standing = STANDINGS[case]
    replaced(tmp_path, {"p/a": saved}, {"p/a": target})
    (tmp_path / "alpha" / "p" / "a").unlink()
    lay_out(tmp_path / "alpha", {} if now is None else {"p/a": now})
    assert only(tmp_path).standing is standing


def test_a_removal_that_stands_is_what_replaced_it(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"a": "x"})
    apply(tmp_path / "alpha", {"a": "1"}, {}, RescueFolder(tmp_path))
    assert only(tmp_path).standing is Standing.REPLACEMENT
    lay_out(tmp_path / "alpha", {"a": "y"})
    assert only(tmp_path).standing is Standing.CHANGED


def test_the_newest_comes_first_and_a_path_names_all_that_was_saved_from_it(tmp_path: Path) -> None:
    for minute, text in enumerate(["x", "y", "z"]):
        replaced(tmp_path, {"a": text}, {"a": "1"}, minute=minute)
    saved = list_saved(tmp_path)
    assert [edit.rescued.saved_as.read_text() for edit in saved] == ["z", "y", "x"]
    assert find(saved, "alpha/a", tmp_path) == list(saved)
    assert newest_of_each(saved) == [saved[0]]


def test_an_id_is_the_same_in_every_run_and_differs_between_edits(tmp_path: Path) -> None:
    replaced(tmp_path, {"a": "x", "b": "x"}, {"a": "1", "b": "1"})
    replaced(tmp_path, {"a": "x"}, {"a": "2"}, minute=1)
    before = {edit.rescued.saved_as: edit.id for edit in list_saved(tmp_path)}
    assert len(set(before.values())) == 3
    drop(tmp_path, [list_saved(tmp_path)[0]])
    after = {edit.rescued.saved_as: edit.id for edit in list_saved(tmp_path)}
    assert after.items() < before.items()


def test_an_edit_is_found_by_its_id_its_path_its_place_its_copy_or_a_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "synccode"
    replaced(home, {"p/a": "x"}, {"p/a": "1"})
    replaced(home, {"p/a": "x", "beef": "y"}, {"p/a": "1", "beef": "1"}, repo="beta", minute=1)
    saved = list_saved(home)
    alpha = next(edit for edit in saved if edit.rescued.repo == "alpha")
    copy = alpha.rescued.saved_as
    monkeypatch.chdir(home / "alpha" / "p")
    for name in (
        alpha.id,
        alpha.id[:4],
        "alpha/p/a",
        "alpha/p/",
        "alpha",
        "a",
        "./a",
        "..",
        str(copy),
        str(copy.parent),
    ):
        assert find(saved, name, home) == [alpha], name
    (tmp_path / "link").symlink_to(home)
    monkeypatch.chdir(tmp_path / "link" / "alpha")
    assert find(saved, "p/a", home) == [alpha]
    assert len(find(saved, alpha.rescued.folder, home)) == 1
    assert len(find(saved, "beta", home)) == 2
    with pytest.raises(NotFoundError, match=r"nothing in .* is called 'alpha/p/b'; did you mean alpha/p/a\?"):
        find(saved, "alpha/p/b", home)
    with pytest.raises(NotFoundError):
        find(saved, "alph", home)


def test_digits_that_begin_several_ids_are_answered_with_the_ids(tmp_path: Path) -> None:
    # Found by trying: the ids of these two begin alike.
    replaced(tmp_path, {"f983": "x", "f1048": "x"}, {"f983": "1", "f1048": "1"})
    saved = list_saved(tmp_path)
    one, other = saved
    digits = one.id[:5]
    assert other.id.startswith(digits)
    with pytest.raises(InvalidInputError, match=f"{digits} begins several ids: .* give more digits"):
        find(saved, digits, tmp_path)
    assert find(saved, one.id, tmp_path) == [one]


def test_texts_are_compared_by_lines(tmp_path: Path) -> None:
    replaced(tmp_path, {"m.py": "a\nmine\nc"}, {"m.py": "a\nb\nc\n"})
    found = difference(tmp_path)
    assert found.comparison is Comparison.TEXT
    assert list(found.lines) == [
        "--- here/alpha/m.py",
        "+++ saved/alpha/m.py",
        "@@ -1,3 +1,3 @@",
        " a",
        "-b",
        "-c",
        "+mine",
        "+c",
        "\\ No newline at end of file",
    ]


def test_line_ends_and_form_feeds_are_part_of_a_line(tmp_path: Path) -> None:
    replaced(tmp_path, {"m": "a\x0cb\r\n"}, {"m": "a\x0cb\n"})
    assert list(difference(tmp_path).lines[2:]) == ["@@ -1 +1 @@", "-a\x0cb", "+a\x0cb\r"]


def test_a_name_with_a_line_end_stays_in_its_line(tmp_path: Path) -> None:
    replaced(tmp_path, {"a\nb": "x\n"}, {"a\nb": "1\n"})
    assert difference(tmp_path).lines[0] == '--- here/"alpha/a\\nb"'


# What was saved, what stands there now, and how they are said to differ.
COMPARISONS: dict[str, tuple[Node, Node | None, Comparison]] = {
    "equal files": ("x", "x", Comparison.EQUAL),
    "equal links": (Link("x"), Link("x"), Comparison.EQUAL),
    "other links": (Link("x"), Link("y"), Comparison.KIND),
    "a link and its text": (Link("x"), "x", Comparison.KIND),
    "a file and nothing": ("x", None, Comparison.TEXT),
    "an empty file and nothing": ("", None, Comparison.TEXT),
    "a file and a folder": ("x", Folder(), Comparison.KIND),
    "bytes with a NUL": ("x\0", "y", Comparison.BINARY),
    "much": ("x" * (MAX_COMPARED_BYTES + 1), "y", Comparison.TOO_LARGE),
    "much and equal": ("x" * (MAX_COMPARED_BYTES + 1), "x" * (MAX_COMPARED_BYTES + 1), Comparison.EQUAL),
    "many lines": ("x\n" * 20_001, "y", Comparison.TOO_LARGE),
    "a pipe": (Pipe(), "y", Comparison.KIND),
}


@pytest.mark.parametrize("case", COMPARISONS)
def test_other_things_are_said_to_differ(case: str, tmp_path: Path) -> None:
    saved, now, comparison = COMPARISONS[case]
    replaced(tmp_path, {"a": saved}, {"a": "replacement"})
    (tmp_path / "alpha" / "a").unlink()
    lay_out(tmp_path / "alpha", {} if now is None else {"a": now})
    found = difference(tmp_path)
    assert found.comparison is comparison
    assert bool(found.lines) == (comparison is Comparison.TEXT and saved != "")


def test_bytes_that_are_no_text_are_binary(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"a": "x"})
    (tmp_path / "alpha" / "a").write_bytes(b"caf\xe9")
    apply(tmp_path / "alpha", {}, {"a": "1"}, RescueFolder(tmp_path))
    assert difference(tmp_path).comparison is Comparison.BINARY


def test_a_folder_is_listed_and_its_links_are_not_followed(tmp_path: Path) -> None:
    lay_out(tmp_path / "outside", {"secret": "s" * 1000})
    replaced(tmp_path, {"p/q/a": "x", "p/b": Program("yy"), "p/out": Link("../../outside")}, {"p": "1"})
    found = difference(tmp_path)
    assert found.comparison is Comparison.KIND
    assert [(path, content.kind, content.size_bytes) for path, content in found.inside] == [
        ("b", ContentKind.EXECUTABLE, 2),
        ("out", ContentKind.LINK, len("../../outside")),
        ("q/a", ContentKind.FILE, 1),
    ]
    assert found.edit.content.files == 3


RESTORED: dict[str, tuple[Node, Content]] = {
    "a file": ("x", "1"),
    "a program": (Program("x"), "1"),
    "a link": (Link("nowhere"), "1"),
    "a file for a link": ("x", Link("nowhere")),
    "a pipe": (Pipe(), "1"),
}


@pytest.mark.parametrize("case", RESTORED)
def test_what_is_restored_is_what_it_was_and_what_stood_there_is_saved_in_turn(case: str, tmp_path: Path) -> None:
    saved, target = RESTORED[case]
    replaced(tmp_path, {"p/a": saved, "b": "other"}, {"p/a": target})
    (restored,) = restore(tmp_path, list_saved(tmp_path), now_ns=at(1))
    assert read_back(tmp_path / "alpha") == {"p/a": saved, "b": "other"}
    assert restored.place == tmp_path / "alpha" / "p" / "a"
    now = only(tmp_path)
    assert [one.saved_as for one in restored.saved] == [now.rescued.saved_as]
    assert now.rescued.reason is Reason.REPLACED_BY_RESTORE
    assert read_back(now.rescued.saved_as.parent) == {"a": target}

    restore(tmp_path, [now], now_ns=at(2))
    assert read_back(tmp_path / "alpha") == {"p/a": target, "b": "other"}
    assert read_back(only(tmp_path).rescued.saved_as.parent) == {"a": saved}


def test_a_folder_is_restored_whole(tmp_path: Path) -> None:
    tree: dict[str, Node] = {"p/q/a": "x", "p/b": Program("y"), "p/l": Link("/etc"), "p/e": Folder()}
    replaced(tmp_path, tree, {"p": "1"})
    restore(tmp_path, list_saved(tmp_path), now_ns=at(1))
    assert read_back(tmp_path / "alpha") == tree
    assert read_back(only(tmp_path).rescued.saved_as.parent) == {"p": "1"}


def test_an_edit_whose_folder_went_gets_it_back(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"p/q/a": "x"})
    apply(tmp_path / "alpha", {"p/q/a": "1"}, {}, RescueFolder(tmp_path))
    assert not (tmp_path / "alpha" / "p").exists()
    restore(tmp_path, list_saved(tmp_path))
    assert read_back(tmp_path / "alpha") == {"p/q/a": "x"}
    assert list_saved(tmp_path) == ()


@pytest.mark.parametrize("there", ["a file", Link("../outside")], ids=["a file", "a link"])
def test_what_stands_in_the_way_of_the_folder_is_saved_and_not_followed(there: Node, tmp_path: Path) -> None:
    lay_out(tmp_path / "outside", {"a": "theirs"})
    replaced(tmp_path, {"p/a": "x"}, {"p/a": "1"})
    for name in ("p/a", "p"):
        place = tmp_path / "alpha" / name
        place.unlink() if place.is_file() else place.rmdir()
    lay_out(tmp_path / "alpha", {"p": there})
    (restored,) = restore(tmp_path, list_saved(tmp_path), now_ns=at(1))
    assert read_back(tmp_path / "alpha") == {"p/a": "x"}
    assert read_back(tmp_path / "outside") == {"a": "theirs"}
    assert [(str(one.path), one.reason) for one in restored.saved] == [("p", Reason.NOT_OURS)]
    assert read_back(restored.saved[0].saved_as.parent) == {"p": there}


def test_a_restored_source_is_newer_than_what_it_replaces_and_loses_its_compiled_forms(tmp_path: Path) -> None:
    lay_out(tmp_path / "alpha", {"m.py": "x = 1\n"})
    os.utime(tmp_path / "alpha" / "m.py", (1, 1))
    apply(tmp_path / "alpha", {}, {"m.py": "x = 2\n"}, RescueFolder(tmp_path))
    lay_out(tmp_path / "alpha", {"__pycache__/m.cpython-311.pyc": "compiled"})
    laptops = (tmp_path / "alpha" / "m.py").stat()
    restore(tmp_path, list_saved(tmp_path))
    assert int((tmp_path / "alpha" / "m.py").stat().st_mtime) > int(laptops.st_mtime)
    assert read_back(tmp_path / "alpha") == {"m.py": "x = 1\n"}


def test_nothing_is_restored_into_a_tree_that_is_gone(tmp_path: Path) -> None:
    replaced(tmp_path, {"a": "x"}, {"a": "1"})
    replaced(tmp_path, {"a": "x"}, {"a": "1"}, repo="beta", minute=1)
    (tmp_path / "beta" / "a").unlink()
    (tmp_path / "beta").rmdir()
    with pytest.raises(
        NotFoundError, match=r"beta/a cannot be put back, for there is no .*beta; nothing was changed"
    ) as caught:
        restore(tmp_path, list_saved(tmp_path))
    assert caught.value.kind is ErrorKind.NOT_SAVED
    assert read_back(tmp_path / "alpha") == {"a": "1"}
    assert not (tmp_path / "beta").exists()
    assert len(list_saved(tmp_path)) == 2


def test_what_somebody_took_out_of_the_area_cannot_be_restored_or_compared(tmp_path: Path) -> None:
    replaced(tmp_path, {"a": "x"}, {"a": "1"})
    edit = only(tmp_path)
    edit.rescued.saved_as.unlink()
    with pytest.raises(NotFoundError, match="alpha/a is no longer at"):
        restore(tmp_path, [edit])
    with pytest.raises(NotFoundError, match="alpha/a is no longer at"):
        compare(tmp_path, edit)
    assert read_back(tmp_path / "alpha") == {"a": "1"}
    drop(tmp_path, [edit])


def test_a_file_that_comes_while_something_is_restored_is_saved_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(tmp_path, {"a": "x"}, {"a": "1"})
    edit = only(tmp_path)
    real = os.link

    def link(*args: object, **kwargs: object) -> None:
        monkeypatch.setattr(os, "link", real)
        lay_out(tmp_path / "alpha", {"a": "just now"})
        real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", link)
    restore(tmp_path, [edit], now_ns=at(1))
    assert read_back(tmp_path / "alpha") == {"a": "x"}
    assert sorted(edit.rescued.saved_as.read_text() for edit in list_saved(tmp_path)) == ["1", "just now"]


def test_what_is_dropped_is_gone_and_nothing_else_is(tmp_path: Path) -> None:
    lay_out(tmp_path / "outside", {"a": "theirs"})
    replaced(tmp_path, {"p/a": "x", "p/l": Link("../../outside"), "b": "y"}, {"p": "1", "b": "2"})
    saved = {edit.name: edit for edit in list_saved(tmp_path)}
    (saved["alpha/p"].rescued.saved_as / "a").chmod(0o400)
    saved["alpha/p"].rescued.saved_as.chmod(0o500)
    drop(tmp_path, [saved["alpha/p"]])
    assert list_saved(tmp_path) == (saved["alpha/b"],)
    assert read_back(tmp_path / "outside") == {"a": "theirs"}
    assert read_back(tmp_path / "alpha") == {"p": "1", "b": "2"}
    drop(tmp_path, [saved["alpha/b"]])
    assert list((tmp_path / ".rescued").iterdir()) == []


def test_what_no_line_names_keeps_its_folder(tmp_path: Path) -> None:
    replaced(tmp_path, {"a": "x"}, {"a": "1"})
    lay_out(only(tmp_path).rescued.saved_as.parent, {"mine": "note"})
    drop(tmp_path, list_saved(tmp_path))
    assert [place.name for place in (tmp_path / ".rescued").rglob("mine")] == ["mine"]


@pytest.mark.parametrize("level", ["time", "repo", "folder"])
def test_an_area_with_a_link_in_it_is_not_followed(level: str, tmp_path: Path) -> None:
    replaced(tmp_path, {"p/a": "x"}, {"p/a": "1"})
    edit = only(tmp_path)
    folder = edit.rescued.saved_as.parents[{"time": 2, "repo": 1, "folder": 0}[level]]
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    before = read_back(tmp_path / "outside")
    assert list_saved(tmp_path) == ()
    drop(tmp_path, [edit])
    with pytest.raises(NotFoundError):
        restore(tmp_path, [edit])
    assert read_back(tmp_path / "outside") == before


def test_notes_that_name_another_place_are_left_out(tmp_path: Path) -> None:
    replaced(tmp_path, {"a": "x"}, {"a": "1"})
    edit = only(tmp_path)
    lay_out(tmp_path, {"victim/a": "theirs"})
    (notes,) = (tmp_path / ".rescued").glob("*.jsonl")
    line = notes.read_text()
    notes.write_text(line + line.replace('"alpha"', '"../../victim"') + line.replace('"alpha"', "7"))
    assert list_saved(tmp_path) == (edit,)


@pytest.mark.parametrize("act", [restore, drop])
def test_what_a_killed_download_left_is_removed_as_the_next_download_would(
    act: Callable[..., object], tmp_path: Path
) -> None:
    replaced(tmp_path, {"a": "x"}, {"a": "1"})
    unfinished = {"lock": "pid 1 since 2026-01-01T12:00:00Z\n", "staging-beta-0123abcd/a": "1", "state.0123.tmp": "{"}
    lay_out(tmp_path / ".synccode", unfinished)
    act(tmp_path, list_saved(tmp_path))
    assert read_back(tmp_path / ".synccode") == {"lock": ""}


@pytest.mark.parametrize("act", [restore, drop])
def test_a_download_at_work_is_waited_for(act: Callable[..., object], tmp_path: Path) -> None:
    replaced(tmp_path, {"a": "x"}, {"a": "1"})
    with TreeLock(MachineMemory(tmp_path).lock_path).held(0), pytest.raises(WorktreeError) as caught:
        act(tmp_path, list_saved(tmp_path), lock_wait_seconds=0)
    assert caught.value.kind is ErrorKind.LOCKED
    assert read_back(tmp_path / "alpha") == {"a": "1"}
    assert len(list_saved(tmp_path)) == 1
