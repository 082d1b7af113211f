"""The risk so far is to the bit what zipline's own metrics say of the same returns."""

import types

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zipline.finance.metrics.metric import AlphaBeta, ReturnsStatistic

from rustybt.compat.engine.risk import RunningRisk

EMPTY = types.SimpleNamespace
#: Ordinary days, days on which nothing moves, ruin, and moves too small or too large for a square.
RETURN = st.one_of(
    st.floats(-0.1, 0.1),
    st.sampled_from([0.0, -0.0, 0.01, -1.0, 1e-17, 1e-170, -1e-170, 5e-324, 1e160, -1e160]),
    st.floats(-2.0, 1e3),
)
RETURNS = st.lists(RETURN, min_size=1, max_size=40)


def zipline_says(returns, benchmark):
    statistics = [
        ReturnsStatistic(empyrical.annual_volatility, "algo_volatility"),
        ReturnsStatistic(empyrical.sharpe_ratio, "sharpe"),
        ReturnsStatistic(empyrical.sortino_ratio, "sortino"),
        ReturnsStatistic(empyrical.max_drawdown),
        AlphaBeta(),
    ]
    statistics[-1]._daily_returns_array = benchmark
    packet = {"cumulative_risk_metrics": {}}
    for each in statistics:
        each.end_of_session(
            packet, EMPTY(daily_returns_array=returns), None, len(returns) - 1, None
        )
    return packet["cumulative_risk_metrics"]


def bits(values):
    return {
        name: (type(value), None if value is None else float(value).hex())
        for name, value in values.items()
    }


def agree(returns, benchmark):
    running = RunningRisk(benchmark)
    for day in range(1, len(returns) + 1):
        found = running.add(returns[:day])
        if found is None:
            return day
        assert bits(found) == bits(zipline_says(returns[:day], benchmark[:day])), day
    return None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(returns=RETURNS, data=st.data())
def test_any_returns_give_the_same_bits(returns, data):
    benchmark = data.draw(st.lists(RETURN, min_size=len(returns), max_size=len(returns)))
    agree(np.array(returns), np.array(benchmark))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(value=RETURN, days=st.integers(1, 30), last=RETURN)
def test_returns_that_hardly_vary_give_the_same_bits(value, days, last):
    returns = np.array([value] * days + [last])
    agree(returns, np.array([last] * days + [value]))


def test_ten_years_give_the_same_bits():
    random = np.random.default_rng(7)
    returns, benchmark = random.normal(3e-4, 0.01, (2, 2520))
    benchmark[:300] = 0.0
    assert agree(returns, benchmark) is None


def test_numbers_that_are_not_finite_are_left_to_zipline_for_good():
    returns = np.array([0.1, np.nan, 0.1, 0.2])
    running = RunningRisk(np.zeros(4))
    found = [running.add(returns[:day]) is None for day in range(1, 5)]
    assert found == [False, True, True, True]
