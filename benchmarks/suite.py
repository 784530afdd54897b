"""What ``make bench`` measures, and how much time each part of it may take.

Invariant: within the budget every tool gets at least one round on each tree that its cell names; a larger ``--scale`` gives
more rounds, never other cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.runner import Limits
from benchmarks.trees import NOTEBOOK

_EVERYBODY = ("ours", "gsutil", "gcloud", "rclone", "rclone-strong", "restic", "git", "tar-zstd")
_FAST = ("ours", "rclone-strong", "restic", "git", "tar-zstd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Tools on a tree at a round trip.

    Attributes:
        budget_seconds: after which a tool gets no further round, before scaling.
        patience_seconds: after which a command is ended.
        short: the tools that do only a part of the steps.
        on_disk: whether the tools work on whatever disk there is, instead of in memory.
    """

    tree: str
    rtt_ms: int
    tools: Sequence[str]
    budget_seconds: float
    everyday: int = 1
    patience_seconds: float = 120.0
    short: Sequence[str] = ()
    on_disk: bool = False

    def limits(self, scale: float) -> Limits:
        """Return the limits with budgets *scale* times as long."""
        return Limits(
            rounds=max(1, round(5 * max(1.0, scale))),
            everyday=self.everyday,
            budget_seconds=self.budget_seconds * scale,
            patience_seconds=self.patience_seconds,
            short=self.short,
        )


# At 20 ms everybody; at 0 and 60 ms those who are in question. The whole takes about 40 minutes on two quiet cores, half of
# which goes to the large tree at 20 ms, where some tools need minutes for a first time.
CELLS = (
    Cell(tree="300", rtt_ms=20, tools=_EVERYBODY, budget_seconds=20),
    Cell(tree="300", rtt_ms=0, tools=_FAST, budget_seconds=10),
    Cell(tree="300", rtt_ms=60, tools=_FAST, budget_seconds=15),
    Cell(tree="3000", rtt_ms=20, tools=_EVERYBODY, budget_seconds=55, short=("gsutil",)),
    Cell(tree="3000", rtt_ms=0, tools=(*_FAST, "ours-dir"), budget_seconds=20),
    Cell(tree="3000", rtt_ms=60, tools=_FAST, budget_seconds=25),
    Cell(
        tree="30000", rtt_ms=20, tools=_EVERYBODY, budget_seconds=90, everyday=2, short=("gsutil", "gcloud", "rclone")
    ),
    Cell(tree="30000", rtt_ms=0, tools=(*_FAST, "ours-dir"), budget_seconds=30, short=("rclone-strong",)),
    Cell(tree="30000", rtt_ms=60, tools=_FAST, budget_seconds=30, short=("rclone-strong",)),
    Cell(tree="30000", rtt_ms=0, tools=("ours-dir", "tar-zstd"), budget_seconds=30, on_disk=True),
    Cell(tree=NOTEBOOK, rtt_ms=20, tools=_EVERYBODY, budget_seconds=20, everyday=2),
)
