"""All checks, in the order in which they are shown.

Invariant: a check stands after those that it needs or waits for.
"""

from __future__ import annotations

from epic_lab.doctor import configuration, identity, machine, project, storage

CHECKS = (*configuration.CHECKS, *identity.CHECKS, *project.CHECKS, *storage.CHECKS, *machine.CHECKS)
