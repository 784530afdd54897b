"""What happens to stored bytes: one case for each kind of damage."""

import pytest

from synccore.testing.damages import DAMAGES, Damage


@pytest.fixture(params=DAMAGES.values(), ids=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Damage:
    """One way to be damaged."""
    found: Damage = request.param
    return found
