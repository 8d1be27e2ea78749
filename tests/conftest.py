"""What all tests share."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Assertions in helpers say what they found, too.
pytest.register_assert_rewrite("tests.support")

# The same examples on every machine and every day, however busy the machine is.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: steps wait for one another's threads, and some for real time."""
    return (os.cpu_count() or 1) * 3 // 2
