"""The trees that are synchronised: git repositories of about 300, 3,000 and 30,000 files of packages, and one large notebook.

The packages are pinned wheels from PyPI, fetched once into the cache; where they cannot be had, what is installed stands in
for them, replicated, and the results say so. Compiled libraries are left out: they are no code that somebody edits.

Invariant: equal sources give equal trees, byte for byte, and each is a git repository with one commit on ``main`` and one more
on the branch `OTHER_BRANCH`, which differs in a tenth of the files.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

OTHER_BRANCH = "other"
NOTEBOOK = "notebook"
NOTEBOOK_FILE = "analysis/results.ipynb"
_NOTEBOOK_BYTES = 100_000_000

# In this order, until a tree has the files that it wants: small pure packages, then scientific ones, then bulk.
_PINNED = (
    "click==8.1.7",
    "flask==3.1.0",
    "jinja2==3.1.4",
    "requests==2.32.3",
    "rich==13.9.4",
    "networkx==3.4.2",
    "sympy==1.13.3",
    "django==5.1.4",
    "nltk==3.9.1",
    "kubernetes==31.0.0",
    "pandas==2.2.3",
    "statsmodels==0.14.4",
    "scikit-learn==1.6.0",
    "matplotlib==3.10.0",
    "numpy==2.1.3",
    "transformers==4.47.1",
    "scipy==1.14.1",
    "babel==2.16.0",
    "plotly==5.24.1",
)
_PLATFORM = ("--python-version", "3.11", "--platform", "manylinux2014_x86_64", "--platform", "any")
_LEFT_OUT = {".so", ".pyd", ".dylib", ".dll", ".pyc"}

_GIT = (
    *("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "init.defaultBranch=main"),
    *("-c", "core.autocrlf=false", "-c", "gc.auto=0", "-c", "commit.gpgsign=false"),
)
_DATE = "2024-01-01T00:00:00+0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A tree as it is kept in the cache, never changed there.

    Attributes:
        name: such as ``3000``, or `NOTEBOOK`.
        path: of the repository.
        files: how many it has.
        size_bytes: of all of them.
        source: what they are made of.
    """

    name: str
    path: Path
    files: int
    size_bytes: int
    source: str


def make_tree(name: str, cache: Path) -> Tree:
    """Return the tree that is called *name*, a number of files or `NOTEBOOK`, made where *cache* does not have it yet."""
    home = cache / "trees" / name
    facts = home / "facts.json"
    if not facts.exists():
        shutil.rmtree(home, ignore_errors=True)
        tree = home / "tree"
        tree.mkdir(parents=True)
        source = _write_notebook(tree) if name == NOTEBOOK else _write_packages(tree, int(name), cache)
        _commit(tree)
        sizes = [it.stat().st_size for it in files_of(tree)]
        facts.write_text(json.dumps({"files": len(sizes), "size_bytes": sum(sizes), "source": source}))
    return Tree(name=name, path=home / "tree", **json.loads(facts.read_text()))


def files_of(tree: Path) -> list[Path]:
    """Return the files of a working tree without what belongs to git, in order."""
    found = []
    for folder, folders, names in os.walk(tree):
        folders[:] = sorted(it for it in folders if it != ".git")
        found += [Path(folder, name) for name in names]
    return sorted(found)


