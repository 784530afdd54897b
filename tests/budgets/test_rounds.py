"""How many requests follow on each other: the rest are on their way together."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from synccore.backends.base import Found, Unchanged, Version
from synccore.backends.memory import MemoryBackend
from synccore.digest import Digest
from synccore.keys import Key
from synccore.testing.invariants import assert_is_at_head
from synccore.testing.lab import Lab
from synccore.testing.trees import NodeTree, noise

pytestmark = pytest.mark.vm

MIB = 2**20
REPOS = 3

# Only a failure takes so long.
_PATIENCE_SECONDS = 60


class Gathering(MemoryBackend):
    """Storage that answers no request of a kind before all that are expected of it are on their way together."""

    def __init__(self) -> None:
        super().__init__()
        self.expected: dict[str, threading.Barrier] = {}
        self.rounds: list[str] = []
        self._lock2 = threading.Lock()

    def expect(self, **counts: int) -> None:
        """Let requests for keys with these words in them come in such numbers."""
        self.rounds = []
        self.expected = {kind: threading.Barrier(count) for kind, count in counts.items()}

    def get(self, key: Key, *, unless: Version | None = None) -> Found | Unchanged:
        self._gather(key)
        return super().get(key, unless=unless)

    def put(self, key: Key, data: bytes, *, replacing: Version | None, digest: Digest | None = None) -> Version:
        self._gather(key)
        return super().put(key, data, replacing=replacing, digest=digest)

    def _gather(self, key: Key) -> None:
        kind = key.split("/")[1]
        with self._lock2:
            self.rounds.append(kind)
        if kind in self.expected:
            # BrokenBarrierError: the others never came, because they wait for this one.
            self.expected[kind].wait(_PATIENCE_SECONDS)


def test_a_first_upload_stores_listings_side_by_side_and_moves_the_head_last(tmp_path: Path) -> None:
    lab = Lab(tmp_path, backend := Gathering())
    for number in range(REPOS):
        tree: NodeTree = {f"a/long/enough/path/to/fill/a/listing/{n}": noise(100, n + 999 * number) for n in range(600)}
        lab.laptop.lay(**{f"repo{number}": tree})
    backend.expect(manifests=REPOS)
    lab.laptop.push()
    assert backend.rounds[-1] == "head"
    assert Counter(backend.rounds) == {"head": 2, "bundles": 1, "manifests": REPOS}


def test_a_first_download_takes_three_rounds(tmp_path: Path) -> None:
    lab = Lab(tmp_path, backend := Gathering())
    for number in range(REPOS):
        large: NodeTree = {f"{n}": noise(MIB, n + 99 * number) for n in range(13)}
        lab.laptop.lay(
            **{f"repo{number}": {**large, **{f"small/{n}": noise(50, n + 999 * number) for n in range(600)}}}
        )
    lab.laptop.push()
    stored = Counter(key.split("/")[1] for key in backend.objects)
    assert (stored["manifests"], stored["bundles"]) == (REPOS, 3)
    backend.expect(manifests=stored["manifests"], bundles=stored["bundles"])
    lab.machine.pull()
    assert backend.rounds == ["head"] + ["manifests"] * stored["manifests"] + ["bundles"] * stored["bundles"]
    assert_is_at_head(lab.machine, lab)
