"""Directories that have another name: how a delta says it, and what it makes of a tree (docs/format.md, section 6).

Invariant: a tree, with what `listing` says of the way to another laid over it by `advance`, is that other, whatever the two are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, cast

from synccore import wire
from synccore.diff import Difference
from synccore.digest import Digest
from synccore.errors import InvalidInputError
from synccore.journal import Delta, Known, Move, known_of
from synccore.manifest import Entry, Tree
from synccore.treepath import TreePath, directories_above

# All paths that moves make have to fit into the listing that the next fold makes of them.
MAX_MOVED_BYTES = 128 * 2**20

# What a file takes in a delta, 34 bytes and its path where it was and where it is, is little beside what a move costs each reader:
# it has to look at the whole tree, 3 µs a file of it, where it else looks at what is listed.
_FEWEST = 8
_SMALLEST_SHARE = 0.01
_MANY = 512

# A content that stands in more places than these under the same name tells nothing of which of them moved where.
_MOST_HOMES = 4


class Listing(NamedTuple):
    """How a delta says what differs; the fields are the delta's."""

    removed: dict[TreePath, Known]
    changed: dict[TreePath, Entry]
    was: dict[TreePath, Known]
    moves: tuple[Move, ...] = ()

    @property
    def size(self) -> int:
        """How many paths are listed."""
        return len(self.removed) + len(self.changed)


def advance(tree: dict[TreePath, Entry], delta: Delta, what: str) -> None:
    """Make *tree*, in place, what *delta* makes of it; *what* names the delta in messages.

    Raises:
        IntegrityError: the moves are none of this tree; it is not to be used any more.
    """
    for path in delta.removed:
        tree.pop(path, None)
    if delta.moves:
        _move(tree, delta.moves, what)
    tree.update(delta.changed)


def _move(tree: dict[TreePath, Entry], moves: Iterable[Move], what: str) -> None:
    paths = sorted(tree)
    olds: list[TreePath] = []
    news: list[str] = []
    size_bytes = 0
    for old, new in moves:
        part = _below(paths, old)
        if not part:
            wire.damaged(what, f"moves {old[:200]!r}, where nothing is")
        # Before they are made: a few bytes here are that many for each entry.
        longer = len(new.encode()) - len(old.encode())
        size_bytes += len("".join(part).encode()) + longer * len(part)
        if size_bytes > MAX_MOVED_BYTES:
            wire.damaged(what, f"moves so much that the paths alone have more than {MAX_MOVED_BYTES} bytes")
        olds += part
        start = len(old)
        news += [new + path[start:] for path in part]
    entries = [tree.pop(path) for path in olds]
    staying = len(tree)
    try:
        tree.update(zip(TreePath.many(news), entries, strict=True))
    except InvalidInputError as error:
        wire.damaged(what, f"moves something to a path that cannot be: {error.message}")
    if len(tree) != staying + len(news):
        wire.damaged(what, "moves something to a path that is taken")


def _below(paths: Sequence[TreePath], directory: str) -> Sequence[TreePath]:
    """Return those of *paths*, which are in order, that lie below *directory*."""
    # "0" comes just after "/".
    return paths[bisect_left(paths, f"{directory}/") : bisect_left(paths, f"{directory}0")]


def listing(difference: Difference, trees: Callable[[], tuple[Tree, Tree]]) -> Listing:
    """Say a difference in as few words as pays: by directories that have moved, where such are found.

    12,000 moved files take 30 ms; where nothing can have moved the trees are not asked for.

    Args:
        difference: what differs.
        trees: returns the tree before and the tree after.
    """
    plain = Listing(*difference)
    likely = _likely(difference)
    if not likely:
        return plain
    before, after = trees()
    paths = sorted(before)
    moves = _chosen(likely, before, after, paths)
    worded = listing_by(moves, difference, before, after, paths=paths)
    saved = plain.size - worded.size
    pays = saved >= 2 * _FEWEST and (saved >= 2 * _MANY or saved >= 2 * _SMALLEST_SHARE * len(paths))
    return worded if pays else plain


def listing_by(
    moves: Iterable[Move], difference: Difference, before: Tree, after: Tree, *, paths: Sequence[TreePath] | None = None
) -> Listing:
    """Say the *difference* between two trees by *moves*, none of which is below another; such as move nothing are left out.

    Args:
        moves: what is said to have moved.
        difference: what differs.
        before: the first tree.
        after: the second tree.
        paths: those of the first tree in order, if they are at hand.
    """
    ordered, in_order = sorted(moves), sorted(before) if paths is None else paths
    parts = [(move, _below(in_order, move.old)) for move in ordered]
    leaving = {path for _, part in parts for path in part}
    there, landed, moved = _by_text(after), set[str](), set[TreePath]()
    left: list[TreePath] = []
    edited: list[str] = []
    moving: list[Move] = []
    for move, part in parts:
        start, count = len(move.old), len(moved)
        for path in part:
            place = move.new + path[start:]
            wanted = there.get(place)
            if wanted is None or place in landed or (place in before and place not in leaving):
                left.append(path)
                continue
            landed.add(place)
            moved.add(path)
            if not _is_same(before[path], wanted):
                edited.append(place)
        if len(moved) > count:
            moving.append(move)
    if len(moving) < len(ordered):
        return listing_by(moving, difference, before, after, paths=in_order)
    removed = {path: known for path, known in difference.removed.items() if path not in moved}
    removed.update((path, known_of(before[path])) for path in left)
    changed = {path: entry for path, entry in difference.changed.items() if path not in landed}
    changed.update((TreePath(place), there[place]) for place in edited)
    changed.update((path, after[path]) for path in leaving if path in after and path not in landed)
    was = {path: known for path, known in difference.was.items() if path in changed}
    was.update((path, known_of(before[path])) for path in changed if path in leaving)
    return Listing(removed, changed, was, tuple(ordered))


