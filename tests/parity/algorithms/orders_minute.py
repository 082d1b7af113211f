"""Orders of every style in minute mode; what is open at the close is cancelled."""

from zipline.api import record, set_cancel_policy, set_commission, set_slippage, symbols
from zipline.finance import cancel_policy, commission, slippage

from tests.parity.algorithms.order_steps import take_step


def initialize(context, names):
    context.assets = symbols(*names)
    context.turn = 0
    context.bar = 0
    set_cancel_policy(cancel_policy.EODCancel(warn_on_cancel=False))
    set_commission(commission.PerShare(cost=0.003, min_trade_cost=1.3))
    set_slippage(slippage.VolumeShareSlippage(volume_limit=0.1, price_impact=0.05))


def before_trading_start(context, data):
    context.done = []


def handle_data(context, data):
    context.bar += 1
    if context.bar % 11 == 0:
        context.done.append(take_step(context, data, context.assets, size=20))
        record(done=tuple(context.done))
