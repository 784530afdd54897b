"""Real git repositories in a clean environment, built from dict literals."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from synccore.worktree.selection import Lister


class Tree:
    """A folder of a test's own, perhaps a git work tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def write(self, files: Mapping[str, str]) -> Tree:
        for name, text in files.items():
            path = self.root / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
        return self

    def init(self) -> Tree:
        self.git("init", "-q", "-b", "main")
        return self

    def add(self, *paths: str) -> Tree:
        self.git("add", "-f", "--", *(paths or (".",)))
        return self

    def commit(self, message: str = "m") -> Tree:
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, check=True, capture_output=True)
        return done.stdout.decode().strip()


@pytest.fixture(scope="module", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the machine's own git configuration out; return the home that is in its place."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            patch.delenv(name)
        settings = {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ann",
            "GIT_AUTHOR_EMAIL": "ann@example.org",
            "GIT_COMMITTER_NAME": "Ann",
            "GIT_COMMITTER_EMAIL": "ann@example.org",
        }
        for name, value in settings.items():
            patch.setenv(name, value)
        (home / ".gitconfig").write_text('[protocol "file"]\n\tallow = always\n')
        yield home


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


@pytest.fixture
def another(tmp_path: Path) -> Callable[[str], Tree]:
    return lambda name: Tree(tmp_path / name)


@pytest.fixture(params=[Lister.GIT, Lister.DULWICH], ids=lambda lister: lister.value)
def lister(request: pytest.FixtureRequest) -> Lister:
    found: Lister = request.param
    return found
