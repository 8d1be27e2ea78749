"""What all tests share."""

import pytest
from hypothesis import HealthCheck, settings

# Assertions in helpers say what they found, too.
pytest.register_assert_rewrite("tests.support")

# The same examples on every machine and every day, however busy the machine is.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
