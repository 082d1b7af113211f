"""Orders of every style in daily mode, on liquid and thin equities, long and short."""

from zipline.api import record, set_commission, set_slippage, symbols
from zipline.finance import commission, slippage

from tests.parity.algorithms.order_steps import take_step


def initialize(context):
    context.assets = symbols("AMD", "CERN", "COST", "INTC", "MMM")
    context.turn = 0
    set_commission(commission.PerShare(cost=0.003, min_trade_cost=1.3))
    set_slippage(slippage.VolumeShareSlippage(volume_limit=0.025, price_impact=0.1))


def handle_data(context, data):
    done = [take_step(context, data, context.assets, size=10) for _ in range(2)]
    record(done=done, held=len(context.portfolio.positions))
