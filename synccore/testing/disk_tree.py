"""Tiny named trees on a disk, as dict literals.

    {"a.py": "text", "run": Program("text"), "data": Link("/mnt/data"), "empty": Folder()}

Directories above a path are implied; only an empty one is written down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synccore.digest import digest_of
from synccore.journal import Known
from synccore.manifest import FileKind
from synccore.treepath import TreePath
from synccore.worktree.fresh_tree import FreshTree
from synccore.worktree.outcome import Outcome
from synccore.worktree.rescue import RescueFolder
from synccore.worktree.tree_writer import TreeWriter


@dataclass(frozen=True, slots=True)
class Program:
    """An executable file."""

    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """An empty directory."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """A named pipe."""


Content = str | Program | Link
Node = Content | Folder | Pipe


def lay_out(root: Path, tree: Mapping[str, Node]) -> None:
    """Make *tree* on the disk below *root*, which is made if need be."""
    root.mkdir(parents=True, exist_ok=True)
    for path, node in tree.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        make_node(place, node)


def make_node(place: Path, node: Node) -> None:
    """Make one *node* at *place*."""
    if isinstance(node, str):
        place.write_text(node, encoding="utf-8")
        place.chmod(0o644)
    elif isinstance(node, Program):
        place.write_text(node.text, encoding="utf-8")
        place.chmod(0o755)
    elif isinstance(node, Link):
        place.symlink_to(node.target)
    elif isinstance(node, Folder):
        place.mkdir()
    else:
        os.mkfifo(place)


def read_back(root: Path) -> dict[str, Node]:
    """Return what is on the disk below *root*; links are not followed."""
    found: dict[str, Node] = {}
    for directory, directories, files in os.walk(root):
        here = Path(directory)
        links = [name for name in directories if (here / name).is_symlink()]
        for name in files + links:
            found[str((here / name).relative_to(root))] = _node_at(here / name)
        if not directories and not files and here != root:
            found[str(here.relative_to(root))] = Folder()
    return found


def marks(root: Path) -> dict[str, tuple[int, ...]]:
    """Return by which one sees that something below *root* was touched; to be read is not to be touched."""
    found: dict[str, tuple[int, ...]] = {}
    for place in root.rglob("*"):
        status = place.lstat()
        mark = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        found[str(place.relative_to(root))] = mark
    return found


def _node_at(place: Path) -> Node:
    if place.is_symlink():
        return Link(str(place.readlink()))
    if place.is_fifo():
        return Pipe()
    text = place.read_text(encoding="utf-8")
    return Program(text) if place.stat().st_mode & 0o100 else text


def kind_and_data(content: Content) -> tuple[FileKind, bytes]:
    """Return what a manifest and a store say of *content*."""
    if isinstance(content, Program):
        return FileKind.EXECUTABLE, content.text.encode()
    if isinstance(content, Link):
        return FileKind.SYMLINK, content.target.encode()
    return FileKind.FILE, content.encode()


def known(content: Content) -> Known:
    """Return by what a writer recognises *content*."""
    kind, data = kind_and_data(content)
    return Known(kind, digest_of(data))


def ours_in(base: Mapping[str, Content]) -> dict[TreePath, tuple[Known, ...]]:
    """Return what a writer wrote that wrote *base*."""
    return {TreePath(path): (known(content),) for path, content in base.items()}


def write(writer: TreeWriter, path: str, content: Content) -> Outcome:
    """Have *writer* write *content* at *path*."""
    kind, data = kind_and_data(content)
    return writer.write(TreePath(path), kind, data, digest_of(data))


def build(root: Path, target: Mapping[str, Content]) -> None:
    """Build the tree *target* at *root*, where there is nothing, as a first pull does."""
    with FreshTree(root) as tree:
        for path in sorted(target):
            tree.write(TreePath(path), *kind_and_data(target[path]))


def apply(
    root: Path,
    base: Mapping[str, Content],
    target: Mapping[str, Content],
    rescue: RescueFolder,
) -> list[Outcome]:
    """Turn the working tree *root*, where *base* was written, into *target*, as a pull does."""
    ours = ours_in(base)
    with TreeWriter(root, ours=lambda path: ours.get(path, ()), rescue=rescue) as writer:
        outcomes = [writer.remove(TreePath(path)) for path in sorted(base) if path not in target]
        outcomes += [write(writer, path, target[path]) for path in sorted(target)]
    return outcomes
