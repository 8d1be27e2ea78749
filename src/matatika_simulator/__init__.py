"""The platform on loopback, for the demo, the tests and the benchmarks. See README.md beside this file."""

from matatika_simulator.jobs import JobState
from matatika_simulator.journal import Entry
from matatika_simulator.scenario import Scenario, ScenarioError
from matatika_simulator.server import Simulator

__all__ = ["Entry", "JobState", "Scenario", "ScenarioError", "Simulator"]
