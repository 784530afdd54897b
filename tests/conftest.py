"""What all tests share.

Hypothesis runs in one of two profiles, chosen by the environment variable ``HYPOTHESIS_PROFILE``:

``quick`` (the default): few examples, the same ones in every run, so that a change and not luck decides what fails.
``deep``: many random examples: ``make deep``.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("synccore.testing.invariants", "synccore.testing.killing", "synccore.testing.lab")

from synccore.backends.memory import MemoryBackend  # noqa: E402 - after the registration
from synccore.testing.lab import Lab  # noqa: E402

settings.register_profile(
    "quick",
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A laptop and a machine around a store in memory."""
    return Lab(tmp_path, MemoryBackend())


# What writes a machine's tree, or needs a kernel, signals or pipes: none of it runs on Windows, where only laptops live.
_MACHINE_SIDE = (
    "budgets",
    "crash",
    "damage",
    "e2e",
    "engine",
    "fuzz",
    "kernel",
    "properties",
    "cli/test_everyday.py",
    "worktree/test_",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a machine's side with ``vm``, by where it stands."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(_MACHINE_SIDE):
            item.add_marker("vm")
