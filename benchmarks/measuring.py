"""Interleaved rounds of two sides, in CPU seconds, and whether what they return is equal."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.cases import Case
from benchmarks.sides import SIDES

#: CPU seconds that a timing takes at least: the quicker side goes through its steps again.
_ENOUGH = 0.02


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of all threads of this process, and what came back."""
    start = time.process_time()
    value = work()
    return time.process_time() - start, value


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """One row: seconds of a read on both sides, cold (the first) and warm (medians).

    Raises
    ------
    AssertionError
        If the sides do not return the same values, types, indices and columns.
    """
    works = [case.prepare(side) for side in SIDES]
    cold = [cpu(lambda work=work: work(0))[0] for work in works]
    seconds: list[list[float]] = [[], []]
    for number in range(rounds):
        steps = range(number * case.steps, (number + 1) * case.steps)
        values = []
        for side, work in enumerate(works):
            spent, value = _round(work, steps)
            seconds[side].append(spent / case.steps / case.reads)
            values.append(value)
        require_equal(*values)
    return row(case.name, seconds, cold)


def _round(work: Callable[[int], Any], steps: range) -> tuple[float, list[Any]]:
    """CPU seconds of going through the steps once, and what came back."""
    spent, values = cpu(lambda: [work(step) for step in steps])
    times = int(_ENOUGH / max(spent, 1e-7))
    if times > 1:

        def again() -> None:
            for _ in range(times):
                for step in steps:
                    work(step)

        spent = cpu(again)[0] / times
    return spent, values


def require_equal(stock: Any, ours: Any) -> None:
    """Raise AssertionError unless two values are the same: types, bits, axes and their order."""
    if isinstance(stock, list | tuple):
        assert len(stock) == len(ours)
        for one, other in zip(stock, ours, strict=True):
            require_equal(one, other)
    elif isinstance(stock, pd.DataFrame):
        pd.testing.assert_frame_equal(stock, ours, check_exact=True, check_freq=True)
    elif isinstance(stock, pd.Series):
        pd.testing.assert_series_equal(stock, ours, check_exact=True, check_freq=True)
    else:
        assert np.asarray(stock).dtype == np.asarray(ours).dtype
        np.testing.assert_array_equal(stock, ours)


def row(name: str, seconds: list[list[float]], cold: list[float]) -> dict[str, Any]:
    """The figures of a case: medians, first calls, and the least and greatest ratio of a round."""
    stock, ours = (statistics.median(side) for side in seconds)
    ratios = sorted(one / other for one, other in zip(*seconds, strict=True))
    return {
        "group": "Parts",
        "case": name,
        "unit": "CPU s",
        "zipline": stock,
        "rustybt": ours,
        "least": ratios[0],
        "most": ratios[-1],
        "first": cold,
    }