def _by_text(tree: Tree) -> Mapping[str, Entry]:
    """Return *tree* as what may be asked about a text that is perhaps no path: it is equal to none then."""
    return cast("Mapping[str, Entry]", tree)


def _is_same(one: Entry, other: Entry) -> bool:
    return one is other or (one.digest == other.digest and one.kind == other.kind)


# Which directories may have moved

_Homes = dict[tuple[str, str], int]
"""Directories from which and to which files may have moved, and how many."""


def _likely(difference: Difference) -> _Homes:
    """Return between which directories files may have moved under their names, if there are enough to speak of."""
    removed, changed, was = difference
    if min(len(removed) + len(was), len(changed)) < _FEWEST:
        return {}
    homes: dict[Digest, str] = {}
    more: dict[Digest, list[str]] = {}
    for path, (_, digest) in chain(removed.items(), was.items()):
        first = homes.setdefault(digest, path)
        if first is not path:
            more.setdefault(digest, [first]).append(path)
    pairs: list[tuple[str, str]] = [
        (homes[digest], path) for path, (_, _, digest, _) in changed.items() if digest in homes and digest not in more
    ]
    pairs += _pairs_of_many(more, changed) if more else []
    parts = [(old.rpartition("/"), new.rpartition("/")) for old, new in pairs]
    found = Counter([(old, new) for (old, _, name), (new, _, same) in parts if name == same and old and new])
    return found if found.total() >= _FEWEST else {}


def _pairs_of_many(homes: Mapping[Digest, list[str]], changed: Tree) -> list[tuple[str, str]]:
    """Return, for what has come of contents that stood in several places, those of them that had the same name, if they are few."""
    named: dict[tuple[Digest, str], list[str]] = {}
    for digest, paths in homes.items():
        for path in paths:
            named.setdefault((digest, path.rpartition("/")[2]), []).append(path)
    pairs: list[tuple[str, str]] = []
    for path, entry in changed.items():
        if entry.digest in homes:
            olds = named.get((entry.digest, path.name), ())
            pairs += [(old, path) for old in olds] if len(olds) <= _MOST_HOMES else []
    return pairs


def _chosen(likely: _Homes, before: Tree, after: Tree, paths: Sequence[TreePath]) -> list[Move]:
    """Return the topmost directories whose moves say most of what is *likely*, none below another."""
    chosen: dict[str, Move] = {}
    groups: dict[tuple[str, str], _Homes] = {}
    for homes, count in likely.items():
        groups.setdefault(heads(*homes), {})[homes] = count
    while groups:
        below: dict[tuple[str, str], _Homes] = {}
        for (old, new), members in sorted(groups.items(), key=lambda group: (-sum(group[1].values()), group[0])):
            count = sum(members.values())
            if count < _FEWEST or not directories_above([f"{old}/"]).isdisjoint(chosen):
                continue
            there = _below(paths, old)
            is_above = any(other.startswith(f"{old}/") for other in chosen)
            # The sum of all that is looked at stays in proportion to what is likely.
            if not is_above and 4 * count >= len(there) and _gain(old, new, there, before, after) >= _FEWEST:
                chosen[old] = Move(TreePath(old), TreePath(new))
                continue
            for homes, number in members.items():
                step = homes[0][len(old) :].split("/", 2)[1:2]
                if step:
                    below.setdefault((f"{old}/{step[0]}", f"{new}/{step[0]}"), {})[homes] = number
        groups = below
    return list(chosen.values())


def heads(old: str, new: str) -> tuple[str, str]:
    """Return the topmost directories by whose move *new* comes of *old*."""
    olds, news = old.split("/"), new.split("/")
    while len(olds) > 1 and len(news) > 1 and olds[-1] == news[-1]:
        olds.pop()
        news.pop()
    return "/".join(olds), "/".join(news)


def _gain(old: str, new: str, there: Sequence[TreePath], before: Tree, after: Tree) -> int:
    """Return how many files of *there*, which lie below *old*, need not be listed if it moves; those that stay have to be."""
    start = len(old)
    entries, here = [before[path] for path in there], [after.get(path) for path in there]
    places = map(_by_text(after).get, [new + path[start:] for path in there])
    return sum(
        1 if place is not None and _is_same(entry, place) else -1 if kept is not None and _is_same(entry, kept) else 0
        for entry, place, kept in zip(entries, places, here, strict=True)
    )
