"""What a head leads to, and why: the objects that must stay.

Invariant: whatever a reader of the head, of one of its trees, or of a snapshot after the horizon may ask for is in here; when
in doubt an object stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum

from synccore.journal import decode_delta
from synccore.keys import Key, bundle_key, journal_key, manifest_key
from synccore.past import Line, Past
from synccore.places import ObjectRef, StoredBlock


class Why(str, Enum):
    """Why an object must stay."""

    CURRENT = "current"
    HISTORY = "history"


def reach(
    past: Past, user: str, bundles_of: Callable[[Iterable[ObjectRef]], Iterator[tuple[ObjectRef, list[ObjectRef]]]]
) -> dict[Key, Why]:
    """Return the keys of all immutable objects that the head of *past* leads to.

    Args:
        past: what has to stay restorable.
        user: whose objects they are.
        bundles_of: loads manifests and returns each with the bundles that it names.

    Raises:
        IntegrityError: the past is broken, or a manifest is; nobody can say then what is needed.
    """
    if past.broken is not None:
        raise past.broken
    why: dict[Key, Why] = {journal_key(user, ref.digest): Why.HISTORY for ref in past.journals}
    manifests: dict[ObjectRef, Why] = {}
    for line in past.lines():
        base = past.head.repos[line.repo].base if line.repo in past.head.repos else None
        for manifest, named, reason in _named(line, base):
            for ref in named:
                _note(why, bundle_key(user, ref.digest), reason)
            if manifest is not None:
                manifests[manifest] = Why.CURRENT if manifests.get(manifest) is Why.CURRENT else reason
    for manifest, bundles in bundles_of(manifests):
        reason = manifests[manifest]
        _note(why, manifest_key(user, manifest.digest), reason)
        for ref in bundles:
            _note(why, bundle_key(user, ref.digest), reason)
    return why


def _named(line: Line, base: int | None) -> Iterator[tuple[ObjectRef | None, set[ObjectRef], Why]]:
    """Yield each manifest and the bundles that a listing or delta of *line* names by itself.

    Args:
        line: the repository.
        base: what its tree in the head starts from; ``None`` if the head does not have it.
    """
    for start in line.listings:
        yield start.manifest, set(), Why.CURRENT if start.base == base else Why.HISTORY
    for sequence, change in line.changes:
        if change.after is None:
            continue
        delta = decode_delta(change, f"record {sequence}, repository {line.repo},")
        blocks = {place.block for place in delta.places.values()}
        bundles = {block.bundle for block in blocks if isinstance(block, StoredBlock)}
        yield delta.manifest, bundles, Why.CURRENT if base is not None and sequence > base else Why.HISTORY


def _note(why: dict[Key, Why], key: Key, reason: Why) -> None:
    if why.get(key) is not Why.CURRENT:
        why[key] = reason
