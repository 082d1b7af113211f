"""Record what each test came to, and write it down at the end."""

import json
from typing import Any

import pytest

from zl_swap.inapplicable import Inapplicable, read_inapplicable, stale
from zl_swap.settings import Settings
from zl_swap.tally import Tally


class Recorder:
    """The hooks: leave out what cannot apply, note outcomes, write the report."""

    def __init__(self, settings: Settings, tally: Tally) -> None:
        self._settings = settings
        self._tally = tally
        self._outcomes: dict[str, str] = {}
        self._messages: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._stale: list[str] = []

    def pytest_report_header(self) -> list[str]:
        """Name the replacements."""
        classes = [f"{role} is {name}" for role, name in self._settings.classes.items()]
        core = [self._settings.bundle_core] if self._settings.bundle_core else []
        return [f"zl_swap: {line}" for line in classes + core] or ["zl_swap: nothing is replaced"]

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect what cannot apply."""
        path = self._settings.inapplicable
        entries = read_inapplicable(path, self._settings.precision) if path else []
        tests = [item.nodeid for item in items]
        self._stale = stale(entries, {test.partition("::")[0] for test in tests}, tests)
        for test in tests:
            reason = _reason(test, entries)
            if reason:
                self._left_out[test] = reason
        gone = [item for item in items if item.nodeid in self._left_out]
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item.nodeid not in self._left_out]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that cannot be collected."""
        if report.failed:
            self._outcomes[report.nodeid] = "error"
            self._messages[report.nodeid] = _message(report)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember whose constructions come next."""
        self._tally.test = nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a phase of a test came to; a failure outlives what follows it."""
        before = self._outcomes.get(report.nodeid)
        if before in ("failed", "error") or (report.when != "call" and report.passed):
            return
        self._outcomes[report.nodeid] = _outcome(report)
        if report.failed:
            self._messages[report.nodeid] = _message(report)

    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        if self._settings.report:
            text = json.dumps(self._report(), indent=1, sort_keys=True)
            self._settings.report.write_text(text)

    def _report(self) -> dict[str, Any]:
        return {
            "outcomes": self._outcomes,
            "messages": self._messages,
            "left_out": self._left_out,
            "stale": self._stale,
            "constructions": dict(self._tally.constructions),
            "leaks": {role: dict(tests) for role, tests in self._tally.leaks.items()},
        }


def _reason(test: str, entries: list[Inapplicable]) -> str | None:
    return next((entry.reason for entry in entries if entry.matches(test)), None)


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed and report.when != "call":
        return "error"
    return report.outcome


def _message(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What the failure said, without the traceback."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else str(report.longrepr)
