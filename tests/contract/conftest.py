import pytest

pytest.register_assert_rewrite("synccore.testing.contract")
