"""What stops an algorithm under zipline stops it under rustybt, with the same words."""

import pytest

from tests.parity import engines
from tests.parity.cases import OURS, Algorithm, Case
from tests.parity.workspace import Workspace

IN_HANDLE_DATA = (
    "history_before_the_data",
    "minutes_in_daily_mode",
    "unknown_symbol",
    "unknown_history_field",
    "unknown_frequency",
    "no_bars",
    "too_much_leverage",
)


def failing(name: str, **callbacks: str) -> Case:
    algorithm = Algorithm(OURS + "failing", renamed=callbacks)
    return Case(name, algorithm, "us-daily", "2013-10-28", "2013-11-05")


FAILING = (
    *(failing(name, handle_data=name) for name in IN_HANDLE_DATA),
    failing(
        "short_when_long_only",
        initialize="initialize_long_only",
        handle_data="short_when_long_only",
    ),
    failing("order_before_the_open", before_trading_start="order_before_the_open"),
)


def error_of(run: object) -> tuple[type, str]:
    with pytest.raises(Exception, match=r"\S") as caught:
        run()
    return caught.type, str(caught.value)


@pytest.mark.parametrize("precision", ["full", "bcolz"])
@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_both_engines_stop_with_the_same_error(
    case: Case, precision: str, workspace: Workspace
) -> None:
    csv, stock_root = workspace.csv(case.dataset), workspace.stock_root(case.dataset)
    our_root = workspace.our_root(case.dataset, precision)
    expected = error_of(lambda: engines.run_stock(csv, stock_root, case))
    assert error_of(lambda: engines.run_ours(our_root, case, precision)) == expected
