"""Notes of what a run is about to write into a tree, for the run after it, should this one not finish.

Invariant: a note names all that may not be what was there before; one that is damaged says that anything may not.
"""

from __future__ import annotations

import xxhash

from synccore import wire
from synccore.errors import IntegrityError
from synccore.journal import Known
from synccore.manifest import FileKind
from synccore.plan import Plan
from synccore.treepath import TreePath


def pack_begun(plan: Plan, before: dict[TreePath, frozenset[Known]] | None) -> bytes:
    """Return the note of a run that is going to carry out *plan*, where the run *before* has perhaps not finished."""
    rows = [(path, entry.kind, entry.digest) for path, entry in plan.writes.items()]
    # What is removed is not as it was either: it may have to come back.
    rows += [(path, *known) for path in plan.removes for known in plan.ours[path]]
    rows += [(path, *known) for path, states in (before or {}).items() for known in states]
    body = wire.pack(rows)
    return xxhash.xxh3_64_digest(body) + body


def parse_begun(data: bytes | None) -> dict[TreePath, frozenset[Known]] | None:
    """Return the paths that an unfinished run may have touched, each with what of ours may stand there because of it.

    Args:
        data: its note; ``None`` if there is none.

    Returns:
        Nothing where there is no note; ``None`` if it is damaged, so that the run may have touched anything.
    """
    if data is None:
        return {}
    what = "the note of an unfinished run"
    found: dict[TreePath, set[Known]] = {}
    body = data[8:]
    if data[:8] != xxhash.xxh3_64_digest(body):
        return None
    try:
        for item in wire.rows(wire.unpack(body, what), what):
            path, kind, digest = wire.row(item, 3, what)
            known = Known(FileKind(wire.uint(kind, what, most=max(FileKind))), wire.digest(digest, what))
            found.setdefault(wire.path(path, what), set()).add(known)
    except IntegrityError:
        return None
    return {path: frozenset(states) for path, states in found.items()}
