"""What ``%load_ext epic_lab`` does.

Invariant: the same as a profile's line does, and nothing twice.
"""

from __future__ import annotations

from typing import Any


def load(shell: Any) -> None:
    """Start, unless that has been done, and offer the names in *shell*."""
    from epic_lab import ipython_startup

    for name in ipython_startup.__all__:
        shell.user_ns.setdefault(name, getattr(ipython_startup, name))
