"""What somebody put in the place of a function of zipline's is what a fast run calls."""

import functools

import pytest
from zipline.algorithm import TradingAlgorithm
from zipline.api import order, order_target, order_target_percent, record, symbol
from zipline.data.data_portal import DataPortal
from zipline.finance import commission, slippage
from zipline.finance.blotter import SimulationBlotter
from zipline.finance.ledger import Ledger, PositionTracker
from zipline.finance.order import Order
from zipline.finance.position import Position

from rustybt.compat.engine import portal
from rustybt.compat.engine.algorithm import TradingAlgorithm as OurAlgorithm
from rustybt.compat.engine.originals import is_zipline_s, passes_by_nothing
from tests.compat.simulation import assert_same, simulate


def trade(context, data):
    """A day, and a bit of everything that orders and looks."""
    one, other = symbol("A"), symbol("B")
    order(one, 10)
    order_target(other, int(data.history(one, "price", 5, "1d").sum()))
    order_target_percent(one, 0.1)
    record(
        last=data.current(one, "price"), mean=data.history([one, other], "close", 3, "1d").mean()
    )


def run(engine):
    perf = simulate(handle_data=trade, engine=engine)
    return perf.assign(mean=[means.to_list() for means in perf["mean"]])


def around(original, change):
    """The original with something done to what it returns, and its name."""

    @functools.wraps(original)
    def changed(*args, **kwargs):
        return change(original(*args, **kwargs))

    return changed


def put(owner, name, change):
    return owner, name, around(getattr(owner, name), change)


PATCHES = {
    "process_order": put(
        slippage.FixedBasisPointsSlippage, "process_order", lambda terms: (1.25, terms[1])
    ),
    "another model's": (
        slippage.FixedBasisPointsSlippage,
        "process_order",
        staticmethod(slippage.NoSlippage.process_order),
    ),
    "simulate": put(
        slippage.SlippageModel,
        "simulate",
        lambda fills: [each for each in fills if each[1].amount > 9],
    ),
    "create_transaction": put(
        slippage, "create_transaction", lambda made: setattr(made, "price", 2.0) or made
    ),
    "calculate_per_unit_commission": put(
        commission, "calculate_per_unit_commission", lambda fee: fee + 1.0
    ),
    "calculate": put(commission.PerShare, "calculate", lambda fee: fee + 1.0),
    "blotter's order": (
        SimulationBlotter,
        "order",
        lambda self, asset, amount, style, order_id=None, original=SimulationBlotter.order: (
            original(self, asset, amount + 1, style, order_id)
        ),
    ),
    "get_transactions": put(
        SimulationBlotter, "get_transactions", lambda found: (found[0], [], found[2])
    ),
    "check_triggers": (Order, "check_triggers", lambda self, price, dt: setattr(self, "dt", dt)),
    "triggered": (Order, "triggered", property(lambda self: self.amount < 40)),
    "update": put(Position, "update", lambda result: result),
    "algorithm's order": (
        TradingAlgorithm,
        "order",
        lambda self, asset, amount, *_, original=TradingAlgorithm.order, **__: original(
            self, asset, amount // 2
        ),
    ),
    "algorithm's private ones": (
        TradingAlgorithm,
        "_calculate_order_target_amount",
        lambda self, asset, target: target + 1,
    ),
    "validate_order_params": put(
        TradingAlgorithm, "validate_order_params", lambda nothing: nothing
    ),
    "round_order": (TradingAlgorithm, "round_order", staticmethod(lambda amount: int(amount) + 3)),
    "process_commission": (Ledger, "process_commission", lambda self, paid: None),
    "handle_commission": (PositionTracker, "handle_commission", lambda self, asset, cost: None),
    "execute_transaction": (PositionTracker, "execute_transaction", lambda self, filled: None),
    "a private one": put(DataPortal, "_get_daily_spot_value", lambda value: value * 2),
    "get_spot_value": put(DataPortal, "get_spot_value", lambda value: value * 2),
    "get_history_window": put(DataPortal, "get_history_window", lambda window: window * 2),
}
#: Which change nothing that a run shows.
SILENT = {"update", "check_triggers", "handle_commission", "validate_order_params"}


@pytest.mark.parametrize("name", PATCHES)
def test_a_function_that_was_replaced_is_called(bundle, monkeypatch, name):
    before = run("fast")
    owner, attribute, function = PATCHES[name]
    calls = []
    if name in SILENT:
        function = around(function, lambda result: calls.append(name) or result)
    monkeypatch.setattr(owner, attribute, function)
    assert not is_zipline_s(owner, attribute)
    stock = run("stock")
    called = len(calls)
    fast = run("fast")
    assert_same(fast, stock)
    if name in SILENT:
        assert len(calls) == 2 * called
    else:
        assert not fast["portfolio_value"].equals(before["portfolio_value"])


def test_nothing_of_zipline_is_taken_for_somebody_s(bundle):
    parts = []
    simulate(
        initialize=lambda context: parts.extend([context, context.data_portal]), handle_data=trade
    )
    assert passes_by_nothing()
    algorithm, used = parts
    assert isinstance(algorithm, OurAlgorithm)
    assert isinstance(used, portal.DataPortal)
    assert not {"order", "symbol", "round_order"} & vars(algorithm).keys()
    assert not {name for name in vars(used) if name.startswith("get_")}
