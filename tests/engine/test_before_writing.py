"""A pull asks before it touches a tree, and what is answered with an exception leaves all as it was."""

from pathlib import Path

import pytest

from synccore.backends.memory import MemoryBackend
from synccore.look import Source
from synccore.provenance import Author
from synccore.pull import pull
from synccore.push import push
from synccore.store import Store
from synccore.worktree.laptop import LaptopState


class NotNowError(Exception):
    pass


def refuse() -> None:
    raise NotNowError


class Lab:
    def __init__(self, folder: Path) -> None:
        self.code, self.home = folder / "code", folder / "home"
        self.code.mkdir()
        self.home.mkdir()
        self.backend = MemoryBackend()
        self.store = Store(
            backend=self.backend,
            user="ada",
            state=LaptopState(folder / "state"),
            author=Author(user="ada", host="laptop"),
            now_ns=lambda: 10**18,
        )

    def upload(self, text: str) -> None:
        (self.code / "core.py").write_text(text)
        push([Source(repo="alpha", root=self.code)], store=self.store)

    def pull(self, **options: object) -> None:
        pull(
            self.home,
            user="ada",
            backend=self.backend,
            store="memory://",
            now_ns=lambda: 10**18,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_first_download_that_is_called_off_leaves_no_tree(lab: Lab) -> None:
    lab.upload("one")
    with pytest.raises(NotNowError):
        lab.pull(before_writing=refuse)
    assert not (lab.home / "alpha").exists()
    lab.pull()
    assert (lab.home / "alpha" / "core.py").read_text() == "one"


def test_an_update_that_is_called_off_leaves_the_tree_and_comes_with_the_next_pull(lab: Lab) -> None:
    lab.upload("one")
    lab.pull()
    lab.upload("two")
    with pytest.raises(NotNowError):
        lab.pull(before_writing=refuse)
    assert (lab.home / "alpha" / "core.py").read_text() == "one"
    lab.pull()
    assert (lab.home / "alpha" / "core.py").read_text() == "two"


def test_a_pull_that_finds_nothing_new_does_not_ask(lab: Lab) -> None:
    lab.upload("one")
    lab.pull()
    lab.pull(before_writing=refuse)
