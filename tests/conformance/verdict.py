"""What a module's run means beside the recorded run on zipline as it is."""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.running import Run

_BAD = ("failed", "error")


@dataclass(frozen=True)
class Stock:
    """A module on zipline as it is.

    Attributes
    ----------
    counts : dict of str to int
        Outcome to number of tests.
    exceptions : dict of str to str
        The tests that came to anything but passed.
    constructions : dict of str to int
        By role.
    """

    counts: dict[str, int]
    exceptions: dict[str, str]
    constructions: dict[str, int]
    seconds: float

    @classmethod
    def of(cls, run: Run) -> "Stock":
        """What is worth recording of a run."""
        exceptions = {test: came for test, came in run.outcomes.items() if came != "passed"}
        return cls(
            dict(run.counts), dict(sorted(exceptions.items())), run.constructions, run.seconds
        )

    @property
    def total(self) -> int:
        """Number of tests."""
        return sum(self.counts.values())


def read_baseline(path: Path) -> dict[str, Stock]:
    """The recorded modules; none if nothing was recorded."""
    if not path.exists():
        return {}
    return {module: Stock(**entry) for module, entry in json.loads(path.read_text()).items()}


def write_baseline(path: Path, modules: dict[str, Stock]) -> None:
    """Record modules."""
    entries = {module: vars(modules[module]) for module in sorted(modules)}
    path.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")


def problems(run: Run, stock: Stock | None, roles: Collection[str]) -> list[str]:
    """Why a run does not conform; empty if it does.

    Parameters
    ----------
    stock : Stock or None
        The same module on zipline as it is.
    roles : collection of str
        What is replaced: each must be constructed where zipline's is, and no original may be.
    """
    if run.crash:
        return [f"the tests ended without a report: {run.crash}"]
    if stock is None:
        return ["there is no record of this module on zipline as it is: --stock --record"]
    return [
        *_worse(run, stock),
        *_missing(run, stock),
        *(f"{pattern} matches no test: take it out of the list" for pattern in run.stale),
        *_unused(run, stock, roles),
        *(_leak(role, tests) for role, tests in sorted(run.leaks.items())),
    ]


def _worse(run: Run, stock: Stock) -> Iterable[str]:
    """Tests that fail, or are skipped, though they are not on zipline as it is."""
    for test, came in run.outcomes.items():
        before = stock.exceptions.get(test, "passed")
        if came in _BAD and before not in _BAD:
            yield f"{test} {came}: {run.messages.get(test, '')}"
        elif came == "skipped" and before == "passed":
            yield f"{test} is skipped"


def _missing(run: Run, stock: Stock) -> Iterable[str]:
    found = len(run.outcomes) + len(run.left_out)
    if found != stock.total:
        yield f"{found} tests were found, {stock.total} on zipline as it is"


def _unused(run: Run, stock: Stock, roles: Collection[str]) -> Iterable[str]:
    for role in sorted(roles):
        if stock.constructions.get(role) and not run.constructions.get(role):
            yield f"{role} was never constructed; zipline's is, {stock.constructions[role]} times"


def _leak(role: str, tests: dict[str, int]) -> str:
    return f"{role}: zipline's own was constructed {sum(tests.values())} times, by {min(tests)}"


def totals(counts: Iterable[Counter[str]]) -> Counter[str]:
    """The sum of some counts."""
    return sum(counts, Counter())
