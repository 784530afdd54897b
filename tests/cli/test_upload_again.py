"""An upload after something has read the trees without storing them: what was seen is not what was stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

Machine = Any

LONG_AGO_NS = 1_700_000_000_123_456_789


@pytest.fixture
def laptop_with_files(laptop: Machine) -> Machine:
    """Return a laptop whose files are old, so that a look at them is remembered."""
    for repo in ("alpha", "beta"):
        file = laptop.home / "code" / repo / "a.py"
        file.write_text(f"{repo} = 1\n")
        os.utime(file, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return laptop


def arrived(laptop: Machine, tmp_path: Path) -> list[str]:
    """Download on a new VM and return what the files say."""
    vm = type(laptop)(tmp_path / "vm")
    vm.home.mkdir()
    vm.configure(*laptop.config_path.read_text().splitlines()[:2])
    assert vm.run("download").code == 0
    return [(vm.home / "synccode" / repo / "a.py").read_text() for repo in ("alpha", "beta")]


def test_an_upload_after_a_status_stores_what_the_status_read(laptop_with_files: Machine, tmp_path: Path) -> None:
    laptop_with_files.run("status")
    up = laptop_with_files.run("upload")
    assert (up.code, up.err) == (0, "")
    assert arrived(laptop_with_files, tmp_path) == ["alpha = 1\n", "beta = 1\n"]


def test_an_upload_after_a_failed_one_stores_what_that_read(laptop_with_files: Machine, tmp_path: Path) -> None:
    store = laptop_with_files.home.parent / "store"
    store.touch()  # a file where the store's folder should be
    assert laptop_with_files.run("upload").code != 0
    store.unlink()
    up = laptop_with_files.run("upload")
    assert (up.code, up.err) == (0, "")
    assert arrived(laptop_with_files, tmp_path) == ["alpha = 1\n", "beta = 1\n"]


def test_a_deleted_repo_comes_back_with_the_next_upload(laptop_with_files: Machine, tmp_path: Path) -> None:
    assert laptop_with_files.run("upload").code == 0
    assert laptop_with_files.run("delete", "beta", "--yes").code == 0
    up = laptop_with_files.run("upload")
    assert (up.code, up.err) == (0, "")
    assert arrived(laptop_with_files, tmp_path) == ["alpha = 1\n", "beta = 1\n"]
