"""Benchmarks of a run: none, a symbol's, given returns, and those of a command line."""

import numpy as np
import pandas as pd
import pytest
from zipline.api import set_benchmark, symbol
from zipline.utils.run_algo import BenchmarkSpec

from rustybt.compat.run import Algorithm, Setting, run
from rustybt.data.errors import BenchmarkError
from tests.compat.simulation import DAYS, END, START, assert_same, buy, closes, initialize, simulate


def with_benchmark(name):
    def begin(context):
        initialize(context)
        set_benchmark(symbol(name))

    return begin


def test_without_a_benchmark_it_is_zero(bundle):
    assert (simulate()["benchmark_period_return"] == 0).all()


def test_a_symbol_can_be_the_benchmark(bundle):
    perf = simulate(initialize=with_benchmark("B"))
    before = closes("B", pd.Timestamp("2020-01-31"), pd.Timestamp("2020-01-31"))[0]
    expected = np.array(closes("B")) / before
    # B paid half a dollar before the sixth session: what was held until then is worth that more.
    expected[5:] /= 1 - 0.5 / closes("B")[4]
    # zipline rounds the adjusted closes to three decimals, both of a quotient.
    np.testing.assert_allclose(perf["benchmark_period_return"], expected - 1, atol=1.1e-3 / before)


def test_returns_can_be_the_benchmark(bundle):
    returns = pd.Series(0.01, index=pd.DatetimeIndex(DAYS))
    perf = simulate(benchmark_returns=returns)
    expected = 1.01 ** np.arange(1, len(perf) + 1) - 1
    np.testing.assert_allclose(perf["benchmark_period_return"], expected, rtol=1e-12)


SETTING = Setting(start=START, end=END, capital_base=1e5, bundle="b")


def benchmark(**given):
    unset = dict.fromkeys(("benchmark_sid", "benchmark_symbol", "benchmark_file"))
    return BenchmarkSpec.from_cli_params(**{**unset, "no_benchmark": False, **given})


@pytest.mark.parametrize("given", [{"benchmark_symbol": "B"}, {"benchmark_sid": 1}])
def test_the_benchmark_of_a_command_line_is_that_of_set_benchmark(bundle, given):
    algorithm = Algorithm("test", {"initialize": initialize, "handle_data": buy})
    perf = run(algorithm, SETTING, benchmark(**given))
    expected = simulate(initialize=with_benchmark("B"))["benchmark_period_return"]
    pd.testing.assert_series_equal(perf["benchmark_period_return"], expected, check_exact=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "no benchmark: call set_benchmark"), ({"benchmark_symbol": "NOPE"}, "NOPE")],
)
def test_a_benchmark_that_is_not_there_is_an_error(bundle, given, message):
    algorithm = Algorithm("test", {"initialize": initialize, "handle_data": buy})
    with pytest.raises(BenchmarkError, match=message):
        run(algorithm, SETTING, benchmark(**given))


def test_a_script_runs_as_its_functions_do(bundle):
    script = """
from zipline.api import order, record, symbol
def initialize(context):
    context.asset = symbol(TICKER)
def handle_data(context, data):
    order(context.asset, 1)
    record(close=data.current(context.asset, "close"))
"""
    algorithm = Algorithm("test", script=script, namespace={"TICKER": "A"})
    perf = run(algorithm, SETTING, benchmark(no_benchmark=True))
    assert_same(perf, simulate())
