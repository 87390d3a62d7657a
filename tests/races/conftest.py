"""Say at the end how much was explored, and what processes have done."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from cache.testing import Report


@dataclass
class Explored:
    """What a run has seen."""

    scenarios: int = 0
    complete: int = 0
    schedules: int = 0
    violations: int = 0
    mutants: int = 0

    def add(self, report: Report) -> None:
        self.scenarios += 1
        self.complete += report.complete
        self.schedules += report.schedules
        self.violations += len(report.violations)


EXPLORED = pytest.StashKey[Explored]()
REPORT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[EXPLORED] = Explored()
    config.stash[REPORT] = []


@pytest.fixture
def explored(request: pytest.FixtureRequest) -> Explored:
    return request.config.stash[EXPLORED]


@pytest.fixture
def report(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are shown at the end of the run."""
    return request.config.stash[REPORT]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seen = config.stash[EXPLORED]
    if seen.scenarios or seen.mutants:
        terminalreporter.write_sep("-", "races")
        terminalreporter.write_line(
            f"{seen.schedules:,} schedules of {seen.scenarios} explorations, {seen.complete} of them of every schedule "
            f"that there is: {seen.violations} violations. {seen.mutants} rules switched off, and noticed."
        )
    lines = config.stash[REPORT]
    if lines:
        terminalreporter.write_sep("-", "processes")
        for line in lines:
            terminalreporter.write_line(line)
