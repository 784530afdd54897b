"""Hypothesis strategies for trees and their histories.

Invariant: the alphabet of paths is tiny, so that paths collide: what is a file in one tree is a directory, a link or an
executable in the next.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from synccore.manifest import MAX_WHOLE_CHUNK_BYTES
from synccore.testing.trees import Executable, Link, Node, NodeTree, noise

_NAMES = ("a", "b", "c.py", "é")

SIZES_AT_THE_BOUNDARY = (MAX_WHOLE_CHUNK_BYTES - 1, MAX_WHOLE_CHUNK_BYTES, MAX_WHOLE_CHUNK_BYTES + 1)


def paths() -> st.SearchStrategy[str]:
    """Paths of one to three components of a tiny alphabet."""
    return st.lists(st.sampled_from(_NAMES), min_size=1, max_size=3).map("/".join)


def small_contents() -> st.SearchStrategy[bytes]:
    """Contents of a few bytes, the empty one among them; few enough for the same content to stand at several paths."""
    return st.sampled_from((b"", b"x", b"y", b"text\n", b"x = 1\n", b"x = 2\n", b"z" * 3000)) | st.binary(max_size=8)


def contents_around_the_boundary() -> st.SearchStrategy[bytes]:
    """Contents of one byte less, exactly, and one byte more than what is stored as one chunk."""
    return st.builds(noise, st.sampled_from(SIZES_AT_THE_BOUNDARY), st.integers(0, 1))


def file_nodes(contents: st.SearchStrategy[bytes] | None = None) -> st.SearchStrategy[Node]:
    """Files, executables and links."""
    data = small_contents() if contents is None else contents
    links = st.sampled_from(("a", "../b", "/nowhere", "é")).map(Link)
    return data | data | data.map(Executable) | links


def trees(contents: st.SearchStrategy[bytes] | None = None, *, max_files: int = 6) -> st.SearchStrategy[NodeTree]:
    """Trees in which no file is a directory of another."""
    pairs = st.tuples(paths(), file_nodes(contents))
    return st.lists(pairs, max_size=max_files).map(without_clashes)


def histories(
    contents: st.SearchStrategy[bytes] | None = None, *, min_size: int = 1, max_size: int = 5, max_files: int = 6
) -> st.SearchStrategy[list[NodeTree]]:
    """Trees one after the other; some follow from the last by a few edits, others have little to do with it."""
    first = trees(contents, max_files=max_files)
    edits = st.lists(st.tuples(paths(), st.none() | file_nodes(contents)), max_size=3)
    steps = st.lists(edits | trees(contents, max_files=max_files), min_size=min_size - 1, max_size=max_size - 1)
    return st.tuples(first, steps).map(lambda drawn: _unfolded(*drawn))


def without_clashes(pairs: Iterable[tuple[str, Node]]) -> NodeTree:
    """Make a tree of *pairs*: the later of two that cannot stand together wins."""
    made: NodeTree = {}
    for path, node in pairs:
        for other in [it for it in made if it.startswith(f"{path}/") or path.startswith(f"{it}/")]:
            del made[other]
        made[path] = node
    return dict(sorted(made.items()))


def _unfolded(first: NodeTree, steps: list[list[tuple[str, Node | None]] | NodeTree]) -> list[NodeTree]:
    history = [first]
    for step in steps:
        if isinstance(step, dict):
            history.append(step)
            continue
        gone = {path for path, node in step if node is None}
        kept = [(path, node) for path, node in history[-1].items() if path not in gone]
        history.append(without_clashes([*kept, *[(path, node) for path, node in step if node is not None]]))
    return history
