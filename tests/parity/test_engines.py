"""Any algorithm gives the same cells under the fast simulation and under zipline's own."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rustybt.compat.parity import FAST, STOCK, parity
from tests.parity.random_runs import SPANS, random_run


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("precision", ["full", "bcolz"])
@pytest.mark.parametrize("name", SPANS)
# A seed does not become simpler by being smaller.
@settings(
    max_examples=4,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(start=st.integers(0, 10_000), seed=st.integers(0, 10_000))
def test_random_algorithms_agree(workspace, name, precision, start, seed):
    found = parity(random_run(workspace, SPANS[name], precision, start, seed))
    assert found.identical, "\n".join(map(str, found.differences[:10]))


def test_a_difference_is_told_from_an_algorithm_that_does_not_repeat_itself(workspace):
    make = random_run(workspace, SPANS["us-daily"], "full", 100, 7)
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