def git(tree: Path, *words: str) -> None:
    """Run git in *tree* as somebody whose configuration and clock are always the same."""
    variables = {"GIT_AUTHOR_DATE": _DATE, "GIT_COMMITTER_DATE": _DATE, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run([*_GIT, *words], cwd=tree, check=True, capture_output=True, env={**os.environ, **variables})


def _commit(tree: Path) -> None:
    git(tree, "init", "-q")
    git(tree, "add", "-A", "-f")
    git(tree, "commit", "-q", "-m", "as published")
    git(tree, "checkout", "-q", "-b", OTHER_BRANCH)
    chosen = random.Random(0)
    for place, file in enumerate(chosen.sample(files := files_of(tree), max(1, len(files) // 10))):
        if place % 10 == 0 and len(files) > 10:
            file.unlink()
        elif place % 10 == 1 and len(files) > 10:
            file.with_name("new_" + file.name).write_bytes(file.read_bytes()[::-1])
        else:
            with file.open("ab") as stream:
                stream.write(b"\n# of the other branch\n")
    git(tree, "add", "-A", "-f")
    git(tree, "commit", "-q", "-m", "another branch")
    git(tree, "checkout", "-q", "main")
    git(tree, "gc", "-q")


def _write_packages(tree: Path, wanted: int, cache: Path) -> str:
    try:
        _write_files(tree, wanted, _pinned_members(cache))
    except _UnavailableError:
        shutil.rmtree(tree)
        _write_files(tree, wanted, _installed_members())
        return "the packages installed here, replicated"
    return "pinned packages"


def _write_files(tree: Path, wanted: int, members: Iterable[tuple[str, bytes]]) -> None:
    left = wanted
    for path, content in members:
        file = tree / path
        if file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        left -= 1
        if left == 0:
            return
    raise SystemExit(f"the packages have {wanted - left} files, fewer than {wanted}")


class _UnavailableError(Exception):
    """A package cannot be had."""


def _pinned_members(cache: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each file of the pinned packages, which are fetched as far as they are needed.

    Raises:
        _UnavailableError: one of them cannot be.
    """
    wheels = cache / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for requirement in _PINNED:
        wheel = _fetched(requirement, wheels)
        if wheel is None:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            words = [*pip, "--only-binary", ":all:", *_PLATFORM, "--dest", str(wheels), requirement]
            subprocess.run(words, check=False, capture_output=True)
            wheel = _fetched(requirement, wheels)
        if wheel is None:
            raise _UnavailableError
        yield from _in_wheel(wheel)


def _fetched(requirement: str, wheels: Path) -> Path | None:
    return next((it for it in wheels.glob("*.whl") if _canonical(it.name) == _canonical(requirement)), None)


def _canonical(text: str) -> str:
    """Return name and version of a requirement or a wheel, in one spelling."""
    name, version = text.split("==") if "==" in text else text.split("-")[:2]
    return f"{name.replace('_', '-').lower()}=={version}"


def _in_wheel(wheel: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(archive.namelist()):
            if not member.endswith("/") and _is_wanted(PurePosixPath(member)):
                yield member, archive.read(member)


def _installed_members() -> Iterator[tuple[str, bytes]]:
    root = Path(sysconfig.get_path("purelib"))
    files = [it for it in files_of(root) if _is_wanted(PurePosixPath(it.relative_to(root).as_posix()))]
    for copy in range(1000):
        for file in files:
            # Each copy differs, or those who store content once would have nothing to do.
            yield (
                f"copy_{copy}/{file.relative_to(root).as_posix()}",
                file.read_bytes() + f"# {copy}\n".encode() * bool(copy),
            )


def _is_wanted(path: PurePosixPath) -> bool:
    return not _LEFT_OUT.intersection(path.suffixes) and "__pycache__" not in path.parts


def _write_notebook(tree: Path) -> str:
    """Write a notebook whose outputs are images, as base64, which do not compress beyond that."""
    pictures = random.Random(1)
    cells: list[object] = []
    left = _NOTEBOOK_BYTES
    while left > 0:
        picture = base64.b64encode(pictures.randbytes(min(left, 2_000_000) * 3 // 4)).decode()
        source = ["import matplotlib.pyplot as plt\n", f"plt.plot(results[{len(cells)}])\n"]
        output = {"output_type": "display_data", "metadata": {}, "data": {"image/png": picture}}
        cells.append(
            {"cell_type": "code", "execution_count": len(cells), "metadata": {}, "source": source, "outputs": [output]}
        )
        left -= len(picture) + 200
    file = tree / NOTEBOOK_FILE
    file.parent.mkdir()
    content = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    file.write_text(json.dumps(content, indent=1))
    (tree / "analysis" / "plots.py").write_text('"""What the notebook draws with."""\n\nLINES = 3\n')
    return "random images"
