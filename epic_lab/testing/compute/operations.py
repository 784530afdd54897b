"""An operation: what the service is doing, or has done.

Invariant: an operation ends once, and what it ended with never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from epic_lab.testing.compute.machines import API
from epic_lab.testing.compute.refusals import Refusal


@dataclass(slots=True, kw_only=True)
class Operation:
    """One of a zone.

    Attributes:
        kind: as ``insert``, ``delete``, ``suspend``.
        target: the path of what it is about.
        due_seconds: when it ends, on the service's timeline; ``None`` where it never does.
        refusal: what it ended with, if badly.
    """

    project: str
    zone: str
    name: str
    number: int
    kind: str
    target: str
    target_number: int
    inserted: str
    status: str = "PENDING"
    started: str | None = None
    ended: str | None = None
    due_seconds: float | None = None
    refusal: Refusal | None = None
    warnings: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @property
    def path(self) -> str:
        """What it is called in errors."""
        return f"projects/{self.project}/zones/{self.zone}/operations/{self.name}"

    def resource(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        return {
            "kind": "compute#operation",
            "id": str(self.number),
            "name": self.name,
            "zone": f"{API}projects/{self.project}/zones/{self.zone}",
            "operationType": self.kind,
            "targetLink": API + self.target,
            "targetId": str(self.target_number),
            "status": self.status,
            "user": "somebody@example.com",
            "progress": {"PENDING": 0, "RUNNING": 50, "DONE": 100}[self.status],
            "insertTime": self.inserted,
            **({"startTime": self.started} if self.started else {}),
            **({"endTime": self.ended} if self.ended else {}),
            **({"warnings": list(self.warnings)} if self.warnings else {}),
            **(self.refusal.operation_error() if self.refusal and self.status == "DONE" else {}),
            "selfLink": API + self.path,
        }
