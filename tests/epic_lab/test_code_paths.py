"""The folders to import from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from epic_lab.code_paths import CodePaths, code_paths, code_roots
from epic_lab.config import read_config


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with the repositories alpha and beta."""
    home = tmp_path / "synccode"
    for repo in ("beta", "alpha"):
        (home / repo / "src").mkdir(parents=True)
    return home


def relative(found: CodePaths, code: Path) -> list[str]:
    return [path.relative_to(code).as_posix() for path in found.paths]


def sub_paths(root: Path, text: str) -> Path:
    file = root / ".synccode_sub_paths"
    file.write_text(text, encoding="utf-8")
    return file


def age(file: Path, seconds: int) -> None:
    """Make *file* look older."""
    found = file.stat()
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns - seconds * 1_000_000_000))


def opened_during(action: object) -> list[str]:
    """Return the paths that Python opens while *action* runs."""
    assert callable(action)
    opened: list[str] = []
    watching = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    action()
    watching = False
    return opened


def test_each_repo_gives_its_root_in_the_order_of_names(code: Path) -> None:
    assert code_paths([code / "beta", code / "alpha"]) == CodePaths((code / "alpha", code / "beta"))


def test_a_root_that_does_not_exist_gives_nothing(code: Path) -> None:
    assert code_paths([code / "gone", code / "beta"]).paths == (code / "beta",)


def test_listed_sub_paths_stand_in_place_of_the_root_in_their_order(code: Path) -> None:
    (code / "alpha" / "lib").mkdir()
    sub_paths(code / "alpha", "\ufeff# what to import\n\nsrc/\r\n ./lib \n#lib\n")
    assert relative(code_paths([code / "alpha", code / "beta"]), code) == ["alpha/src", "alpha/lib", "beta"]


def test_a_dot_names_the_root(code: Path) -> None:
    sub_paths(code / "alpha", "src\n.\n")
    assert relative(code_paths([code / "alpha"]), code) == ["alpha/src", "alpha"]


def test_a_path_named_twice_stands_once(code: Path) -> None:
    sub_paths(code / "alpha", "src\n./src\nsrc/\n")
    assert relative(code_paths([code / "alpha"]), code) == ["alpha/src"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("/etc", "is not a relative path with forward slashes"),
        ("~/x", "is not a relative path with forward slashes"),
        ("C:/x", "is not a relative path with forward slashes"),
        ("src\\x", "is not a relative path with forward slashes"),
        ("../beta", "leaves the repository"),
        ("src/../../beta", "leaves the repository"),
        ("missing", "is no folder of this repository"),
        ("file.py", "is no folder of this repository"),
    ],
)
def test_a_sub_path_that_gives_no_folder_inside_is_left_out_and_reported(code: Path, line: str, fault: str) -> None:
    (code / "alpha" / "file.py").touch()
    file = sub_paths(code / "alpha", f"src\n{line}\n")
    found = code_paths([code / "alpha"])
    assert relative(found, code) == ["alpha/src"]
    assert found.problems == ((file, 2, f"{line!r} {fault}"),)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_may_not_lead_out_of_the_repository(code: Path) -> None:
    (code / "alpha" / "out").symlink_to(code / "beta")
    (code / "alpha" / "in").symlink_to("src")
    sub_paths(code / "alpha", "out\nin\n")
    found = code_paths([code / "alpha"])
    assert relative(found, code) == ["alpha/in"]
    assert [problem.fault for problem in found.problems] == ["'out' leaves the repository by a link"]


def test_an_unreadable_file_of_sub_paths_is_reported_and_the_root_stands_in(code: Path) -> None:
    (code / "alpha" / ".synccode_sub_paths").mkdir()
    (code / "beta" / ".synccode_sub_paths").write_bytes(b"\xff\xfe\n")
    found = code_paths([code / "alpha", code / "beta"])
    assert relative(found, code) == ["alpha", "beta"]
    assert [problem.line for problem in found.problems] == [0, 0]
    assert found.problems[1].fault == "cannot be read (it is not UTF-8 text); the root stands in"


def test_unchanged_sub_paths_are_not_opened_again(code: Path, tmp_path: Path) -> None:
    file, cache = sub_paths(code / "alpha", "src\n"), tmp_path / "cache.json"
    age(file, 10)
    first = code_paths([code / "alpha"], cache=cache)
    again: list[CodePaths] = []
    opened = opened_during(lambda: again.append(code_paths([code / "alpha"], cache=cache)))
    assert again == [first]
    assert opened == [str(cache)]


def test_changed_sub_paths_are_read_again(code: Path, tmp_path: Path) -> None:
    file, cache = sub_paths(code / "alpha", "src\n"), tmp_path / "cache.json"
    age(file, 10)
    code_paths([code / "alpha"], cache=cache)
    (code / "alpha" / "lib").mkdir()
    sub_paths(code / "alpha", "lib\n")
    age(file, 5)
    assert relative(code_paths([code / "alpha"], cache=cache), code) == ["alpha/lib"]


def test_sub_paths_as_new_as_the_cache_are_read_again(code: Path, tmp_path: Path) -> None:
    file, cache = sub_paths(code / "alpha", "src\n"), tmp_path / "cache.json"
    code_paths([code / "alpha"], cache=cache)
    opened = opened_during(lambda: code_paths([code / "alpha"], cache=cache))
    assert str(file) in opened


@pytest.mark.parametrize(
    "damage", [b"", b"null", b"{}", b'{"version":1,"repos":{"x":3}}', b'{"version":1,"repos":[]}', b"\xff"]
)
def test_a_damaged_cache_costs_nothing_but_a_read(code: Path, tmp_path: Path, damage: bytes) -> None:
    sub_paths(code / "alpha", "src\n")
    cache = tmp_path / "cache.json"
    cache.write_bytes(damage)
    assert relative(code_paths([code / "alpha"], cache=cache), code) == ["alpha/src"]


def test_a_cache_that_cannot_be_written_changes_no_answer(code: Path, tmp_path: Path) -> None:
    sub_paths(code / "alpha", "src\n")
    assert relative(code_paths([code / "alpha"], cache=tmp_path / "no" / "cache.json"), code) == ["alpha/src"]


def test_a_vm_has_what_stands_in_its_folder_but_for_hidden_names(code: Path) -> None:
    (code / ".rescued").mkdir()
    (code / "note.txt").touch()
    assert code_paths(code_roots(None, code)).paths == (code / "alpha", code / "beta")


def test_a_vm_without_the_folder_has_nothing(tmp_path: Path) -> None:
    assert code_roots(None, tmp_path / "none") == ()


def test_a_laptop_has_the_repos_of_its_configuration(code: Path, tmp_path: Path) -> None:
    file = tmp_path / "lab"
    file.write_text(f"SYNCCODE_LOCAL_CODE_BASE={code}\nSYNCCODE_REPOS=beta,alpha\n", encoding="utf-8")
    config = read_config(file, home=tmp_path)
    assert code_roots(config, tmp_path / "elsewhere") == (code / "beta", code / "alpha")
