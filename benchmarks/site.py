"""One tool's two computers: the laptop with the tree that is edited, and the machine on which it shall arrive.

Invariant: everything that a tool keeps stands below the site's folder, and a process there gets no variable but those named here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.network import Network
from benchmarks.trees import Tree, files_of, git


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run, as a fresh process.

    Attributes:
        words: program and arguments.
        variables: of its environment, beside the least.
        cwd: where it runs.
    """

    words: tuple[str, ...]
    cwd: Path
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a tool works.

    Attributes:
        folder: of all of it; its name is that of the tool.
        network: to the bucket.
        tree: what is synchronised, as it is in the cache.
        cache: where fetched programs are.
    """

    folder: Path
    network: Network
    tree: Tree
    cache: Path

    @property
    def laptop(self) -> Path:
        """The laptop's home directory."""
        return self.folder / "laptop"

    @property
    def machine(self) -> Path:
        """The machine's home directory."""
        return self.folder / "machine"

    @property
    def source(self) -> Path:
        """The working tree on the laptop, a git repository."""
        return self.laptop / "code" / "repo"

    @property
    def target(self) -> Path:
        """Where the tree arrives."""
        return self.machine / "synccode" / "repo"

    def clear(self) -> None:
        """Begin anew: a laptop with the tree as published, a machine with nothing."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.source.parent.mkdir(parents=True)
        self.target.parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", str(self.tree.path), str(self.source)], check=True)
        git(self.source, "update-index", "-q", "--refresh")

    def variables(self, home: Path) -> dict[str, str]:
        """Return the environment of a process in *home*, before what a tool adds."""
        trusted = str(self.network.certificates.trusted)
        return {
            "HOME": str(home),
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "SSL_CERT_FILE": trusted,
            "REQUESTS_CA_BUNDLE": trusted,
        }

    def differences(self, *, ignoring_extra: bool = False) -> list[str]:
        """Return the paths that are not byte for byte on the machine what they are on the laptop."""
        theirs = {it.relative_to(self.target).as_posix(): it for it in files_of(self.target)}
        different = []
        for file in files_of(self.source):
            path = file.relative_to(self.source).as_posix()
            there = theirs.pop(path, None)
            if there is None or there.read_bytes() != file.read_bytes():
                different.append(path)
        return different + ([] if ignoring_extra else sorted(theirs))
