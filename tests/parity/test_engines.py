"""Any algorithm gives the same cells under the fast simulation and under zipline's own."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from zipline.utils.run_algo import BenchmarkSpec

from rustybt.compat.parity import FAST, STOCK, parity
from rustybt.compat.simulation import Algorithm, Setting
from tests.parity import engines
from tests.parity.algorithms import random_steps
from tests.parity.datasets import DATASETS
from tests.parity.workspace import Workspace

#: Data set -> sessions that a run may span; the warm-up before them is there to be asked for.
SPANS = {
    "us-daily": ("2012-06-20", "2013-12-31"),
    "london": ("2013-01-10", "2013-09-30"),
    "us-minute": ("2013-11-20", "2013-12-09"),
    "crypto": ("2023-01-10", "2023-12-26"),
}


def random_run(workspace: Workspace, data: str, precision: str, start: int, seed: int) -> Any:
    """What makes a random algorithm on some sessions of a data set, as `parity` wants it."""
    dataset, minute = DATASETS[data], data.endswith("minute")
    root = workspace.our_root(dataset, precision)
    sessions = engines.get_calendar(dataset.calendar).sessions_in_range(*SPANS[data])
    first = start % (len(sessions) - 2)
    span = sessions[first : first + (2 if minute else 45)]

    def initialize(context: Any) -> None:
        context.frequencies = ["1m", "1d"] if minute else ["1d"]
        random_steps.initialize(context, seed, dataset.country == "US" and seed % 3 == 0)

    def make() -> tuple[Algorithm, Setting, BenchmarkSpec]:
        setting = Setting(
            start=span[0],
            end=span[-1],
            capital_base=100_000,
            bundle=engines.our_bundle(dataset, precision),
            data_frequency="minute" if minute else "daily",
            environ={"ZIPLINE_ROOT": str(root)},
        )
        functions = {
            "initialize": initialize,
            "handle_data": random_steps.handle_data,
            "before_trading_start": random_steps.before_trading_start,
        }
        zero = pd.Series(0.0, index=span)
        return Algorithm("random", functions), setting, BenchmarkSpec.from_returns(zero)

    return make


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("precision", ["full", "bcolz"])
@pytest.mark.parametrize("data", SPANS)
# A seed does not become simpler by being smaller.
@settings(
    max_examples=6,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(start=st.integers(0, 10_000), seed=st.integers(0, 10_000))
def test_random_algorithms_agree(workspace, data, precision, start, seed):
    found = parity(random_run(workspace, data, precision, start, seed))
    assert found.identical, "\n".join(map(str, found.differences[:10]))


def test_a_difference_is_told_from_an_algorithm_that_does_not_repeat_itself(workspace):
    make = random_run(workspace, "us-daily", "full", 100, 7)
    count = iter(range(1, 1_000_000))

    def never_the_same() -> Any:
        algorithm, setting, benchmark = make()
        functions = dict(algorithm.functions)
        later = functions["initialize"]

        def initialize(context: Any) -> None:
            later(context)
            context.random.seed(next(count))

        return (
            replace(algorithm, functions={**functions, "initialize": initialize}),
            setting,
            (benchmark),
        )

    found = parity(never_the_same)
    assert not found.identical
    assert found.differing == FAST.name
    assert found.sides == (STOCK.name, FAST.name)
    assert "does not repeat itself" in found.cause
