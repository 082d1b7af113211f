"""Trading and account controls; those on orders log what breaks them and let it pass."""

from zipline.api import (
    order,
    order_target_percent,
    record,
    set_asset_restrictions,
    set_long_only,
    set_max_leverage,
    set_max_order_count,
    set_max_order_size,
    set_max_position_size,
    set_min_leverage,
    symbol,
)
from zipline.finance.asset_restrictions import (
    RESTRICTION_STATES,
    HistoricalRestrictions,
    Restriction,
    StaticRestrictions,
)


def initialize(context, since, grace_period):
    context.session = 0
    set_long_only(on_error="log")
    set_max_order_size(symbol("AMD"), max_shares=120, max_notional=9_000.0, on_error="log")
    set_max_position_size(max_notional=40_000.0, on_error="log")
    set_max_order_count(2, on_error="log")
    set_max_leverage(3.0)
    set_min_leverage(0.0, grace_period)
    set_asset_restrictions(StaticRestrictions([symbol("DELL")]), on_error="log")
    frozen = Restriction(symbol("MMM"), since, RESTRICTION_STATES.FROZEN)
    set_asset_restrictions(HistoricalRestrictions([frozen]), on_error="log")


def handle_data(context, data):
    context.session += 1
    assets = [symbol(name) for name in ("AMD", "COST", "DELL", "MMM")]
    tradable = data.can_trade(assets)
    for asset in tradable.index[tradable]:
        order(asset, 100 if context.session % 4 else -150)
    order_target_percent(symbol("INTC"), 0.2)
    record(tradable=tradable, restricted=context.get_environment("data_frequency"))
