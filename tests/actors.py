"""The actors of the end-to-end tests: a laptop, a store, a machine, and the installed commands between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synccore.testing.gcs_server import GcsServer

_KEPT = ("PATH", "SYSTEMROOT", "LANG", "TMPDIR")


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict), self
        return found


@dataclass
class Actor:
    """Somebody at a machine: a home of its own, and the installed command."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        git = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **{
                f"GIT_{who}_{what}": f"ann{at}"
                for who in ("AUTHOR", "COMMITTER")
                for what, at in (("NAME", ""), ("EMAIL", "@lab"))
            },
        }
        return {**kept, **git, "HOME": str(self.home), "USERPROFILE": str(self.home), **self.variables}

    @property
    def program(self) -> Path:
        return Path(sys.executable).with_name("epic-synccode")

    def run(self, *words: str) -> Said:
        """Run ``epic-synccode`` as it is installed."""
        ran = subprocess.run(
            [str(self.program), *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in ran.stderr + ran.stdout, ran.stderr
        return Said(ran.returncode, ran.stdout, ran.stderr)

    def report(self, *words: str) -> dict[str, Any]:
        """Run it, expect success, and return its report."""
        said = self.run(*words, "--json")
        assert said.code == 0, said
        return said.document

    def git(self, *words: str, at: Path) -> str:
        ran = subprocess.run(["git", *words], env=self.environment, cwd=at, capture_output=True, text=True, check=True)
        return ran.stdout


@dataclass
class Store:
    """Where the code is kept, with a way to look at it and to damage it that does not go through the product."""

    url: str
    variables: dict[str, str]
    folder: Path | None = None
    server: GcsServer | None = None

    def names(self) -> list[str]:
        """Every object's name, without the store's prefix."""
        if self.server is not None:
            stored = self.server.service.buckets["lab"]
            return sorted(name.removeprefix("code/") for name in stored)
        assert self.folder is not None
        files = (path for path in self.folder.rglob("*") if path.is_file() and path.name != ".lock")
        return sorted(path.relative_to(self.folder).as_posix() for path in files)

    def read(self, name: str) -> bytes:
        if self.server is not None:
            data = self.server.data("lab", f"code/{name}")
            assert data is not None, name
            return data
        assert self.folder is not None
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        if self.server is not None:
            self.server.service.insert("lab", f"code/{name}", data, {}, {})
            return
        assert self.folder is not None
        (self.folder / name).write_bytes(data)


@contextmanager
def file_store(folder: Path) -> Iterator[Store]:
    yield Store(url=folder.as_uri(), variables={}, folder=folder)


@contextmanager
def bucket_store() -> Iterator[Store]:
    with GcsServer("lab") as server:
        yield Store(url="gs://lab/code", variables={"STORAGE_EMULATOR_HOST": server.url}, server=server)


class Lab:
    """Ann's laptop and her machine on one store."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.laptop = self.new_laptop("laptop")
        self.machine = self.new_machine("machine")

    def new_laptop(self, name: str, repos: str = "alpha") -> Actor:
        laptop = Actor(self.folder / name, dict(self.store.variables))
        self.configure(laptop, repos)
        for repo in repos.split(","):
            self.code(laptop, repo).mkdir(parents=True)
        return laptop

    def configure(self, laptop: Actor, repos: str, **changes: str) -> None:
        values = {
            "SYNCCODE_GCS_BASE_URL": self.store.url,
            "SYNCCODE_USERNAME": "ann",
            "SYNCCODE_LOCAL_CODE_BASE": "~/code",
            "SYNCCODE_REPOS": repos,
            **changes,
        }
        path = laptop.home / ".epic" / "lab"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{key}={value}\n" for key, value in values.items()), encoding="utf-8")

    def new_machine(self, name: str) -> Actor:
        machine = Actor(self.folder / name, dict(self.store.variables))
        said = machine.run("configure-vm", "--base-url", self.store.url, "--username", "ann")
        assert said.code == 0, said
        return machine

    @staticmethod
    def code(laptop: Actor, repo: str = "alpha") -> Path:
        return laptop.home / "code" / repo

    @staticmethod
    def tree(machine: Actor, repo: str = "alpha") -> Path:
        return machine.home / "synccode" / repo


def files_below(root: Path) -> dict[str, bytes | str]:
    """Every file and link below *root*, but for git's own and compiled modules: bytes, or a link's text."""
    found: dict[str, bytes | str] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in {".git", "__pycache__"}]
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in [*names, *links]:
            path = Path(folder) / name
            key = path.relative_to(root).as_posix()
            if path.is_symlink():
                found[key] = str(path.readlink())
            elif path.is_file():
                mode = "x" if os.access(path, os.X_OK) and path.stat().st_mode & 0o100 else ""
                found[key] = mode.encode() + path.read_bytes()
    return found
