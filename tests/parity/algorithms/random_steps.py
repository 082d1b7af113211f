"""An algorithm that does anything, drawn by a seed: two engines that agree draw the same."""

import random

import numpy as np
from zipline import api
from zipline.errors import CannotOrderDelistedAsset, HistoryWindowStartsBeforeData
from zipline.finance import cancel_policy, commission, slippage
from zipline.finance.execution import LimitOrder, StopLimitOrder, StopOrder
from zipline.pipeline import Pipeline
from zipline.pipeline.data import EquityPricing
from zipline.pipeline.factors import SimpleMovingAverage

FIELDS = ("price", "open", "high", "low", "close", "volume")


class AtTheLow(slippage.FixedBasisPointsSlippage):
    """A user's own model."""

    def process_order(self, data, order):
        _, amount = super().process_order(data, order)
        return data.current(order.asset, "low"), amount


def patched():
    """A model of zipline's that was given a method."""
    model = slippage.NoSlippage()
    model.process_order = lambda data, order: (data.current(order.asset, "open"), order.amount)
    return model


FEES = (
    commission.PerShare(0.01, 1.0),
    commission.PerShare(0.01),
    commission.PerTrade(2.0),
    commission.PerDollar(0.001),
    commission.NoCommission(),
)
FILLS = (
    slippage.VolumeShareSlippage(0.1, 0.2),
    slippage.VolumeShareSlippage(0.0001, 0.2),
    slippage.FixedSlippage(0.05),
    slippage.FixedBasisPointsSlippage(7, 0.05),
    slippage.FixedBasisPointsSlippage(7, 0.0001),
    slippage.NoSlippage(),
    AtTheLow(),
    patched(),
)
CLOCK = (api.date_rules.every_day, api.date_rules.week_start, api.date_rules.month_end)


def initialize(context, seed, with_pipeline):
    context.random = random.Random(seed)  # noqa: S311  it draws algorithms
    draw = context.random
    context.assets = [context.asset_finder.retrieve_asset(sid) for sid in context.asset_finder.sids]
    context.steps = draw.sample(STEPS, draw.randint(3, len(STEPS)))
    api.set_commission(us_equities=draw.choice(FEES))
    api.set_slippage(us_equities=draw.choice(FILLS))
    if draw.random() < 0.3:
        api.set_cancel_policy(cancel_policy.EODCancel())
    api.schedule_function(scheduled, draw.choice(CLOCK)(), api.time_rules.market_open(minutes=1))
    # Stock zipline has one return too few of a benchmark that trades around the clock.
    if draw.random() < 0.3 and context.trading_calendar.name != "24/7":
        api.set_benchmark(context.assets[-1])
    if with_pipeline:
        mean = SimpleMovingAverage(inputs=[EquityPricing.close], window_length=draw.randint(1, 9))
        api.attach_pipeline(Pipeline({"mean": mean, "top": mean.top(2)}), "random")
    context.with_pipeline = with_pipeline


def before_trading_start(context, data):
    if context.with_pipeline:
        context.output = api.pipeline_output("random")
        api.record(means=context.output["mean"].to_dict())
    look(context, data)


def scheduled(context, data):
    try:
        context.random.choice(context.steps)(context, data)
    except (CannotOrderDelistedAsset, HistoryWindowStartsBeforeData, OverflowError) as error:
        api.record(refused=f"{type(error).__name__}: {error}")


def handle_data(context, data):
    for _ in range(context.random.randint(0, 3)):
        scheduled(context, data)
    api.record(cash=context.portfolio.cash, leverage=context.account.leverage)


def some(context):
    return context.random.sample(context.assets, context.random.randint(1, len(context.assets)))


def look(context, data):
    assets, field = some(context), context.random.choice(FIELDS)
    api.record(seen=[repr(value) for value in data.current(assets, field)])
    api.record(one=repr(data.current(assets[0], field)))
    api.record(many=data.current(assets, ["close", "volume"]).to_numpy().tolist())
    api.record(alive=data.can_trade(assets).tolist(), stale=data.is_stale(assets).tolist())


def look_when(context, data):
    # zipline cannot say so before the market opens.
    api.record(last=str(data.current(context.random.choice(context.assets), "last_traded")))


def look_back(context, data):
    assets, field = some(context), context.random.choice(FIELDS)
    bars = context.random.randint(1, 12)
    frequency = context.random.choice(context.frequencies)
    api.record(window=data.history(assets, field, bars, frequency).to_numpy().tolist())
    one = data.history(assets[0], field, bars, frequency)
    api.record(alone=one.to_numpy().tolist(), when=[str(one.index[0]), str(one.index.freq)])
    mean = data.history(assets, field, bars, frequency).mean()
    api.record(mean=[repr(np.float64(value)) for value in mean])


def order(context, data):
    asset, amount = context.random.choice(context.assets), context.random.randint(-300, 300)
    price = data.current(asset, "price")
    if not price > 0:
        return
    if context.random.random() < 0.2:
        api.order(asset, amount * context.random.uniform(0.5, 2))
    api.order(asset, amount, style=context.random.choice([
        None,
        LimitOrder(price * context.random.uniform(0.98, 1.02)),
        StopOrder(price * context.random.uniform(0.98, 1.02)),
        StopLimitOrder(price * 1.01, price * 0.99),
    ]))  # fmt: skip


def order_towards(context, data):
    asset, share = context.random.choice(context.assets), context.random.uniform(-0.4, 0.4)
    if data.can_trade(asset):
        context.random.choice([
            lambda: api.order_target_percent(asset, share),
            lambda: api.order_target_value(asset, share * 50_000),
            lambda: api.order_target(asset, int(share * 800)),
            lambda: api.order_percent(asset, share / 4),
            lambda: api.order_value(asset, share * 20_000),
        ])()  # fmt: skip


def rebalance(context, data):
    assets = some(context)
    for asset in assets:
        if data.can_trade(asset):
            api.order_target_percent(asset, context.random.uniform(-0.5, 1) / len(assets))


def order_the_dead(context, data):
    api.order_value(context.random.choice(context.assets), 1000)


def cancel(context, data):
    waiting = [order for orders in api.get_open_orders().values() for order in orders]
    if waiting:
        api.cancel_order(context.random.choice(waiting))


def sell_out(context, data):
    for asset in list(context.portfolio.positions):
        if data.can_trade(asset):
            api.order_target(asset, 0)


def look_at_orders(context, data):
    waiting = api.get_open_orders()
    api.record(waiting=[[order.amount for order in orders] for orders in waiting.values()])
    held = context.portfolio.positions
    api.record(held=[(asset.sid, each.amount, each.cost_basis) for asset, each in held.items()])


STEPS = [
    look_at_orders,
    look,
    look_when,
    look_back,
    order,
    order_towards,
    rebalance,
    order_the_dead,
    cancel,
    sell_out,
]
