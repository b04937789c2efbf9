"""All scenarios, in the order in which they run."""

from __future__ import annotations

from benchmarks import ask, burst, crowd, imports, steady, storm

SCENARIOS = {
    scenario.title: scenario
    for module in (burst, steady, crowd, storm, ask, imports)
    for scenario in module.SCENARIOS
}
