"""What all tests share."""

from hypothesis import HealthCheck, settings

# The same examples on every machine and every day, however busy the machine is.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
